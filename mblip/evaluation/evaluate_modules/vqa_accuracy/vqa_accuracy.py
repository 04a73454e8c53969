"""VQA accuracy as the official evaluator of VQAv2 computes it, with all its cleaning of answers.

Args:
    predictions (list of str): the answers.
    references (list of list of str): the answers of all annotators to each question, ten in VQAv2.
    question_types (list of str): optional, with `answer_types`: `question_type` of each annotation.
    answer_types (list of str): optional, with `question_types`: `answer_type` of each annotation.
Returns:
    vqa_accuracy: 0 to 1, unrounded; per_question: of each answer; num_empty, and num_empty_credited: how many of them
    the official evaluator finds right, at least in part. Where types are given also official: its summary in per cent
    of two digits, with overall, per_question_type and per_answer_type.
Example:
    >>> vqa_accuracy = evaluate.load("mblip/evaluation/evaluate_modules/vqa_accuracy")
    >>> vqa_accuracy.compute(predictions=["Two."], references=[["2", "two", "2", "three"]])["per_question"]
    [0.75]
"""

from collections.abc import Sequence
from typing import Any

from mblip.evaluation.evaluate_modules.metric_module import REFERENCE_LISTS, MetricModule
from mblip.evaluation.metrics.vqa_accuracy import official_vqa_summary, score_vqa


class VqaAccuracy(MetricModule):
    columns = REFERENCE_LISTS
    bibtex = """@inproceedings{antol2015vqa,
      title = {{VQA}: Visual Question Answering},
      author = {Antol, Stanislaw and Agrawal, Aishwarya and Lu, Jiasen and Mitchell, Margaret and Batra, Dhruv and
                Zitnick, C. Lawrence and Parikh, Devi},
      booktitle = {ICCV},
      year = {2015}
    }"""
    urls = ("https://visualqa.org/evaluation.html",)

    def _compute(
        self,
        *,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        question_types: Sequence[str] | None = None,
        answer_types: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        scores = score_vqa(predictions, references)
        found: dict[str, Any] = {
            "vqa_accuracy": scores.accuracy,
            "per_question": list(scores.per_question),
            "num_empty": scores.num_empty,
            "num_empty_credited": scores.num_empty_credited,
        }
        if question_types is None and answer_types is None:
            return found
        summary = official_vqa_summary(scores.per_question, question_types or (), answer_types or ())
        official = {
            "overall": summary.overall,
            "per_question_type": dict(summary.per_question_type),
            "per_answer_type": dict(summary.per_answer_type),
        }
        return found | {"official": official}
