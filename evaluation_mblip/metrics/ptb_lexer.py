"""The rules of the PTB tokenizer at work: a document, of which every line is a text, into the tokens of each line."""

from collections.abc import Mapping
from itertools import chain

from .ptb_automaton import Automaton, Match
from .ptb_patterns import Node, parse_pattern
from .ptb_rules import RULES, Rule, named_patterns
from .ptb_spelling import in_lower_case

_OTHER_SPACES = frozenset("\t\u00a0\u3000").union(map(chr, range(0x2000, 0x200B)))
_MOST_CHUNKS = 200_000
_DEPENDS = ("depends on what follows\n",)  # no token holds a line feed


class Lexer:
    """Divides documents into tokens: lower case, punctuation included.

    It never looks back, so that what stands between two spaces (a chunk) has the same tokens wherever it stands,
    unless the automaton has to read beyond the character behind it. Chunks are read once and remembered.
    """

    def __init__(self) -> None:
        names = named_patterns()
        self._rules = [_RunningRule(rule, names) for rule in RULES]
        self._automaton = Automaton([rule.whole for rule in self._rules])
        self._chunks = _Chunks(self)

    def line_tokens(self, document: str, start: int, end: int) -> list[str]:
        """The tokens of `document[start:end]`: all between two line feeds, or before the first or behind the last."""
        if end == len(document):
            return self._read(document, start, end)
        chunks = document[start : end + 1].split(" ")
        tokens = list(chain.from_iterable(map(self._chunks.__getitem__, chunks)))
        return self._read(document, start, end) if _DEPENDS[0] in tokens else tokens

    def read_chunk(self, chunk: str) -> tuple[str, ...]:
        """The tokens of a chunk, which comes with the one character behind it, or `_DEPENDS`."""
        tokens: list[str] = []
        position = 0
        while position < len(chunk) - 1:
            match = self._automaton.match(chunk, position)
            if match.seen > len(chunk):
                return _DEPENDS
            position = self._take(chunk, position, match, tokens)
        # The space before it would be read in one go with a space of another kind.
        return _DEPENDS if chunk[0] in _OTHER_SPACES else tuple(tokens)

    def _read(self, document: str, position: int, end: int) -> list[str]:
        """Token by token, and by chunks again wherever that is possible."""
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
        """Adds the token of a match at `position`, and returns where the next one begins."""
        if match.pattern is None:
            return position + 1
        rule = self._rules[match.pattern]
        end = rule.token_end(text, position, match.end)
        if token := rule.spell(from_utf16(text[position:end])):
            tokens += in_lower_case(token).split(" ")
        return end - rule.num_read_again


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

    def __init__(self, lexer: Lexer):
        super().__init__()
        self._lexer = lexer

    def __missing__(self, chunk: str) -> tuple[str, ...]:
        if len(self) >= _MOST_CHUNKS:
            self.clear()
        self[chunk] = self._lexer.read_chunk(chunk if chunk.endswith("\n") else chunk + " ")
        return self[chunk]


def from_utf16(text: str) -> str:
    """Characters again for pairs of surrogates."""
    if text.isascii() or max(text) < "\ud800":
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
