"""Exact match: an answer is right if it equals one of its references.

Both are compared in Unicode's composed form (NFC), without surrounding space. Case and punctuation count.
"""

import unicodedata
from collections.abc import Sequence


def is_exact_match(output: str, references: Sequence[str]) -> bool:
    """Whether `output` equals one of `references`. An empty answer matches nothing."""
    answer = comparable(output)
    return bool(answer) and any(answer == comparable(reference) for reference in references)


def comparable(text: str) -> str:
    """The text in the form we compare: NFC, without surrounding space."""
    return unicodedata.normalize("NFC", text).strip()
