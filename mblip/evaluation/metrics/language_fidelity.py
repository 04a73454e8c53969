"""Language fidelity: the share of outputs that are in the requested language.

The measure comes from Centurio (arXiv 2501.05122). We take the language that py3langid 0.4.0 finds most probable. For
the seven languages that it does not know, unlisted_languages.py decides. An empty output, or one without letters, is
in no language.

The set of candidate languages changes the figure. The table shows how many of 19,851 human captions of XM3600 in 33
languages are recognised, in per cent, as the mean over languages (`python benchmarks/fidelity_error.py captions.jsonl
--candidates ...`):

| candidates | recognised | lowest | captions in other languages taken for it |
|---|---:|---:|---:|
| `all`: the 140 that py3langid knows | 96.2 | 63.7 (hr, for Bosnian) | 0.03 |
| `mix`: the 96 of the mix, hr and quz | 97.8 | 87.7 (hr, for Slovenian) | 0.05 |
| `given`: the 33 | 98.9 | 90.0 (sv, for Danish) | 0.13 |

We use `mix`, because a model answers in the languages it was trained on. With `given`, too many answers in other
languages pass: of 80 texts each (Babel-ImageNet's translated prompts), 65 Slovenian ones pass as Croatian, 56 Slovak
as Czech, 54 Galician as Portuguese, 78 Bulgarian as Ukrainian and 80 Kannada as Quechua. The price of `mix` is that
near languages are confused more often; `num_near` counts that.

Use it for captions, not for one-word answers: 91 % of the captions below 20 characters are recognised, 97 % of those
up to 50, 99 % of the longer ones, but only 60 % of Babel-ImageNet's labels.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from mblip.data.language_check import PY3LANGID_LABELS, load_identifier
from mblip.data.languages import LANGUAGES

from ..languages import UNSEEN_LANGUAGES, evaluation_language
from .answers import check_text
from .unlisted_languages import UNLISTED, is_unlisted

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

MIX = frozenset({*LANGUAGES, *UNSEEN_LANGUAGES})  # the default candidates; languages that a recipe adds join them
EMPTY = ""  # the "language" of an empty output
UNKNOWN = "und"  # ISO 639: undetermined; no letters, or none that py3langid knows

# The languages that at least 1 % of a language's human captions (XM3600, xFlickrCO) are mistaken for, by frequency.
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
    """The fidelity of outputs that should be in one language.

    Args:
        share: the share of outputs in the requested language, from 0 to 1.
        found: the language of each output, `EMPTY` or `UNKNOWN`.
        is_right: whether each output is in the requested language.
        is_near: whether each output is in a language that human captions are often mistaken for (`NEAR_LANGUAGES`).
        num_empty: how many outputs are empty.
    """

    share: float
    found: tuple[str, ...]
    is_right: tuple[bool, ...]
    is_near: tuple[bool, ...]
    num_empty: int

    @property
    def num_near(self) -> int:
        """How many outputs are in a near language."""
        return sum(self.is_near)

    @property
    def wrong_languages(self) -> dict[str, int]:
        """Other language -> number of outputs in it, the most frequent first, without empty outputs."""
        pairs = zip(self.found, self.is_right, strict=True)
        return dict(Counter(code for code, is_right in pairs if not is_right and code != EMPTY).most_common())


def language_fidelity(
    outputs: Sequence[str], language: str, *, candidates: frozenset[str] | None = MIX
) -> FidelityScores:
    """The share of outputs that are in `language`.

    Args:
        language: the requested code, from the mix or `UNSEEN_LANGUAGES`.
        candidates: the languages to choose from; None: all that py3langid knows.

    Raises:
        ValueError: the language is unknown, not a candidate, or one that nothing here identifies, or there are no
            outputs.
        ImportError: py3langid is not installed.
    """
    code = evaluation_language(language).code
    if not outputs:
        raise ValueError(f"Found no outputs in {code!r} to identify the language of, expected at least one.")
    candidates = _with_added(candidates)
    if not is_identifiable(code):
        raise ValueError(f"py3langid does not know {code!r}, so nothing says whether outputs are in it.")
    if candidates is not None and code not in candidates:
        raise ValueError(f"Found no {code!r} among the {len(candidates)} candidates. Add the requested language.")
    for position, output in enumerate(outputs):
        check_text(output, f"Output {position}")
    found = tuple(find_language(output, asked=code, candidates=candidates) for output in outputs)
    is_right = tuple(one == code for one in found)
    return FidelityScores(
        share=sum(is_right) / len(found),
        found=found,
        is_right=is_right,
        is_near=tuple(one in NEAR_LANGUAGES.get(code, ()) for one in found),
        num_empty=found.count(EMPTY),
    )


def is_identifiable(code: str) -> bool:
    """Whether outputs in a language can be told: py3langid knows it, or unlisted_languages.py."""
    return code in UNLISTED or PY3LANGID_LABELS.get(code, code) in _identifier(None).labels


def _with_added(candidates: frozenset[str] | None) -> frozenset[str] | None:
    return frozenset({*MIX, *LANGUAGES}) if candidates is MIX else candidates


def find_language(text: str, *, asked: str | None = None, candidates: frozenset[str] | None = MIX) -> str:
    """The language of a text: a code, `EMPTY` or `UNKNOWN`. Languages that py3langid lacks must be `asked` for."""
    if not text.strip():
        return EMPTY
    if not any(character.isalpha() for character in text):
        return UNKNOWN
    candidates = _with_added(candidates)
    identifier = _identifier(candidates)
    if asked in UNLISTED and is_unlisted(text, asked, {_code(label): share for label, share in identifier.rank(text)}):
        return asked
    found = identifier.classify(text)
    return UNKNOWN if found == _found_in_nothing(candidates) else _code(found[0])


def _code(label: str) -> str:
    """Our code for py3langid's `label`, or the label itself if we have none."""
    return CODES.get(label, label)


@cache
def _identifier(candidates: frozenset[str] | None) -> "LanguageIdentifier":
    return load_identifier(candidates)


@cache
def _found_in_nothing(candidates: frozenset[str] | None) -> tuple[str, float]:
    """What py3langid returns for a text without information."""
    label, probability = _identifier(candidates).classify("")
    return label, probability
