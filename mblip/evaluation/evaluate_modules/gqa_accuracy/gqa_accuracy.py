"""Exact match of answers to GQA and xGQA after the VQA evaluator's cleaning, and mBLIP's relaxed match.

Args:
    predictions (list of str): the answers.
    references (list of str): the right answer to each question.
Returns:
    gqa_accuracy: 0 to 1, and relaxed_accuracy, for which an answer need only begin or end with the reference;
    is_right and is_relaxed_right: of each answer; num_empty; num_unreachable: references that no answer equals.
Example:
    >>> gqa_accuracy = evaluate.load("mblip/evaluation/evaluate_modules/gqa_accuracy")
    >>> gqa_accuracy.compute(predictions=["The left.", "on the left"], references=["left", "left"])["is_right"]
    [True, False]
"""

from collections.abc import Sequence
from typing import Any

from mblip.evaluation.evaluate_modules.metric_module import ONE_REFERENCE, MetricModule
from mblip.evaluation.metrics.gqa_accuracy import score_gqa


class GqaAccuracy(MetricModule):
    columns = ONE_REFERENCE
    bibtex = """@inproceedings{hudson2019gqa,
      title = {{GQA}: A New Dataset for Real-World Visual Reasoning and Compositional Question Answering},
      author = {Hudson, Drew A. and Manning, Christopher D.},
      booktitle = {CVPR},
      year = {2019}
    }"""
    urls = ("https://github.com/gregor-ge/mBLIP",)

    def _compute(self, *, predictions: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
        scores = score_gqa(predictions, references)
        return {
            "gqa_accuracy": scores.accuracy,
            "relaxed_accuracy": scores.relaxed_accuracy,
            "is_right": list(scores.is_right),
            "is_relaxed_right": list(scores.is_relaxed_right),
            "num_empty": scores.num_empty,
            "num_unreachable": scores.num_unreachable,
        }
