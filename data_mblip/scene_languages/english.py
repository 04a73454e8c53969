"""English captions and questions of the drawn world.

Article or numeral, size, colour, noun: "a small red circle", "two large black stars". Nouns take a plural,
adjectives do not change. Every size begins with a consonant, so the article is always "a". Questions use the
definite article.
"""

from data_mblip.scene_world import Group

NOUNS = {  # singular, plural
    "circle": ("circle", "circles"),
    "square": ("square", "squares"),
    "triangle": ("triangle", "triangles"),
    "star": ("star", "stars"),
    "cross": ("cross", "crosses"),
    "heart": ("heart", "hearts"),
    "ring": ("ring", "rings"),
    "arrow": ("arrow", "arrows"),
}
COLOURS = {
    "red": "red",
    "orange": "orange",
    "yellow": "yellow",
    "green": "green",
    "blue": "blue",
    "purple": "purple",
    "black": "black",
    "white": "white",
}
SIZES = {"small": "small", "large": "large"}
ARTICLES = {1: "a", 2: "two", 3: "three"}
NUMERALS = {1: "one", 2: "two", 3: "three"}
RELATIONS = {"left_of": "to the left of", "above": "above", "inside": "inside"}


def phrase(group: Group) -> str:
    return f"{ARTICLES[group.count]} {SIZES[group.size]} {COLOURS[group.colour]} {_noun(group)}"


def related_phrase(subject: Group, relation: str, reference: Group) -> str:
    return f"{phrase(subject)} {RELATIONS[relation]} {phrase(reference)}"


def colour_question(group: Group) -> str:
    return f"What colour {'is' if group.count == 1 else 'are'} the {_noun(group)}?"


def colour_answer(group: Group) -> str:
    return COLOURS[group.colour]


def count_question(group: Group) -> str:
    return f"How many {NOUNS[group.shape][1]} are there?"


def count_answer(group: Group) -> str:
    return NUMERALS[group.count]


def position_question(relation: str, reference: Group) -> str:
    return f"What is {RELATIONS[relation]} the {_noun(reference)}?"


def _noun(group: Group) -> str:
    singular, plural = NOUNS[group.shape]
    return singular if group.count == 1 else plural
