"""The rules of the PTB tokenizer against the tables of the original lexer: for every text there is, not for examples.

Both are finite automata. They are walked through in step, from the start along every class of characters, and wherever
two states are reached together, a match must be able to end in both or in neither, and with the same spelling.
"""

from collections import defaultdict, deque
from pathlib import Path

import pytest

from mblip.evaluation.metrics.ptb.automaton import Automaton
from mblip.evaluation.metrics.ptb.patterns import CharacterSet, character_set, parse_pattern
from mblip.evaluation.metrics.ptb.rules import DEFINITIONS, RULES, named_patterns
from tests.evaluation.metrics.ptb.lexer_tables import START, LexerTables, read_lexer_tables

# Rules of the original that make no difference to what is left when the punctuation is gone, in front of ours.
SKIPPED = {
    "letter that ends a sentence": [r"({ACRONYM})\.{BLANK}+{SENTENCE_START}{BLANK}"],
    "abbreviation": [r"{ABBREVIATION}\.{BLANK}({BLANK}|{UPPER}|{TAG})"],
    "'90, EU-U.S": ["{ABBREVIATED_TITLE}{SPACE}", "([A-Za-z]|{ACRONYM}){BLANK}"],
    "double quote": ['("|&quot;)[A-Za-z0-9$]'],
}
# What the original reads and forgets; here, no rule matches it.
FORGOTTEN = [r"[\u0000\u007f\u200b\u200e\u200f\ufeff]", r"\r|\r?\n|[\u2028\u2029\u000b\u000c]", r"[^\r\n\u2028\u2029]"]


@pytest.fixture(scope="module")
def tables():
    tokenizer = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer", reason="pycocoevalcap is not installed")
    return read_lexer_tables(Path(tokenizer.__file__).parent / tokenizer.STANFORD_CORENLP_3_4_1_JAR)


def ends_in_step(tables: LexerTables, automaton: Automaton) -> dict[tuple[int | None, int | None], str]:
    """All pairs of (action of the original, pattern of ours) with which a match ends, and a text for each."""
    units = {(one, automaton.classes[chr(unit)]): chr(unit) for unit, one in enumerate(tables.class_of)}
    found: dict[tuple[int | None, int | None], str] = {}
    left = deque([(START, automaton.start, "")])
    seen = {(START, id(automaton.start))}
    while left:
        theirs, ours, text = left.popleft()
        found.setdefault((tables.action[theirs] if theirs >= 0 else None, ours.pattern), text)
        for (their_class, our_class), char in units.items():
            pair = (tables.next[theirs][their_class] if theirs >= 0 else -1, ours[our_class])
            is_over = pair[0] < 0 and pair[1] is automaton.dead
            if not is_over and (pair[0], id(pair[1])) not in seen:
                seen.add((pair[0], id(pair[1])))
                left.append((*pair, text + char))
    return found


def upper_case(tables: LexerTables) -> CharacterSet:
    """What begins a sentence behind `Jan. `, by the tables: the one set of the original that we do without."""
    state = START
    for char in "Jan. ":
        state = tables.next[state][tables.class_of[ord(char)]]
    classes = {one for one, target in enumerate(tables.next[state]) if target >= 0 and tables.action[target] == 49}
    return character_set(*((unit, unit) for unit, one in enumerate(tables.class_of) if one in classes))


@pytest.mark.slow
def test_matches_end_where_they_end_in_the_original_and_are_spelled_in_one_way(tables):
    # In the original, quoted attributes and the last of the Asian smileys hold line feeds.
    definitions = {
        name: pattern.replace(r"\n]*", "]*") if name in ("ATTRIBUTE", "ASIAN_SMILEY") else pattern
        for name, pattern in DEFINITIONS.items()
    }
    names = named_patterns(definitions) | {"UPPER": upper_case(tables)}
    patterns = [
        (rule, text)
        for rule in RULES
        for text in (*SKIPPED.get(rule.name, ()), f"({rule.pattern})({rule.followed_by})")
    ]
    automaton = Automaton([parse_pattern(text, names) for text in (*(text for _, text in patterns), *FORGOTTEN)])
    ends = ends_in_step(tables, automaton)

    assert [text for (action, pattern), text in ends.items() if (action is None) != (pattern is None)] == []
    assert {pattern for _, pattern in ends if pattern is not None} == set(range(len(patterns) + len(FORGOTTEN)))
    spellings = defaultdict(set)
    for action, pattern in ends:
        if pattern is not None:
            spellings[action].add(patterns[pattern][0].spell if pattern < len(patterns) else RULES[-1].spell)
    assert len(spellings) > 50
    assert {action: found for action, found in spellings.items() if len(found) > 1} == {}
