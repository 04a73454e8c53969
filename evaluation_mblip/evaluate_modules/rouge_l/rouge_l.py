"""ROUGE-L as a module of the `evaluate` library; see evaluation_mblip/metrics/rouge_l.py."""

from collections.abc import Sequence
from typing import Any

import evaluate

from evaluation_mblip.evaluate_modules.caption_inputs import TOKENIZED_INPUTS, caption_features
from evaluation_mblip.metrics.caption_tokens import Tokenization, tokenize_captions
from evaluation_mblip.metrics.rouge_l import rouge_l

DESCRIPTION = "ROUGE-L of captions as pycocoevalcap computes it, without Java, in any language."
RETURNS = """
Returns:
    rouge_l: of the set, 0 to 1; per_image: of each image; tokenization: how the captions became words.
Example:
    >>> rouge_l = evaluate.load("evaluation_mblip/evaluate_modules/rouge_l")
    >>> rouge_l.compute(predictions=["a dog", "cats"], references=[["a big dog"], ["two cats", "cats"]])["per_image"]
    [0.7721518987341772, 1.0]
"""
CITATION = """@inproceedings{lin2004rouge,
  title = {ROUGE: A Package for Automatic Evaluation of Summaries},
  author = {Lin, Chin-Yew},
  booktitle = {Text Summarization Branches Out},
  year = {2004}
}"""


class RougeL(evaluate.Metric):
    """Thin: the arguments go to `tokenize_captions`, the tokens to `rouge_l`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=TOKENIZED_INPUTS + RETURNS,
            features=caption_features(),
            reference_urls=["https://aclanthology.org/W04-1013"],
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
        scores = rouge_l(tokens.hypotheses, tokens.references)
        return {"rouge_l": scores.overall, "per_image": list(scores.per_image), "tokenization": tokens.description}
