"""English captions and questions of the drawn world.

Article or numeral, size, colour, noun: "a small red circle", "two large black stars". The constants of world.py
are themselves the English words. Nouns take a plural in -s, after s in -es ("crosses"); adjectives do not change.
Both sizes begin with a consonant, so the article is always "a". Questions use the definite article.
"""

from ..world import Group

ARTICLES = {1: "a", 2: "two", 3: "three"}
NUMERALS = {1: "one", 2: "two", 3: "three"}
RELATIONS = {"left_of": "to the left of", "above": "above", "inside": "inside"}


def phrase(group: Group) -> str:
    return f"{ARTICLES[group.count]} {group.size} {group.colour} {_noun(group)}"


def related_phrase(subject: Group, relation: str, reference: Group) -> str:
    return f"{phrase(subject)} {RELATIONS[relation]} {phrase(reference)}"


def colour_question(group: Group) -> str:
    return f"What colour {'is' if group.count == 1 else 'are'} the {_noun(group)}?"


def colour_answer(group: Group) -> str:
    return group.colour


def count_question(group: Group) -> str:
    return f"How many {_plural(group.shape)} are there?"


def count_answer(group: Group) -> str:
    return NUMERALS[group.count]


def position_question(relation: str, reference: Group) -> str:
    return f"What is {RELATIONS[relation]} the {_noun(reference)}?"


def _noun(group: Group) -> str:
    return group.shape if group.count == 1 else _plural(group.shape)


def _plural(shape: str) -> str:
    return shape + ("es" if shape.endswith("s") else "s")
