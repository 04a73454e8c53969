"""Haitian Creole captions and questions of the drawn world.

"yon" or a numeral, size, noun, colour: "yon ti sèk wouj", "twa gwo zetwal nwa". Nothing agrees, and nouns have
no plural form.
- "ti" and "gwo" stand before the noun, colours after it.
- The definite article follows the noun and depends on its last sound: "la" after a consonant, "a" after a
  vowel, "lan" after a nasal consonant; the plural is "yo" for all.
- As an answer "one" is "youn".
"""

from ..world import Group

NOUNS = {  # noun, definite article
    "circle": ("sèk", "la"),
    "square": ("kare", "a"),
    "triangle": ("triyang", "lan"),
    "star": ("zetwal", "la"),
    "cross": ("kwa", "a"),
    "heart": ("kè", "a"),
    "ring": ("bag", "la"),
    "arrow": ("flèch", "la"),
}
COLOURS = {
    "red": "wouj",
    "orange": "zoranj",
    "yellow": "jòn",
    "green": "vèt",
    "blue": "ble",
    "purple": "vyolèt",
    "black": "nwa",
    "white": "blan",
}
SIZES = {"small": "ti", "large": "gwo"}
ARTICLES = {1: "yon", 2: "de", 3: "twa"}
NUMERALS = {1: "youn", 2: "de", 3: "twa"}
RELATIONS = {"left_of": "sou bò gòch", "above": "anwo", "inside": "anndan"}


def phrase(group: Group) -> str:
    return f"{ARTICLES[group.count]} {SIZES[group.size]} {NOUNS[group.shape][0]} {COLOURS[group.colour]}"


def related_phrase(subject: Group, relation: str, reference: Group) -> str:
    return f"{phrase(subject)} {RELATIONS[relation]} {phrase(reference)}"


def colour_question(group: Group) -> str:
    return f"Ki koulè {_definite(group)} ye?"


def colour_answer(group: Group) -> str:
    return COLOURS[group.colour]


def count_question(group: Group) -> str:
    return f"Konbyen {NOUNS[group.shape][0]} ki genyen?"


def count_answer(group: Group) -> str:
    return NUMERALS[group.count]


def position_question(relation: str, reference: Group) -> str:
    return f"Kisa ki {RELATIONS[relation]} {_definite(reference)}?"


def _definite(group: Group) -> str:
    noun, article = NOUNS[group.shape]
    return f"{noun} {article if group.count == 1 else 'yo'}"
