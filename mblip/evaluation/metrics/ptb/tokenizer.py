"""Tokenizes captions as the official caption metrics do: pycocoevalcap's PTB tokenizer, without Java.

It equals `pycocoevalcap.tokenizer.ptbtokenizer.PTBTokenizer`, which runs Stanford CoreNLP 3.4.1 (`PTBTokenizer
-preserveLines -lowerCase`) and then removes the tokens of `PUNCTUATION`. Everything else stays: brackets as `-lrb-`
and `-rrb-`, `!!`, `/`, the full stops of other scripts. The rules are in rules.py, the automaton that runs them in
automaton.py.

Two things to know:

- As in the original, all texts form one document with one line per text, and a rule may look past the end of a text to
  the next one: `vitamin C.` ends in `c` if the next text begins with `The `, otherwise in `c.`.
- A token may contain a no-break space, as in `1 1/2` and telephone numbers. pycocoevalcap's CIDEr and BLEU split it
  there (with `str.split()`); its ROUGE-L does not.

Differences to the original:

- Another line separator inside a text (U+000B, U+000C, U+000D, U+2028, U+2029) is a space. In the original it ends the
  text, and every later text gets the tokens of the one before it.
- A quoted attribute of a tag, and the smiley `^.[^x=` up to `<>]`, end with their text. In the original they continue
  through the next texts.
- A capital sigma may get the other lower-case form than in Java if the same token contains combining marks other than
  U+0300 to U+036F.
"""

import re
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain

from .automaton import Automaton, Match
from .patterns import Node, parse_pattern
from .rules import RULES, Rule, named_patterns
from .spelling import in_lower_case

# pycocoevalcap also lists brackets, in capitals. They never match, because tokens are already in lower case.
PUNCTUATION = frozenset(("''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";", ""))

_BEYOND_TWO_BYTES = re.compile("[\U00010000-\U0010ffff]")
_OTHER_SPACES = frozenset("\t\u00a0\u3000").union(map(chr, range(0x2000, 0x200B)))
_MOST_CHUNKS = 200_000
_DEPENDS = ("depends on what follows\n",)  # no token holds a line feed


def ptb_tokenize(texts: Sequence[str]) -> list[list[str]]:
    """The tokens of every text, in lower case and without punctuation. Line feeds are spaces, as in pycocoevalcap.

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
    if tokens:  # pycocoevalcap strips the line, and with it other white space at the end of the last token
        tokens[-1] = tokens[-1].rstrip()
    return [token for token in tokens if token not in PUNCTUATION]


class _Lexer:
    """Splits documents into lower-case tokens, including punctuation.

    It never looks back. A chunk (the text between two spaces) therefore has the same tokens everywhere, unless the
    automaton has to read beyond the character after it. Chunks are read once and cached.
    """

    def __init__(self) -> None:
        names = named_patterns()
        self._rules = [_RunningRule(rule, names) for rule in RULES]
        self._automaton = Automaton([rule.whole for rule in self._rules])
        self._chunks = _Chunks(self)

    def line_tokens(self, document: str, start: int, end: int) -> list[str]:
        """The tokens of the line `document[start:end]`."""
        if end == len(document):
            return self._read(document, start, end)
        chunks = document[start : end + 1].split(" ")
        tokens = list(chain.from_iterable(map(self._chunks.__getitem__, chunks)))
        return self._read(document, start, end) if _DEPENDS[0] in tokens else tokens

    def read_chunk(self, chunk: str) -> tuple[str, ...]:
        """The tokens of a chunk with the character after it, or `_DEPENDS`."""
        tokens: list[str] = []
        position = 0
        while position < len(chunk) - 1:
            match = self._automaton.match(chunk, position)
            if match.seen > len(chunk):
                return _DEPENDS
            position = self._take(chunk, position, match, tokens)
        # A plain space and a following space of another kind form one match.
        return _DEPENDS if chunk[0] in _OTHER_SPACES else tuple(tokens)

    def _read(self, document: str, position: int, end: int) -> list[str]:
        """Read token by token, and by chunks where possible."""
        tokens: list[str] = []
        while position < end:
            chunk_end = document.find(" ", position, end)
            known = self._chunks[document[position:chunk_end]] if chunk_end > position else _DEPENDS
            if known is not _DEPENDS:
                tokens += known
                position = chunk_end
            else:
                position = self._take(document, position, self._automaton.match(document, position), tokens)
        return tokens

    def _take(self, text: str, position: int, match: Match, tokens: list[str]) -> int:
        """Add the token of a match at `position`, and return where the next one begins."""
        if match.pattern is None:
            return position + 1
        rule = self._rules[match.pattern]
        end = rule.token_end(text, position, match.end)
        if token := rule.spell(_from_utf16(text[position:end])):
            tokens += in_lower_case(token).split(" ")
        return end - rule.num_read_again


_lexer = cache(_Lexer)  # made for the first text: every rule is parsed for it


class _RunningRule:
    """A rule with what it takes to tell its token from what follows."""

    def __init__(self, rule: Rule, names: Mapping[str, Node]):
        self.spell, self.num_read_again = rule.spell, rule.num_read_again
        self.whole = parse_pattern(f"({rule.pattern})({rule.followed_by})", names)
        parts = (rule.pattern, rule.followed_by) if rule.followed_by else ()
        self._parts = [Automaton([parse_pattern(part, names)]) for part in parts]

    def token_end(self, text: str, start: int, end: int) -> int:
        """Where the token ends if all that the rule matched goes from `start` to `end`: as late as possible."""
        if not self._parts:
            return end
        token, context = self._parts
        ends = token.ends(text, start, end)
        return next(one for one in reversed(ends) if end in context.ends(text, one, end))


class _Chunks(dict[str, tuple[str, ...]]):
    """The tokens of chunks, filled in as needed. A chunk ends before a space, or with the line feed of its line."""

    def __init__(self, lexer: _Lexer):
        super().__init__()
        self._lexer = lexer

    def __missing__(self, chunk: str) -> tuple[str, ...]:
        if len(self) >= _MOST_CHUNKS:
            self.clear()
        self[chunk] = self._lexer.read_chunk(chunk if chunk.endswith("\n") else chunk + " ")
        return self[chunk]


def _as_utf16(text: str) -> str:
    """The text as Java reads it, in UTF-16 units: a character beyond U+FFFF becomes two surrogates."""
    return _BEYOND_TWO_BYTES.sub(lambda one: "".join(map(chr, struct.unpack("<2H", one[0].encode("utf-16-le")))), text)


def _from_utf16(text: str) -> str:
    """Turn pairs of surrogates back into characters."""
    if text.isascii() or max(text) < "\ud800":
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
