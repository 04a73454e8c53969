"""Exact match: an answer is right where it is, character by character, one of its references.

Both are compared in Unicode's composed form (NFC), without space around them. Nothing else is forgiven: neither case
nor punctuation.
"""

import unicodedata
from collections.abc import Sequence


def is_exact_match(output: str, references: Sequence[str]) -> bool:
    """True where `output` equals one of `references`. An empty answer matches nothing."""
    answer = comparable(output)
    return bool(answer) and any(answer == comparable(reference) for reference in references)


def comparable(text: str) -> str:
    """The text as it is compared: NFC, without space around it."""
    return unicodedata.normalize("NFC", text).strip()
