"""Splits Chinese, Japanese and Thai captions, which have no spaces, into words.

The original evaluation (gregor-ge/mBLIP, data/xm3600/convert_xm3600_to_coco.py and src/tasks/vllm/evaluation.py)
segments hypotheses and references of these three languages only, with spaCy's `Chinese()`, `Japanese()` and `Thai()`.
`Chinese()` splits into characters, which needs no library. The other two call SudachiPy in its finest mode and
PyThaiNLP's default engine. We call these directly and get the same words. All other languages stay as they are. Khmer,
Lao and Burmese captions therefore consist of a few long words, as in the original.

A language that a recipe adds is split into characters if its script is Hans or Hant, as Cantonese is.

Another version of a dictionary may split differently. `Segmenter.name` records the versions.
"""

import functools
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from types import MappingProxyType

from mblip.data.languages import LANGUAGES


@dataclass(frozen=True)
class Segmenter:
    """`words` splits a text into words, without white space. `name` describes the method, with versions."""

    name: str
    words: Callable[[str], list[str]]


def load_segmenter(language: str, *, by_character: bool = False) -> Segmenter | None:
    """The segmenter of a language; None if the language is not segmented.

    Args:
        by_character: split all three languages into characters, without a library. Combining marks, such as Thai
            vowels and tones, stay with the character before them.

    Raises:
        ImportError: the library is not installed; the message has the command to install it.
    """
    loader = _LOADERS.get(language)
    if loader is None and language in LANGUAGES and LANGUAGES[language].script in ("Hans", "Hant"):
        loader = _load_chinese
    if loader is None:
        return None
    return Segmenter("characters", _characters) if by_character else loader()


def _characters(text: str) -> list[str]:
    characters: list[str] = []
    for sign in text:
        if characters and unicodedata.category(sign).startswith("M"):
            characters[-1] += sign
        elif not sign.isspace():
            characters.append(sign)
    return characters


def _load_chinese() -> Segmenter:
    return Segmenter("code points", _code_points)


def _code_points(text: str) -> list[str]:
    return [sign for sign in text if not sign.isspace()]


@functools.cache
def _load_japanese() -> Segmenter:
    try:
        from sudachipy import Dictionary, SplitMode

        tokenizer = Dictionary().tokenizer(mode=SplitMode.A)
    except ImportError as error:
        raise ImportError(_how_to_install("Japanese", "SudachiPy with sudachidict_core", "ja")) from error

    def words(text: str) -> list[str]:
        # Characters that SudachiPy expands, such as the ellipsis, leave empty words.
        surfaces = (morpheme.surface() for morpheme in tokenizer.tokenize(text))
        return [surface for surface in surfaces if surface.strip()]

    return Segmenter(
        f"SudachiPy {version('SudachiPy')}, mode A, sudachidict_core {version('sudachidict_core')}", words
    )


@functools.cache
def _load_thai() -> Segmenter:
    try:
        from pythainlp.tokenize import word_tokenize
    except ImportError as error:
        raise ImportError(_how_to_install("Thai", "PyThaiNLP", "th")) from error

    def words(text: str) -> list[str]:
        return [word for word in word_tokenize(text, engine="newmm") if word.strip()]

    return Segmenter(f"PyThaiNLP {version('pythainlp')}, newmm", words)


def _how_to_install(language: str, library: str, extra: str) -> str:
    return (
        f"{language} captions are segmented by {library}, which is not installed: `pip install mblip[{extra}]`, "
        'or score them with tokenization="characters".'
    )


_LOADERS: Mapping[str, Callable[[], Segmenter]] = MappingProxyType(
    {"zh": _load_chinese, "ja": _load_japanese, "th": _load_thai}
)
