"""CIDEr-D of captions as pycocoevalcap computes it, without Java, in any language.

Returns:
    cider_d: of the set, 0 to 10; per_image: of each image; tokenization: how the captions became words.
Example:
    >>> cider_d = evaluate.load("mblip/evaluation/evaluate_modules/cider_d")
    >>> cider_d.compute(predictions=["a dog", "two cats"], references=[["a dog"], ["two cats", "cats"]])["per_image"]
    [5.0, 3.371692174880071]
"""

from typing import Any

from mblip.evaluation.evaluate_modules.metric_module import CaptionModule
from mblip.evaluation.metrics.caption_tokens import CaptionTokens
from mblip.evaluation.metrics.cider import cider_d
from mblip.evaluation.metrics.ngram_counts import count_ngrams


class CiderD(CaptionModule):
    bibtex = """@inproceedings{vedantam2015cider,
      title = {CIDEr: Consensus-based Image Description Evaluation},
      author = {Vedantam, Ramakrishna and Zitnick, C. Lawrence and Parikh, Devi},
      booktitle = {CVPR},
      year = {2015}
    }"""
    urls = ("https://arxiv.org/abs/1411.5726",)

    def _score(self, tokens: CaptionTokens) -> dict[str, Any]:
        scores = cider_d(count_ngrams(tokens.hypotheses, tokens.references))
        return {"cider_d": scores.overall, "per_image": list(scores.per_image)}
