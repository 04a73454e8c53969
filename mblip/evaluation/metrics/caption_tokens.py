"""Turns captions into the tokens that captioning metrics compare.

The steps are those of the original evaluation (gregor-ge/mBLIP, src/tasks/vllm/evaluation.py:98-113): segmentation of
zh, ja and th (hypotheses and references), NFC, then the Penn Treebank tokens of COCO's evaluation, in lower case and
without punctuation.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Literal

from ..languages import evaluation_language
from .image_scores import check_captions
from .ptb import ptb_tokenize
from .segmentation import Segmenter, load_segmenter

Tokenization = Literal["ptb", "characters", "segmented"]
TOKENIZATIONS: tuple[Tokenization, ...] = ("ptb", "characters", "segmented")


@dataclass(frozen=True)
class CaptionTokens:
    """The tokens of each image's hypothesis and references. `description` records how they were made."""

    hypotheses: list[list[str]]
    references: list[list[list[str]]]
    description: str


def tokenize_captions(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    language: str = "en",
    tokenization: Tokenization = "ptb",
    ignored: re.Pattern[str] | None = None,
) -> CaptionTokens:
    """Tokenize one hypothesis and one or more references per image.

    Args:
        language: a code of mblip/evaluation/languages.py. It only affects segmentation.
        tokenization: `ptb` is the usual one. `characters` splits zh, ja and th into characters instead of words, and
            equals `ptb` in all other languages. `segmented`: the captions already have spaces between words.
        ignored: what to remove from hypotheses, after segmentation.

    Raises:
        ValueError: language or tokenization is unknown, there are no images, an image has no reference, or hypotheses
            and references differ in length.
        TypeError: a hypothesis or reference is no text.
        ImportError: the library that segments the language is not installed.
    """
    check_captions(hypotheses, references)
    code = evaluation_language(language).code
    if tokenization not in TOKENIZATIONS:
        raise ValueError(f"Found the tokenization {tokenization!r}, expected one of {', '.join(TOKENIZATIONS)}.")
    by_character = tokenization == "characters"
    segmenter = None if tokenization == "segmented" else load_segmenter(code, by_character=by_character)
    # Two documents, as in pycocoevalcap: the tokens of a text may depend on the next one (ptb/tokenizer.py).
    tokens = iter(ptb_tokenize(_prepare(chain.from_iterable(references), segmenter)))
    prepared = _prepare(hypotheses, segmenter)
    return CaptionTokens(
        hypotheses=ptb_tokenize(prepared if ignored is None else [ignored.sub("", text) for text in prepared]),
        references=[list(islice(tokens, len(group))) for group in references],
        description=_description(tokenization, segmenter.name if segmenter else None),
    )


def _prepare(texts: Iterable[str], segmenter: Segmenter | None) -> list[str]:
    """The texts with spaces between the words, then in NFC."""
    spaced = (" ".join(segmenter.words(text)) for text in texts) if segmenter else texts
    return [unicodedata.normalize("NFC", text) for text in spaced]


def _description(tokenization: Tokenization, segmenter: str | None) -> str:
    words = segmenter or ("segmented before" if tokenization == "segmented" else "words as written")
    return f"{words}; NFC; PTB tokens, lower case, no punctuation"
