"""Captions as tokens, as the official caption metrics see them: pycocoevalcap's PTB tokenizer, without Java.

Equal to `pycocoevalcap.tokenizer.ptbtokenizer.PTBTokenizer`, which runs Stanford CoreNLP 3.4.1 (`PTBTokenizer
-preserveLines -lowerCase`) and then removes punctuation. What it removes is written below; all else stays: brackets as
`-lrb-` and `-rrb-`, `!!`, `/`, the full stops of other scripts. The rules are in ptb_rules.py, the automaton that runs
them in ptb_automaton.py, and what joins the two in ptb_lexer.py.

Two things to know:

- As in the original, all texts are one document with a line for each, and a rule may look past the end of a text to
  the next: `vitamin C.` ends in `c` if the next text begins with `The `, in `c.` otherwise.
- A token may hold a no-break space, as `1 1/2` and telephone numbers do. pycocoevalcap's CIDEr and BLEU divide it
  there (by `str.split()`), its ROUGE-L does not.

What differs:

- A line end of another kind inside a text (U+000B, U+000C, U+000D, U+2028, U+2029) is a space. In the original it cuts
  the text off, and every later text gets the tokens of the one before it.
- A quoted attribute of a tag, and the smiley `^.[^x=` up to `<>]`, end with their text. In the original they run on
  through the texts that follow.
- A capital sigma may get its other lower-case form than in Java where combining marks other than U+0300 to U+036F
  stand in the same token.
"""

import re
import struct
from collections.abc import Sequence
from functools import cache

from .ptb_lexer import Lexer

# pycocoevalcap also names the round and curly brackets, in capitals: in vain, for tokens are in lower case by then.
PUNCTUATION = frozenset(("''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";", ""))

_BEYOND_TWO_BYTES = re.compile("[\U00010000-\U0010ffff]")
_lexer = cache(Lexer)


def ptb_tokenize(texts: Sequence[str]) -> list[list[str]]:
    """The tokens of every text: in lower case, without punctuation. Line feeds are spaces, as in pycocoevalcap.

    The order of the texts matters in rare cases: see the head of the file.
    """
    document = _as_utf16("\n".join(text.replace("\n", " ") for text in texts))
    found: list[list[str]] = []
    start = 0
    for _ in texts:
        end = document.find("\n", start)
        end = len(document) if end < 0 else end
        found.append(_without_punctuation(_lexer().line_tokens(document, start, end)))
        start = end + 1
    return found


def _without_punctuation(tokens: list[str]) -> list[str]:
    if tokens:  # pycocoevalcap strips the line, and so white space of other kinds inside its last token
        tokens[-1] = tokens[-1].rstrip()
    return [token for token in tokens if token not in PUNCTUATION]


def _as_utf16(text: str) -> str:
    """The text as Java reads it, in UTF-16 units: a character beyond U+FFFF is two surrogates."""
    return _BEYOND_TWO_BYTES.sub(lambda one: "".join(map(chr, struct.unpack("<2H", one[0].encode("utf-16-le")))), text)
