"""The share of outputs that are in the language asked for, in any of 98 languages.

Args:
    predictions (list of str): the outputs.
    language (str): code of the language asked for, as the training mix writes it (`iw` for Hebrew), `hr` or `quz`.
Returns:
    language_fidelity: 0 to 1; found: the language of each output, "und" where it has no letters, "" where it is empty;
    wrong_languages: how many outputs are in which other language; num_empty; num_near: in a language so near that
    human captions in the one asked for are taken for it.
Example:
    >>> fidelity = evaluate.load("mblip/evaluation/evaluate_modules/language_fidelity")
    >>> fidelity.compute(predictions=["Zwei Hunde spielen im Schnee", "Two dogs in the snow", ""], language="de")
    {'language_fidelity': 0.3333333333333333, 'found': ['de', 'en', ''], 'wrong_languages': {'en': 1}, 'num_empty': 1,
     'num_near': 0}
"""

from collections.abc import Sequence
from typing import Any

import datasets

from mblip.evaluation.evaluate_modules.metric_module import MetricModule
from mblip.evaluation.metrics.language_fidelity import language_fidelity


class LanguageFidelity(MetricModule):
    columns = datasets.Features({"predictions": datasets.Value("string")})
    bibtex = """@misc{geigle2025centurio,
      title = {Centurio: On Drivers of Multilingual Ability of Large Vision-Language Model},
      author = {Geigle, Gregor and Schneider, Florian and Holtermann, Carolin and Biemann, Chris and Timofte, Radu and
                Lauscher, Anne and Glava{\\v{s}}, Goran},
      year = {2025},
      eprint = {2501.05122},
      archivePrefix = {arXiv}
    }"""
    urls = ("https://arxiv.org/abs/2501.05122",)

    def _compute(self, *, predictions: Sequence[str], language: str) -> dict[str, Any]:
        scores = language_fidelity(predictions, language)
        return {
            "language_fidelity": scores.share,
            "found": list(scores.found),
            "wrong_languages": scores.wrong_languages,
            "num_empty": scores.num_empty,
            "num_near": scores.num_near,
        }
