"""Language fidelity: the share of outputs that are in the language asked for.

A measure of Centurio (arXiv 2501.05122). The language here is the one that py3langid 0.4.0 finds most probable, or for
the seven languages it lacks what unlisted_languages.py tells. An empty output is in no language, and neither is one
without letters.

Which languages can be found moves the figure. Of 19,851 human captions of XM3600 in 33 languages, these are recognised
in per cent, mean of languages (`python benchmarks/fidelity_error.py captions.jsonl --candidates ...`):

| candidates | recognised | lowest | captions in other languages taken for it |
|---|---:|---:|---:|
| `all`: the 140 that py3langid knows | 96.2 | 63.7 (hr, for Bosnian) | 0.03 |
| `mix`: the 96 of the mix, hr and quz | 97.8 | 87.7 (hr, for Slovenian) | 0.05 |
| `given`: the 33 | 98.9 | 90.0 (sv, for Danish) | 0.13 |

`mix` is taken: a model answers in what it was trained in, and the candidates must hold that. With `given`, of 80 texts
each (Babel-ImageNet's translated prompts), 65 Slovenian ones pass for Croatian, 56 Slovak for Czech, 54 Galician for
Portuguese, 78 Bulgarian for Ukrainian, 80 Kannada for Quechua. The price is that near languages are taken for each
other more often, which `num_near` counts.

Short outputs say little: 91 % of the captions below 20 characters are recognised, 97 % of those up to 50, 99 % of the
longer ones, and 60 % of Babel-ImageNet's labels. So this measures captions, not answers of one word.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from mblip.data.language_check import PY3LANGID_LABELS, load_identifier
from mblip.data.languages import LANGUAGES

from ..languages import UNSEEN_LANGUAGES, evaluation_language
from .unlisted_languages import UNLISTED, is_unlisted

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

MIX = frozenset({*LANGUAGES, *UNSEEN_LANGUAGES})  # what can be found unless said otherwise
EMPTY = ""  # in place of a language: there is no output
UNKNOWN = "und"  # ISO 639: undetermined; there are no letters, or none that py3langid knows

# What at least 1 % of a language's human captions (XM3600, xFlickrCO) are taken for, most frequent first.
NEAR_LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "cs": ("sk",),
    "da": ("no",),
    "es": ("gl",),
    "hr": ("sl", "sr"),
    "id": ("ms",),
    "nl": ("af",),
    "no": ("da",),
    "pt": ("gl", "es"),
    "ru": ("bg", "mk"),
    "sv": ("da", "no"),
}
CODES: Mapping[str, str] = {label: code for code, label in PY3LANGID_LABELS.items()}


@dataclass(frozen=True)
class FidelityScores:
    """The fidelity of outputs that were asked for in one language.

    `share` of them are in it. `found` is the language of each, `EMPTY` or `UNKNOWN`; `is_right` whether that is the
    one asked for. Of the wrong ones `num_empty` are empty, and `num_near` in a language so near that human captions in
    the one asked for are taken for it (`NEAR_LANGUAGES`).
    """

    share: float
    found: tuple[str, ...]
    is_right: tuple[bool, ...]
    num_empty: int
    num_near: int

    @property
    def wrong_languages(self) -> dict[str, int]:
        """How many outputs are in which other language, most frequent first; empty ones are not among them."""
        pairs = zip(self.found, self.is_right, strict=True)
        return dict(Counter(code for code, is_right in pairs if not is_right and code != EMPTY).most_common())


def language_fidelity(
    outputs: Sequence[str], language: str, *, candidates: frozenset[str] | None = MIX
) -> FidelityScores:
    """The share of outputs that are in a language.

    Args:
        language: the code asked for, of the mix or of `UNSEEN_LANGUAGES`.
        candidates: the languages that can be found; None: all that py3langid knows.

    Raises:
        ValueError: the language is unknown or not among the candidates, or there are no outputs.
        ImportError: py3langid is not installed.
    """
    code = evaluation_language(language).code
    if not outputs:
        raise ValueError(f"Found no outputs in {code!r} to identify the language of, expected at least one.")
    if candidates is not None and code not in candidates:
        raise ValueError(f"Found no {code!r} among the {len(candidates)} candidates. Add the language asked for.")
    found = tuple(find_language(output, asked=code, candidates=candidates) for output in outputs)
    is_right = tuple(one == code for one in found)
    return FidelityScores(
        share=sum(is_right) / len(found),
        found=found,
        is_right=is_right,
        num_empty=found.count(EMPTY),
        num_near=sum(one in NEAR_LANGUAGES.get(code, ()) for one in found),
    )


def find_language(text: str, *, asked: str | None = None, candidates: frozenset[str] | None = MIX) -> str:
    """The language of a text: a code, `EMPTY` or `UNKNOWN`. One that py3langid lacks is found only if `asked` for."""
    if not text.strip():
        return EMPTY
    if not any(character.isalpha() for character in text):
        return UNKNOWN
    identifier = _identifier(candidates)
    if asked in UNLISTED and is_unlisted(text, asked, {_code(label): share for label, share in identifier.rank(text)}):
        return asked
    found = identifier.classify(text)
    return UNKNOWN if found == _found_in_nothing(candidates) else _code(found[0])


def _code(label: str) -> str:
    """Our code of a language that py3langid calls `label`; its own where we have none."""
    return CODES.get(label, label)


@cache
def _identifier(candidates: frozenset[str] | None) -> "LanguageIdentifier":
    return load_identifier(candidates)


@cache
def _found_in_nothing(candidates: frozenset[str] | None) -> tuple[str, float]:
    """What py3langid says of a text that tells it nothing."""
    label, probability = _identifier(candidates).classify("")
    return label, probability
