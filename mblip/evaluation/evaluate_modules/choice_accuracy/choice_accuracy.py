"""Accuracy of answers out of a few candidates (XVNLI, MaRVL, NLVR2), with counts for each candidate.

Args:
    predictions (list of str): the answers.
    references (list of str): the right answer to each question.
    candidates (list of str): what answers choose from, such as yes, no, maybe; each reference is one of them.
Returns:
    choice_accuracy: 0 to 1; is_right: of each answer; chosen: the candidate that each answer is, or None;
    classes: for each candidate num_references, num_chosen and num_right; num_no_candidate: answers that are none of
    them, of which num_empty are empty.
Example:
    >>> choice_accuracy = evaluate.load("mblip/evaluation/evaluate_modules/choice_accuracy")
    >>> answers = {"predictions": ["Yes.", "I think so"], "references": ["yes", "maybe"]}
    >>> choice_accuracy.compute(**answers, candidates=["yes", "no", "maybe"])["chosen"]
    ['yes', None]
"""

from collections.abc import Sequence
from typing import Any

from mblip.evaluation.evaluate_modules.metric_module import ONE_REFERENCE, MetricModule
from mblip.evaluation.metrics.choice_accuracy import score_choices


class ChoiceAccuracy(MetricModule):
    columns = ONE_REFERENCE
    bibtex = """@inproceedings{geigle2024mblip,
      title = {{mBLIP}: Efficient Bootstrapping of Multilingual Vision-LLMs},
      author = {Geigle, Gregor and Jain, Abhay and Timofte, Radu and Glava{\\v{s}}, Goran},
      booktitle = {Proceedings of the 3rd Workshop on Advances in Language and Vision Research},
      year = {2024}
    }"""
    urls = ("https://github.com/gregor-ge/mBLIP",)

    def _compute(
        self, *, predictions: Sequence[str], references: Sequence[str], candidates: Sequence[str]
    ) -> dict[str, Any]:
        scores = score_choices(predictions, references, candidates)
        return {
            "choice_accuracy": scores.accuracy,
            "is_right": list(scores.is_right),
            "chosen": list(scores.chosen),
            "classes": {name: vars(counts) for name, counts in scores.classes.items()},
            "num_no_candidate": scores.num_no_candidate,
            "num_empty": scores.num_empty,
        }
