"""chrF of texts as sacrebleu computes it, from 0 to 1, for the set and for each image.

Args:
    predictions (list of str): one caption for each image.
    references (list of list of str): one or more captions for each image; their number may differ.
Returns:
    chrf: of the set, 0 to 1; per_image: of each image.
Example:
    >>> chrf = evaluate.load("mblip/evaluation/evaluate_modules/chrf")
    >>> chrf.compute(predictions=["a dog", "two cats"], references=[["a dog"], ["two cats", "cats"]])["per_image"]
    [1.0, 1.0]
"""

from collections.abc import Sequence
from typing import Any

from mblip.evaluation.evaluate_modules.metric_module import REFERENCE_LISTS, MetricModule
from mblip.evaluation.metrics.chrf import chrf


class Chrf(MetricModule):
    columns = REFERENCE_LISTS
    bibtex = """@inproceedings{popovic2015chrf,
      title = {chrF: character n-gram F-score for automatic MT evaluation},
      author = {Popovi{\\'c}, Maja},
      booktitle = {Proceedings of the Tenth Workshop on Statistical Machine Translation},
      year = {2015}
    }"""
    urls = ("https://aclanthology.org/W15-3049",)

    def _compute(self, *, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Any]:
        scores = chrf(predictions, references)
        return {"chrf": scores.overall, "per_image": list(scores.per_image)}
