"""chrF as a module of the `evaluate` library; see evaluation_mblip/metrics/chrf.py."""

from collections.abc import Sequence
from typing import Any

import evaluate

from evaluation_mblip.evaluate_modules.caption_inputs import CAPTION_INPUTS, caption_features
from evaluation_mblip.metrics.chrf import chrf

DESCRIPTION = "chrF of texts as sacrebleu computes it, from 0 to 1, for the set and for each image."
RETURNS = """
Returns:
    chrf: of the set, 0 to 1; per_image: of each image.
Example:
    >>> chrf = evaluate.load("evaluation_mblip/evaluate_modules/chrf")
    >>> chrf.compute(predictions=["a dog", "two cats"], references=[["a dog"], ["two cats", "cats"]])["per_image"]
    [1.0, 1.0]
"""
CITATION = """@inproceedings{popovic2015chrf,
  title = {chrF: character n-gram F-score for automatic MT evaluation},
  author = {Popovi{\'c}, Maja},
  booktitle = {Proceedings of the Tenth Workshop on Statistical Machine Translation},
  year = {2015}
}"""


class Chrf(evaluate.Metric):
    """Thin: everything goes to `chrf`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=CAPTION_INPUTS + RETURNS,
            features=caption_features(),
            reference_urls=["https://aclanthology.org/W15-3049"],
        )

    def _compute(self, *, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Any]:
        scores = chrf(predictions, references)
        return {"chrf": scores.overall, "per_image": list(scores.per_image)}
