"""The languages of the benchmarks: the 96 of the training mix, and those that no training has shown.

Benchmarks write some codes otherwise than the mix (XM3600's `he` is `iw`); `mix_code` turns theirs into ours. The
names in prompts are those that training used, or those that the original's evaluation wrote, misspelt ones included: a
model trained on "Persian" and asked for "Farsi" is asked for something it has never seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from mblip.data.languages import LANGUAGES, OTHER_CODES, get_language

LanguageNames = Literal["trained", "original"]

# The evaluation of gregor-ge/mBLIP (commit 0380e68, data/xm3600/convert_xm3600_to_coco.py), where it differs.
ORIGINAL_NAMES: Mapping[str, str] = MappingProxyType(
    {"bn": "Bengali", "fa": "Farsi", "pt": "Portugese", "uk": "Ukranian"}
)


@dataclass(frozen=True)
class EvaluationLanguage:
    """A language that is asked in. `script` is ISO 15924; `is_seen`: it is among the 96 of the training mix, whose
    share of mC4 is `mc4_share_percent` (0 for the others)."""

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
    """The language of a code of the mix, or of `UNSEEN_LANGUAGES`.

    Raises:
        ValueError: it is neither; the message names the nearest codes.
    """
    if isinstance(code, str) and code in UNSEEN_LANGUAGES:
        return UNSEEN_LANGUAGES[code]
    known = get_language(code)
    return EvaluationLanguage(known.code, known.name, known.script, True, known.mc4_share_percent)


def mix_code(benchmark_code: str) -> str:
    """Our code of a language that a benchmark writes its own way; ValueError for one that nobody knows."""
    is_known = benchmark_code in LANGUAGES or benchmark_code in UNSEEN_LANGUAGES
    code = benchmark_code if is_known else OTHER_CODES.get(benchmark_code, benchmark_code)
    return evaluation_language(code).code


def prompt_language(code: object, names: LanguageNames = "trained") -> str:
    """What a prompt calls a language."""
    language = evaluation_language(code)
    return ORIGINAL_NAMES.get(language.code, language.name) if names == "original" else language.name


def check_languages(codes: Sequence[str]) -> None:
    """Raises ValueError for an unknown code, or a repeated one."""
    for code in codes:
        evaluation_language(code)
    repeated = sorted({code for code in codes if codes.count(code) > 1})
    if repeated:
        raise ValueError(f"`languages` names {', '.join(repeated)} more than once. Keep one of each.")
