"""One form for texts that differ only in case, punctuation, spacing or in how their characters are composed.

"A dog,  asleep." and "a dog asleep" are one caption, in full-width letters too. Letters, marks, digits and symbols
such as emoji stay; a hyphen counts as a space, and invisible characters such as joiners are taken out. Chinese and
Japanese are written without spaces, so none stays beside their characters.
"""

import re
import unicodedata

_UNSPACED = "[\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]"
_NO_SPACE = re.compile(f"(?<={_UNSPACED}) | (?={_UNSPACED})")


class _Replacements(dict[int, str | None]):
    """What `str.translate` writes for a code point, found out once for each: a space for punctuation and separators,
    nothing for invisible characters."""

    def __missing__(self, code_point: int) -> str | None:
        category = unicodedata.category(chr(code_point))
        kept = " " if category[0] in "PZC" else chr(code_point)
        replacement = None if category == "Cf" else kept
        self[code_point] = replacement
        return replacement


_REPLACEMENTS = _Replacements()


def normal_text(text: str) -> str:
    """The normal form of a text: NFKC and case folding, words apart by one space.

    A text of punctuation alone keeps it, so that only an empty text comes back empty.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    words = folded.translate(_REPLACEMENTS).split() or folded.split()
    return _NO_SPACE.sub("", " ".join(words))
