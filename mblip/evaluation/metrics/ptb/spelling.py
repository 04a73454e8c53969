r"""How the PTB tokenizer writes a match: Penn Treebank's spellings of quotes, brackets and currency.

The options are those of pycocoevalcap's command (only `-preserveLines -lowerCase`). Everything is rewritten as in the
treebank, except that `/` and `*` keep their plain form and British spellings stay.
"""

import re
from collections.abc import Callable

_SPACE_IN_TOKEN = "\u00a0"
_FRACTIONS = {"\u00bc": "1/4", "\u00bd": "1/2", "\u00be": "3/4", "\u2153": "1/3", "\u2154": "2/3"}
# The euro, the generic currency sign and their code in Windows' CP1252 are all dollars to the treebank.
_CURRENCIES = {"\u00a2": "cents", "\u00a3": "#", "\u0080": "$", "\u00a4": "$", "\u20a0": "$", "\u20ac": "$"}
_BRACKETS = {"(": "-LRB-", ")": "-RRB-", "[": "-LSB-", "]": "-RSB-", "{": "-LCB-", "}": "-RCB-"}
_QUOTES = {
    **dict.fromkeys(('"', "&quot;", "\u0094", "\u201d", "\u00bb"), "''"),
    **dict.fromkeys(("\u0093", "\u201c", "\u00ab"), "``"),
    **dict.fromkeys(("&apos;", "\u0092", "\u2019", "\u203a"), "'"),
    **dict.fromkeys(("\u0091", "\u2018", "\u201b", "\u2039"), "`"),
}
_QUOTE = re.compile("|".join(map(re.escape, _QUOTES)))
# What Java considers one word when it looks for the end of a Greek word: letters and digits, with marks between them.
_IGNORED = r"[\u0300-\u036f\u200c-\u200f]*"
_LETTERS = rf"(?:[^\W\d_\u3005\u3041-\u30ff\u4e00-\u9fa5\uf900-\ufa2d]{_IGNORED})+"
_DIGITS = rf"(?:\d{_IGNORED})+"
_BETWEEN_LETTERS = r"[-_.'\"\u00ad\u2010-\u2015\u2027]"
_GREEK_STRETCH = re.compile(rf"(?:{_LETTERS}(?:{_BETWEEN_LETTERS}{_LETTERS})*|{_DIGITS}(?:[.,'\"\u066b]{_DIGITS})*)+")
_AMPERSAND = re.compile("&amp;", re.IGNORECASE)


def as_it_is(text: str) -> str:
    return text


def without_soft_hyphens(text: str) -> str:
    """Remove soft hyphens, which mark possible line breaks. A text of soft hyphens only becomes a hyphen."""
    return text.replace("\u00ad", "") or "-"


def with_joined_spaces(text: str) -> str:
    """Write a space inside a token as a no-break space, because plain spaces separate tokens."""
    return text.replace(" ", _SPACE_IN_TOKEN)


def with_plain_ampersand(text: str) -> str:
    return _AMPERSAND.sub("&", text)


def with_latex_quotes(text: str) -> str:
    """Write opening and closing quotes as LaTeX does. The low quotes of German stay.

    The effect is visible only for two quotes, or a quote with a word: single and double quotes alone are removed
    later.
    """
    return _QUOTE.sub(lambda quote: _QUOTES[quote[0]], text)


def as_fraction(text: str) -> str:
    return _FRACTIONS.get(text, text)


def as_currency(text: str) -> str:
    return _CURRENCIES.get(text, text)


def with_named_brackets(text: str) -> str:
    """Name the round brackets of smileys and telephone numbers: `:)` becomes `:-RRB-`."""
    return text.replace("(", _BRACKETS["("]).replace(")", _BRACKETS[")"])


def as_bracket(text: str) -> str:
    return _BRACKETS[text]


def as_phone_number(text: str) -> str:
    return with_named_brackets(with_joined_spaces(text))


def as_hyphens(text: str) -> str:
    """Write three or four hyphens as a dash."""
    return "--" if 3 <= len(text) <= 4 else text


def written_as(spelling: str) -> Callable[[str], str]:
    """Always this spelling, whatever the text was."""
    return lambda text: spelling


def in_lower_case(text: str) -> str:
    """Lower-case as Java does. For a final sigma, Java looks at the whole word, including hyphens and digits.

    Python looks at the next character only: in `AΣ-B` it writes a final sigma.
    """
    if "\u03a3" in text:
        text = _GREEK_STRETCH.sub(lambda stretch: _with_sigmas(stretch[0]), text).replace("\u03a3", "\u03c3")
    return text.lower()


def _with_sigmas(word: str) -> str:
    cased = [position for position, char in enumerate(word) if _is_cased(char)]
    if len(cased) > 1 and word[cased[-1]] == "\u03a3":
        word = word[: cased[-1]] + "\u03c2" + word[cased[-1] + 1 :]
    return word.replace("\u03a3", "\u03c3")


def _is_cased(char: str) -> bool:
    return (char.islower() or char.isupper() or char.istitle()) and char not in "\u00aa\u00ba"
