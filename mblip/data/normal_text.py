"""One normal form for texts that differ only in case, punctuation, spacing or Unicode composition.

"A dog,  asleep." and "a dog asleep" are one caption, also in full-width letters. Letters, marks, digits and symbols
such as emoji stay. A hyphen counts as a space. Invisible characters such as joiners are removed. Chinese and Japanese
are written without spaces, so spaces beside their characters are removed too.
"""

import re
import unicodedata

_UNSPACED = "[\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]"
_NO_SPACE = re.compile(f"(?<={_UNSPACED}) | (?={_UNSPACED})")


class _Replacements(dict[int, str | None]):
    """The replacement of each code point, for `str.translate`, computed once per code point.

    Punctuation and separators become a space. Invisible characters are removed.
    """

    def __missing__(self, code_point: int) -> str | None:
        category = unicodedata.category(chr(code_point))
        kept = " " if category[0] in "PZC" else chr(code_point)
        replacement = None if category == "Cf" else kept
        self[code_point] = replacement
        return replacement


_REPLACEMENTS = _Replacements()


def normal_text(text: str) -> str:
    """The normal form of a text: NFKC and case folding, with one space between words.

    A text of punctuation alone keeps it, so only an empty text gives an empty result.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    words = folded.translate(_REPLACEMENTS).split() or folded.split()
    return _NO_SPACE.sub("", " ".join(words))
