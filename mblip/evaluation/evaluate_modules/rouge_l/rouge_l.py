"""ROUGE-L of captions as pycocoevalcap computes it, without Java, in any language.

Returns:
    rouge_l: of the set, 0 to 1; per_image: of each image; tokenization: how the captions became words.
Example:
    >>> rouge_l = evaluate.load("mblip/evaluation/evaluate_modules/rouge_l")
    >>> rouge_l.compute(predictions=["a dog", "cats"], references=[["a big dog"], ["two cats", "cats"]])["per_image"]
    [0.7721518987341772, 1.0]
"""

from typing import Any

from mblip.evaluation.evaluate_modules.metric_module import CaptionModule
from mblip.evaluation.metrics.caption_tokens import CaptionTokens
from mblip.evaluation.metrics.rouge_l import rouge_l


class RougeL(CaptionModule):
    bibtex = """@inproceedings{lin2004rouge,
      title = {ROUGE: A Package for Automatic Evaluation of Summaries},
      author = {Lin, Chin-Yew},
      booktitle = {Text Summarization Branches Out},
      year = {2004}
    }"""
    urls = ("https://aclanthology.org/W04-1013",)

    def _score(self, tokens: CaptionTokens) -> dict[str, Any]:
        scores = rouge_l(tokens.hypotheses, tokens.references)
        return {"rouge_l": scores.overall, "per_image": list(scores.per_image)}
