r"""Parses the small regular expression language of the PTB tokenizer's rules into trees.

It offers what a lexer generator offers: every construct is a regular language. Many patterns can therefore run as one
automaton (automaton.py), which finds the longest match whatever the order of alternatives. Python's `re` takes the
first alternative that matches, not the longest.

    abc            these characters, letters in either case (as in Unicode: `k` is also the Kelvin sign)
    [a-z$] [^a-z]  one character of a set, or one outside it; sets do mind the case
    {NAME}         the pattern of that name
    ab|c  (ab)     alternatives, a group
    a? a* a+       repetition, and a{2} or a{2,4}
    \. \u2019 \n   a character that is an operator, a code point, a control character (\n \r \t \f)

A character is a UTF-16 unit, as in Java: those above U+FFFF are two of them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_LAST = 0xFFFF
_OPERATORS = frozenset("|?*+(){}[]")
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
# Beyond upper and lower case: further results of Unicode's case mappings for the letters in the rules.
_MORE_CASES = {"k": "\u212a", "s": "\u017f", "i": "\u0130\u0131"}
_COUNT = re.compile(r"\{(\d+)(?:,(\d+))?\}")
_CODE = re.compile("[0-9a-fA-F]{4}")
_NAME = re.compile(r"\{([A-Z][A-Z_0-9]*)\}")


@dataclass(frozen=True)
class CharacterSet:
    """One character out of `ranges`: pairs of first and last code point, ascending and apart."""

    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Concatenation:
    """One part after the other; without parts, the empty text."""

    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Choice:
    """Any one of the alternatives."""

    alternatives: tuple["Node", ...]


@dataclass(frozen=True)
class Repeat:
    """A part `minimum` to `maximum` times. None: no maximum."""

    part: "Node"
    minimum: int
    maximum: int | None


Node = CharacterSet | Concatenation | Choice | Repeat


def character_set(*ranges: tuple[int, int]) -> CharacterSet:
    """The set of all characters in these ranges, which may overlap."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return CharacterSet(tuple(merged))


def parse_pattern(pattern: str, names: Mapping[str, Node]) -> Node:
    """The tree of a pattern. `names` gives the trees for its `{NAME}`s.

    Raises:
        ValueError: the pattern does not follow the syntax at the head of this file, or uses an unknown name.
    """
    parser = _Parser(pattern, names)
    tree = parser.alternatives()
    if parser.position < len(pattern):
        raise parser.error("the end or an alternative")
    return tree


class _Parser:
    """Recursive descent; `position` is the next character of the pattern to read."""

    def __init__(self, pattern: str, names: Mapping[str, Node]):
        self.pattern, self.names, self.position = pattern, names, 0

    def error(self, expected: str) -> ValueError:
        found = self.pattern[self.position : self.position + 10] or "the end"
        return ValueError(
            f"Found {found!r} at character {self.position} of the pattern {self.pattern!r}, expected {expected}. "
            "See the head of ptb/patterns.py for the syntax."
        )

    def next_is(self, text: str) -> bool:
        """Read `text` if it comes next."""
        is_next = self.pattern.startswith(text, self.position)
        self.position += len(text) if is_next else 0
        return is_next

    def alternatives(self) -> Node:
        found = [self.sequence()]
        while self.next_is("|"):
            found.append(self.sequence())
        return found[0] if len(found) == 1 else Choice(tuple(found))

    def sequence(self) -> Node:
        parts = []
        while self.position < len(self.pattern) and self.pattern[self.position] not in "|)":
            parts.append(self.repeated(self.one()))
        return parts[0] if len(parts) == 1 else Concatenation(tuple(parts))

    def repeated(self, part: Node) -> Node:
        if count := _COUNT.match(self.pattern, self.position):
            self.position = count.end()
            return Repeat(part, int(count[1]), int(count[2] or count[1]))
        for operator, minimum, maximum in (("?", 0, 1), ("*", 0, None), ("+", 1, None)):
            if self.next_is(operator):
                return Repeat(part, minimum, maximum)
        return part

    def one(self) -> Node:
        if name := _NAME.match(self.pattern, self.position):
            if name[1] not in self.names:
                raise self.error(f"one of the names {', '.join(sorted(self.names))}")
            self.position = name.end()
            return self.names[name[1]]
        if self.next_is("("):
            inner = self.alternatives()
            if not self.next_is(")"):
                raise self.error("a closing parenthesis")
            return inner
        if self.next_is("["):
            return self.bracketed()
        if self.pattern[self.position] in _OPERATORS:
            raise self.error("a character, or an operator behind a backslash")
        return _in_either_case(self.character())

    def bracketed(self) -> CharacterSet:
        is_outside = self.next_is("^")
        ranges = []
        while not self.next_is("]"):
            first = ord(self.character())
            is_range = self.next_is("-")
            ranges.append((first, ord(self.character()) if is_range else first))
        found = character_set(*ranges)
        return _outside(found) if is_outside else found

    def character(self) -> str:
        char = self.take("a character")
        if char != "\\":
            return char
        if not self.next_is("u"):
            char = self.take("a character")
            return _CONTROLS.get(char, char)
        code = _CODE.match(self.pattern, self.position)
        if not code:
            raise self.error("four hexadecimal digits")
        self.position = code.end()
        return chr(int(code[0], 16))

    def take(self, expected: str) -> str:
        if self.position == len(self.pattern):
            raise self.error(expected)
        self.position += 1
        return self.pattern[self.position - 1]


def _in_either_case(char: str) -> CharacterSet:
    variants = {char.lower(), char.upper(), *_MORE_CASES.get(char.lower(), "")} if char.isascii() else {char}
    return character_set(*((ord(variant), ord(variant)) for variant in variants))


def _outside(found: CharacterSet) -> CharacterSet:
    starts = [0, *(last + 1 for _, last in found.ranges)]
    ends = [*(first - 1 for first, _ in found.ranges), _LAST]
    return CharacterSet(tuple((first, last) for first, last in zip(starts, ends, strict=True) if first <= last))
