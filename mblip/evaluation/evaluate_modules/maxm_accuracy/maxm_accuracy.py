"""Exact match of answers to MaXM with any of the processed answers, case and space around them apart.

Args:
    predictions (list of str): the answers.
    references (list of list of str): `processed_answers` of each question.
Returns:
    maxm_accuracy: 0 to 1; is_right: of each answer; num_empty: empty answers, never right.
Example:
    >>> maxm_accuracy = evaluate.load("mblip/evaluation/evaluate_modules/maxm_accuracy")
    >>> maxm_accuracy.compute(predictions=["Rouge", "le bleu"], references=[["rouge"], ["bleu"]])["is_right"]
    [True, False]
"""

from collections.abc import Sequence
from typing import Any

from mblip.evaluation.evaluate_modules.metric_module import REFERENCE_LISTS, MetricModule
from mblip.evaluation.metrics.maxm_accuracy import score_maxm


class MaxmAccuracy(MetricModule):
    columns = REFERENCE_LISTS
    bibtex = """@misc{changpinyo2022maxm,
      title = {{MaXM}: Towards Multilingual Visual Question Answering},
      author = {Changpinyo, Soravit and Xue, Linting and Yarom, Michal and Thapliyal, Ashish V. and Szpektor, Idan and
                Amelot, Julien and Chen, Xi and Soricut, Radu},
      year = {2022},
      eprint = {2209.05401},
      archivePrefix = {arXiv}
    }"""
    urls = ("https://arxiv.org/abs/2209.05401",)

    def _compute(self, *, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Any]:
        scores = score_maxm(predictions, references)
        return {
            "maxm_accuracy": scores.accuracy,
            "is_right": list(scores.is_right),
            "num_empty": scores.num_empty,
        }
