"""Swahili captions and questions of the drawn world.

Noun, numeral, size, colour; all agree with the class of the noun: "mduara mmoja mdogo mwekundu", "miduara mitatu
midogo myekundu". Noun classes by their usual (Bleek-Meinhof) numbers: 3/4 (mraba, miraba), 9/10 (nyota, nyota).
"mduara" and not "duara" (5/6): a class with one noun alone would have forms that only held-out pairs show.
- In the classes 3, 4, 9 and 10 size and numeral take m-, mi-, nothing, nothing; but in 9 and 10 "-dogo" becomes
  "ndogo", and in 10 "-wili" becomes "mbili".
- The colours that begin with e (-ekundu, -eusi, -eupe) take mw-, my-, ny-, ny-.
- The other colours are nouns joined by the connective -a: wa, ya, ya, za. Orange and purple, which also name fruit,
  say "rangi ya" (the colour of).
- "one" is said even where the singular shows it, because nouns of 9/10 have no plural form.
- As an answer a colour agrees with "rangi" (class 9), a number with the noun.
"""

from typing import NamedTuple

from ..world import Group

NOUNS = {  # (class, form) of the singular and of the plural
    "circle": ((3, "mduara"), (4, "miduara")),
    "square": ((3, "mraba"), (4, "miraba")),
    "triangle": ((9, "pembetatu"), (10, "pembetatu")),
    "star": ((9, "nyota"), (10, "nyota")),
    "cross": ((3, "msalaba"), (4, "misalaba")),
    "heart": ((3, "moyo"), (4, "mioyo")),
    "ring": ((9, "pete"), (10, "pete")),
    "arrow": ((3, "mshale"), (4, "mishale")),
}


class Concords(NamedTuple):
    """What the words that belong to a noun of one class begin with."""

    before_consonant: str
    before_e: str
    connective: str
    has: str


CONCORDS = {
    3: Concords("m", "mw", "wa", "una"),
    4: Concords("mi", "my", "ya", "ina"),
    9: Concords("", "ny", "ya", "ina"),
    10: Concords("", "ny", "za", "zina"),
}
COLOUR_STEMS = {"red": "ekundu", "black": "eusi", "white": "eupe"}
COLOUR_NOUNS = {"orange": "machungwa", "yellow": "manjano", "green": "kijani", "blue": "buluu", "purple": "zambarau"}
ALSO_FRUIT = ("machungwa", "zambarau")
SIZES = {"small": "dogo", "large": "kubwa"}
NUMERALS = {1: "moja", 2: "wili", 3: "tatu"}
IN_CLASSES_9_AND_10 = {"dogo": "ndogo", "wili": "mbili"}
RELATIONS = {"left_of": "upande wa kushoto wa", "above": "juu ya", "inside": "ndani ya"}


def phrase(group: Group) -> str:
    noun_class, noun = _noun(group)
    return (
        f"{noun} {count_answer(group)} {_agreeing(SIZES[group.size], noun_class)} {_colour(group.colour, noun_class)}"
    )


def related_phrase(subject: Group, relation: str, reference: Group) -> str:
    return f"{phrase(subject)} {RELATIONS[relation]} {phrase(reference)}"


def colour_question(group: Group) -> str:
    noun_class, noun = _noun(group)
    return f"{noun.capitalize()} {CONCORDS[noun_class].has} rangi gani?"


def colour_answer(group: Group) -> str:
    if group.colour in COLOUR_NOUNS:
        return COLOUR_NOUNS[group.colour]
    return CONCORDS[9].before_e + COLOUR_STEMS[group.colour]


def count_question(group: Group) -> str:
    plural_class, plural = NOUNS[group.shape][1]
    return f"Kuna {plural} {_agreeing('ngapi', plural_class)}?"


def count_answer(group: Group) -> str:
    return _agreeing(NUMERALS[group.count], _noun(group)[0])


def position_question(relation: str, reference: Group) -> str:
    return f"Kuna nini {RELATIONS[relation]} {_noun(reference)[1]}?"


def _noun(group: Group) -> tuple[int, str]:
    singular, plural = NOUNS[group.shape]
    return singular if group.count == 1 else plural


def _agreeing(stem: str, noun_class: int) -> str:
    if noun_class in (9, 10):
        return IN_CLASSES_9_AND_10.get(stem, stem)
    return CONCORDS[noun_class].before_consonant + stem


def _colour(colour: str, noun_class: int) -> str:
    concords = CONCORDS[noun_class]
    if colour in COLOUR_STEMS:
        return concords.before_e + COLOUR_STEMS[colour]
    noun = COLOUR_NOUNS[colour]
    return f"{concords.connective} {'rangi ya ' if noun in ALSO_FRUIT else ''}{noun}"
