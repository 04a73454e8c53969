"""Accuracy, precision, recall, F1 and share of yes of answers to POPE, read as POPE's evaluate.py does.

Args:
    predictions (list of str): the answers.
    references (list of str): the right answer to each question, "yes" or "no".
    empty (str): what an empty answer is: `wrong` (default), or `yes`, as in POPE's evaluate.py.
Returns:
    accuracy, precision, recall, f1, yes_share: 0 to 1, with yes as the positive class, None where not defined;
    is_right: of each answer; num_empty; num_assumed_yes: answers read as yes without holding that word.
Example:
    >>> yes_no = evaluate.load("mblip/evaluation/evaluate_modules/yes_no")
    >>> yes_no.compute(predictions=["Yes.", "There is not"], references=["yes", "yes"])["is_right"]
    [True, False]
"""

from collections.abc import Sequence
from typing import Any

from mblip.evaluation.evaluate_modules.metric_module import ONE_REFERENCE, MetricModule
from mblip.evaluation.metrics.yes_no import EmptyAnswers, score_yes_no


class YesNo(MetricModule):
    columns = ONE_REFERENCE
    bibtex = """@inproceedings{li2023pope,
      title = {Evaluating Object Hallucination in Large Vision-Language Models},
      author = {Li, Yifan and Du, Yifan and Zhou, Kun and Wang, Jinpeng and Zhao, Wayne Xin and Wen, Ji-Rong},
      booktitle = {EMNLP},
      year = {2023}
    }"""
    urls = ("https://github.com/RUCAIBox/POPE",)

    def _compute(
        self, *, predictions: Sequence[str], references: Sequence[str], empty: EmptyAnswers = "wrong"
    ) -> dict[str, Any]:
        scores = score_yes_no(predictions, references, empty=empty)
        return {
            "accuracy": scores.accuracy,
            "precision": scores.precision,
            "recall": scores.recall,
            "f1": scores.f1,
            "yes_share": scores.yes_share,
            "is_right": list(scores.is_right),
            "num_empty": scores.num_empty,
            "num_assumed_yes": scores.num_assumed_yes,
        }
