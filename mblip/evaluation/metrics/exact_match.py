"""Exact match: an answer is right if it equals one of its references.

Both are compared in Unicode's composed form (NFC), without surrounding space. Punctuation counts, and case
unless it is ignored.
"""

import unicodedata
from collections.abc import Sequence


def is_exact_match(output: str, references: Sequence[str], *, ignore_case: bool = False) -> bool:
    """Whether `output` equals one of `references`. An empty answer matches nothing."""
    answer, *right = (comparable(text.casefold() if ignore_case else text) for text in (output, *references))
    return bool(answer) and answer in right


def comparable(text: str) -> str:
    """The text in the form we compare: NFC, without surrounding space."""
    return unicodedata.normalize("NFC", text).strip()
