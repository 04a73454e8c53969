"""BLEU-1 to BLEU-4 of captions as a module of the `evaluate` library; see evaluation_mblip/metrics/bleu.py."""

from collections.abc import Sequence
from typing import Any

import evaluate

from evaluation_mblip.evaluate_modules.caption_inputs import TOKENIZED_INPUTS, caption_features
from evaluation_mblip.metrics.bleu import bleu
from evaluation_mblip.metrics.caption_tokens import Tokenization, tokenize_captions
from evaluation_mblip.metrics.ngram_counts import count_ngrams

DESCRIPTION = "BLEU-1 to BLEU-4 of captions as pycocoevalcap computes them, without Java, in any language."
RETURNS = """
Returns:
    bleu_1 to bleu_4: of the set, 0 to 1; per_image: lists under the same four names, a value for each image;
    tokenization: how the captions became words.
Example:
    >>> bleu = evaluate.load("evaluation_mblip/evaluate_modules/bleu")
    >>> bleu.compute(predictions=["a dog", "two cats"], references=[["a dog"], ["two cats", "cats"]])["bleu_1"]
    0.9999999995000004
"""
CITATION = """@inproceedings{papineni2002bleu,
  title = {BLEU: a Method for Automatic Evaluation of Machine Translation},
  author = {Papineni, Kishore and Roukos, Salim and Ward, Todd and Zhu, Wei-Jing},
  booktitle = {ACL},
  year = {2002}
}"""


class Bleu(evaluate.Metric):
    """Thin: the arguments go to `tokenize_captions`, the tokens to `bleu`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=TOKENIZED_INPUTS + RETURNS,
            features=caption_features(),
            reference_urls=["https://aclanthology.org/P02-1040"],
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
        scores = {
            f"bleu_{order}": score
            for order, score in enumerate(bleu(count_ngrams(tokens.hypotheses, tokens.references)), start=1)
        }
        overall = {name: score.overall for name, score in scores.items()}
        per_image = {name: list(score.per_image) for name, score in scores.items()}
        return overall | {"per_image": per_image, "tokenization": tokens.description}
