"""CIDEr-D as a module of the `evaluate` library; see evaluation_mblip/metrics/cider.py."""

from collections.abc import Sequence
from typing import Any

import evaluate

from evaluation_mblip.evaluate_modules.caption_inputs import TOKENIZED_INPUTS, caption_features
from evaluation_mblip.metrics.caption_tokens import Tokenization, tokenize_captions
from evaluation_mblip.metrics.cider import cider_d
from evaluation_mblip.metrics.ngram_counts import count_ngrams

DESCRIPTION = "CIDEr-D of captions as pycocoevalcap computes it, without Java, in any language."
RETURNS = """
Returns:
    cider_d: of the set, 0 to 10; per_image: of each image; tokenization: how the captions became words.
Example:
    >>> cider_d = evaluate.load("evaluation_mblip/evaluate_modules/cider_d")
    >>> cider_d.compute(predictions=["a dog", "two cats"], references=[["a dog"], ["two cats", "cats"]])["per_image"]
    [5.0, 3.371692174880071]
"""
CITATION = """@inproceedings{vedantam2015cider,
  title = {CIDEr: Consensus-based Image Description Evaluation},
  author = {Vedantam, Ramakrishna and Zitnick, C. Lawrence and Parikh, Devi},
  booktitle = {CVPR},
  year = {2015}
}"""


class CiderD(evaluate.Metric):
    """Thin: the arguments go to `tokenize_captions`, the tokens to `cider_d`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=TOKENIZED_INPUTS + RETURNS,
            features=caption_features(),
            reference_urls=["https://arxiv.org/abs/1411.5726"],
        )

    def _compute(
        self,
        *,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        language: str = "en",
        tokenization: Tokenization = "ptb",
    ) -> dict[str, Any]:
        tokens = tokenize_captions(predictions, references, language=language, tokenization=tokenization)
        scores = cider_d(count_ngrams(tokens.hypotheses, tokens.references))
        return {"cider_d": scores.overall, "per_image": list(scores.per_image), "tokenization": tokens.description}
