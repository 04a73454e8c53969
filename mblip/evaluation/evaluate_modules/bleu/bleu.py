"""BLEU-1 to BLEU-4 of captions as pycocoevalcap computes them, without Java, in any language.

Returns:
    bleu_1 to bleu_4: of the set, 0 to 1; per_image: lists under the same four names, a value for each image;
    tokenization: how the captions became words.
Example:
    >>> bleu = evaluate.load("mblip/evaluation/evaluate_modules/bleu")
    >>> bleu.compute(predictions=["a dog", "two cats"], references=[["a dog"], ["two cats", "cats"]])["bleu_1"]
    0.9999999995000004
"""

from typing import Any

from mblip.evaluation.evaluate_modules.metric_module import CaptionModule
from mblip.evaluation.metrics.bleu import bleu
from mblip.evaluation.metrics.caption_tokens import CaptionTokens
from mblip.evaluation.metrics.ngram_counts import count_ngrams


class Bleu(CaptionModule):
    bibtex = """@inproceedings{papineni2002bleu,
      title = {BLEU: a Method for Automatic Evaluation of Machine Translation},
      author = {Papineni, Kishore and Roukos, Salim and Ward, Todd and Zhu, Wei-Jing},
      booktitle = {ACL},
      year = {2002}
    }"""
    urls = ("https://aclanthology.org/P02-1040",)

    def _score(self, tokens: CaptionTokens) -> dict[str, Any]:
        scores = bleu(count_ngrams(tokens.hypotheses, tokens.references))
        by_name = {f"bleu_{order}": score for order, score in enumerate(scores, start=1)}
        per_image = {name: list(score.per_image) for name, score in by_name.items()}
        return {name: score.overall for name, score in by_name.items()} | {"per_image": per_image}
