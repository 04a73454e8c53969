"""Splitting English texts into sentences.

NLLB was trained on single sentences. Given several, it drops some. We cut at line breaks, and after `.`, `!` or `?` if
white space and then anything but a small letter follows. We never cut inside a quotation, after an abbreviation or an
initial, or after the number of a list item. In doubt, the sentences stay together.
"""

import re
from dataclasses import dataclass

from .protected_text import find_protected

ABBREVIATIONS = frozenset("mr mrs ms dr st mt jr sr vs no prof gen col capt sgt lt inc ltd co corp etc approx".split())  # noqa: SIM905
_END = re.compile(r"(?:[.!?]+[\"'”’)\]]*\s+(?=[^a-z\s])|\s*\n\s*)")
_LAST_WORD = re.compile(r"(\S*?)\.[\"'”’)\]]*\s+\Z")


@dataclass(frozen=True)
class Sentence:
    """A sentence, and the white space between it and the next."""

    text: str
    gap: str


def split_sentences(text: str) -> list[Sentence]:
    """The sentences of a text. Joined with their gaps, they give the text."""
    quoted = [span for span in find_protected(text) if span.kind == "quoted"]
    sentences, start = [], 0
    for match in _END.finditer(text):
        if any(span.start < match.end() - 1 < span.end for span in quoted):
            continue
        if not _is_abbreviation(text[start : match.end()]):
            sentences.append(_sentence(text[start : match.end()]))
            start = match.end()
    if start < len(text) or not text:
        sentences.append(_sentence(text[start:]))
    return sentences


def _sentence(text: str) -> Sentence:
    return Sentence(text.rstrip(), text[len(text.rstrip()) :])


def _is_abbreviation(sentence: str) -> bool:
    """Whether the final full stop belongs to a word ("Mr. ", "J. ", "U.S. ") or to a list number ("2. ")."""
    match = _LAST_WORD.search(sentence)
    if match is None or "\n" in sentence[match.start() :]:
        return False
    word = match[1].lstrip("(\"'“‘")
    if word.casefold() in ABBREVIATIONS:
        return True
    is_list_number = word.isdigit() and not sentence[: match.start()].strip()
    return is_list_number or re.fullmatch(r"[A-Za-z](?:\.[A-Za-z])*", word) is not None
