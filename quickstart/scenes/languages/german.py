"""German captions and questions of the drawn world.

Nouns are capitalised and have a gender; size and colour stand before them and agree in gender, number and case.
- Standing alone, nominative: mixed declension after "ein" ("ein kleiner roter Kreis", "ein kleines rotes
  Quadrat"), strong after a numeral ("zwei kleine rote Kreise").
- After "links von", "über" and "in" (place), dative: "einem kleinen roten Kreis", "zwei kleinen roten Kreisen".
- "lila" never takes an ending; "orange" stands as "orangefarben", which does, and remains "orange" as an
  answer.
- "Herz" keeps its own dative, "dem Herzen".
- "von dem" and "in dem" contract to "vom" and "im". As an answer of its own, "one" agrees: "einer", "eins".
"""

from typing import NamedTuple

from ..world import Group


class Noun(NamedTuple):
    gender: str
    nominative: str
    dative: str
    plural: str
    dative_plural: str


NOUNS = {
    "circle": Noun("m", "Kreis", "Kreis", "Kreise", "Kreisen"),
    "square": Noun("n", "Quadrat", "Quadrat", "Quadrate", "Quadraten"),
    "triangle": Noun("n", "Dreieck", "Dreieck", "Dreiecke", "Dreiecken"),
    "star": Noun("m", "Stern", "Stern", "Sterne", "Sternen"),
    "cross": Noun("n", "Kreuz", "Kreuz", "Kreuze", "Kreuzen"),
    "heart": Noun("n", "Herz", "Herzen", "Herzen", "Herzen"),
    "ring": Noun("m", "Ring", "Ring", "Ringe", "Ringen"),
    "arrow": Noun("m", "Pfeil", "Pfeil", "Pfeile", "Pfeilen"),
}
COLOURS = {  # as an answer
    "red": "rot",
    "orange": "orange",
    "yellow": "gelb",
    "green": "grün",
    "blue": "blau",
    "purple": "lila",
    "black": "schwarz",
    "white": "weiß",
}
STEMS = COLOURS | {"orange": "orangefarben"}  # before a noun
INVARIABLE = ("lila",)
SIZES = {"small": "klein", "large": "groß"}
NUMERALS = {2: "zwei", 3: "drei"}
NOMINATIVE_ENDINGS = {"m": "er", "n": "es"}
DEFINITE_ARTICLES = {"m": "der", "n": "das"}
ONE_AS_ANSWER = {"m": "einer", "n": "eins"}
RELATIONS = {"left_of": "links von", "above": "über", "inside": "in"}
RELATIONS_TO_THE_ONE = {"left_of": "links vom", "above": "über dem", "inside": "im"}


def phrase(group: Group) -> str:
    noun = NOUNS[group.shape]
    if group.count == 1:
        return f"ein {_adjectives(group, NOMINATIVE_ENDINGS[noun.gender])} {noun.nominative}"
    return f"{NUMERALS[group.count]} {_adjectives(group, 'e')} {noun.plural}"


def related_phrase(subject: Group, relation: str, reference: Group) -> str:
    noun = NOUNS[reference.shape]
    article, form = ("einem", noun.dative) if reference.count == 1 else (NUMERALS[reference.count], noun.dative_plural)
    return f"{phrase(subject)} {RELATIONS[relation]} {article} {_adjectives(reference, 'en')} {form}"


def colour_question(group: Group) -> str:
    noun = NOUNS[group.shape]
    if group.count == 1:
        return f"Welche Farbe hat {DEFINITE_ARTICLES[noun.gender]} {noun.nominative}?"
    return f"Welche Farbe haben die {noun.plural}?"


def colour_answer(group: Group) -> str:
    return COLOURS[group.colour]


def count_question(group: Group) -> str:
    return f"Wie viele {NOUNS[group.shape].plural} sind zu sehen?"


def count_answer(group: Group) -> str:
    return ONE_AS_ANSWER[NOUNS[group.shape].gender] if group.count == 1 else NUMERALS[group.count]


def position_question(relation: str, reference: Group) -> str:
    noun = NOUNS[reference.shape]
    if reference.count == 1:
        return f"Was befindet sich {RELATIONS_TO_THE_ONE[relation]} {noun.dative}?"
    return f"Was befindet sich {RELATIONS[relation]} den {noun.dative_plural}?"


def _adjectives(group: Group, ending: str) -> str:
    colour = STEMS[group.colour]
    return f"{SIZES[group.size]}{ending} {colour if colour in INVARIABLE else colour + ending}"
