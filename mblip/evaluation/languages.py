"""The languages of the benchmarks: the 96 of the training mix, and two that it does not contain.

Some benchmarks use other codes than the mix (XM3600's `he` is our `iw`); `mix_code` converts them. Prompts name
languages as training does, or as the original evaluation does, including its misspellings. The choice matters: a model
trained on "Persian" has never seen "Farsi".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from mblip.data.languages import LANGUAGES, OTHER_CODES, get_language

LanguageNames = Literal["trained", "original", "pangea"]

# Where the names of gregor-ge/mBLIP (commit 0380e68, data/xm3600/convert_xm3600_to_coco.py:14-21) and of neulab/Pangea
# (commit ecc4403, tasks/xm100/xm100_*.yaml:9, tasks/maxm/maxm_*.yaml:40) differ from ours.
OTHER_NAMES: Mapping[LanguageNames, Mapping[str, str]] = MappingProxyType(
    {
        "trained": {},
        "original": {"bn": "Bengali", "fa": "Farsi", "pt": "Portugese", "uk": "Ukranian"},
        "pangea": {"bn": "Bengali"},
    }
)


@dataclass(frozen=True)
class EvaluationLanguage:
    """A language of an evaluation. `script` is an ISO 15924 code. `is_seen`: it is one of the 96 languages of the
    training mix, or added by a recipe. `mc4_share_percent` is its share of mC4 (0 if it is not known)."""

    code: str
    name: str
    script: str
    is_seen: bool
    mc4_share_percent: float


UNSEEN_LANGUAGES: Mapping[str, EvaluationLanguage] = MappingProxyType(
    {
        code: EvaluationLanguage(code, name, script="Latn", is_seen=False, mc4_share_percent=0.0)
        for code, name in (("hr", "Croatian"), ("quz", "Quechua"))
    }
)


def evaluation_language(code: object) -> EvaluationLanguage:
    """The language with this code, from the mix or `UNSEEN_LANGUAGES`.

    Raises:
        ValueError: the code is unknown; the message names the nearest codes.
    """
    if isinstance(code, str) and code in UNSEEN_LANGUAGES:
        return UNSEEN_LANGUAGES[code]
    known = get_language(code)
    return EvaluationLanguage(known.code, known.name, known.script, True, known.mc4_share_percent)


def mix_code(benchmark_code: str) -> str:
    """Convert a benchmark's language code to ours. Raises ValueError for an unknown code."""
    is_known = benchmark_code in LANGUAGES or benchmark_code in UNSEEN_LANGUAGES
    code = benchmark_code if is_known else OTHER_CODES.get(benchmark_code, benchmark_code)
    return evaluation_language(code).code


def prompt_language(code: object, names: LanguageNames = "trained") -> str:
    """The name of a language in prompts."""
    language = evaluation_language(code)
    return OTHER_NAMES[names].get(language.code, language.name)


def check_languages(codes: Sequence[str]) -> None:
    """Raise ValueError for an unknown or repeated code."""
    for code in codes:
        evaluation_language(code)
    repeated = sorted({code for code in codes if codes.count(code) > 1})
    if repeated:
        raise ValueError(f"`languages` lists {', '.join(repeated)} more than once. Keep one of each.")
