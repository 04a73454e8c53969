import pytest

from mblip.evaluation.metrics.ptb.automaton import Automaton
from mblip.evaluation.metrics.ptb.patterns import (
    CharacterSet,
    Choice,
    Concatenation,
    Repeat,
    character_set,
    parse_pattern,
)

DIGIT = character_set((ord("0"), ord("9")))


def only(*chars):
    return character_set(*((ord(char), ord(char)) for char in chars))


@pytest.mark.parametrize(
    ("pattern", "tree"),
    [
        ("", Concatenation(())),
        ("1", only("1")),
        ("a", only("a", "A")),
        ("[a]", only("a")),
        ("k", only("k", "K", "\u212a")),
        ("s", only("s", "S", "\u017f")),
        ("[a-c_]", CharacterSet(((95, 95), (97, 99)))),
        ("[ac-eb]", CharacterSet(((97, 101),))),
        (r"[\-\]]", only("-", "]")),
        ("[^b-\uffff]", CharacterSet(((0, 97),))),
        (r"[^\u0000-~]", CharacterSet(((127, 0xFFFF),))),
        ("[^]", CharacterSet(((0, 0xFFFF),))),
        (r"\.\n\u2019", Concatenation((only("."), only("\n"), only("\u2019")))),
        ("{DIGIT}", DIGIT),
        ("12|3|", Choice((Concatenation((only("1"), only("2"))), only("3"), Concatenation(())))),
        ("1(2|3)", Concatenation((only("1"), Choice((only("2"), only("3")))))),
        ("1?", Repeat(only("1"), 0, 1)),
        ("1*", Repeat(only("1"), 0, None)),
        ("1+", Repeat(only("1"), 1, None)),
        ("1{2}", Repeat(only("1"), 2, 2)),
        ("{DIGIT}{1,4}2", Concatenation((Repeat(DIGIT, 1, 4), only("2")))),
        ("1.", Concatenation((only("1"), only(".")))),
    ],
)
def test_a_pattern_becomes_its_tree(pattern, tree):
    assert parse_pattern(pattern, {"DIGIT": DIGIT}) == tree


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a{NOUN}", r"Found '\{NOUN\}' at character 1 of the pattern 'a\{NOUN\}', expected one of the names DIGIT\."),
        ("(ab", "Found 'the end' at character 3 .*expected a closing parenthesis"),
        ("ab)c", r"Found '\)c' at character 2 .*expected the end or an alternative"),
        ("a**", r"Found '\*' at character 2 .*expected a character, or an operator behind a backslash"),
        ("[ab", "Found 'the end' at character 3 .*expected a character"),
        ("a\\", "Found 'the end' at character 2 .*expected a character"),
        ("a{2,x}", r"Found '\{2,x\}' at character 1 .*expected a character, or an operator"),
        (r"\u20", r"Found '20' at character 2 .*expected four hexadecimal digits"),
    ],
)
def test_what_is_not_of_the_syntax_is_refused_at_its_position(pattern, message):
    with pytest.raises(ValueError, match=message):
        parse_pattern(pattern, {"DIGIT": DIGIT})


def ends(pattern, text):
    return Automaton([parse_pattern(pattern, {"DIGIT": DIGIT})]).ends(text, 0, len(text))


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("ab", "ABc", [2]),
        ("a|ab|abcd", "abcd", [1, 2, 4]),
        ("(ab|a)(c|bcd)", "abcd", [3, 4]),
        ("a{2,3}", "aaaa", [2, 3]),
        ("a{2}", "aaaa", [2]),
        ("(ab?)*c", "abaabc", [6]),
        ("(a*)*b?", "aab", [1, 2, 3]),
        ("({DIGIT}+,)*{DIGIT}+", "12,345,6x", [1, 2, 4, 5, 6, 8]),
        ("[^1]+", "ab1", [1, 2]),
        ("a+b", "aaa", []),
    ],
)
def test_a_match_may_end_wherever_the_pattern_does(pattern, text, expected):
    assert ends(pattern, text) == expected


def test_the_longest_match_wins_and_of_several_the_first_pattern():
    automaton = Automaton([parse_pattern(pattern, {}) for pattern in ("ab", "a+", "a[b]", "abcde", "x?")])

    assert automaton.match("abc") == (0, 2, 4)
    assert automaton.match("Abcdef") == (3, 5, 6)
    assert automaton.match("aab") == (1, 2, 3)
    assert automaton.match("zab", 1) == (0, 3, 4)
    assert automaton.match("-") == (4, 0, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 ", (0, 1, 3)),
        ("1 x", (0, 1, 3)),
        ("1x", (0, 1, 2)),
        ("1 2", (0, 3, 4)),
        ("1", (0, 1, 2)),
        ("x", (None, 0, 1)),
    ],
)
def test_a_match_tells_how_far_the_text_was_read(text, expected):
    assert Automaton([parse_pattern("1( 2)?", {})]).match(text) == expected


def test_a_match_depends_on_nothing_behind_what_was_read():
    automaton = Automaton([parse_pattern(pattern, {}) for pattern in ("a+", "a+b{3}", "(ab)+c", "[^a]")])
    texts = [
        first + second + third for first in ("a", "b", "c") for second in ("ab", "bb", "a") for third in ("b", "c")
    ]
    for text in texts:
        match = automaton.match(text)
        if match.seen <= len(text):
            assert all(automaton.match(text[: match.seen] + other) == match for other in ("", "a", "bbb", "c"))
