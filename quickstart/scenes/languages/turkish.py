"""Turkish captions and questions of the drawn world.

Numeral, size, colour, noun; "bir" as an article stands next to the noun: "küçük kırmızı bir daire", "üç küçük
kırmızı daire".
- No gender, no agreement, and no plural after a numeral.
- The relation comes first, as a genitive with a possessed noun of place: "büyük mavi bir karenin solunda", "iki
  büyük mavi karenin üstünde".
- Genitive and plural follow vowel harmony; after a vowel the genitive inserts n; "kalp" voices its p before a
  vowel ("kalbin"). The forms stand in the table.
"""

from typing import NamedTuple

from ..world import Group


class Noun(NamedTuple):
    singular: str
    genitive: str
    plural: str
    genitive_plural: str


NOUNS = {
    "circle": Noun("daire", "dairenin", "daireler", "dairelerin"),
    "square": Noun("kare", "karenin", "kareler", "karelerin"),
    "triangle": Noun("üçgen", "üçgenin", "üçgenler", "üçgenlerin"),
    "star": Noun("yıldız", "yıldızın", "yıldızlar", "yıldızların"),
    "cross": Noun("haç", "haçın", "haçlar", "haçların"),
    "heart": Noun("kalp", "kalbin", "kalpler", "kalplerin"),
    "ring": Noun("halka", "halkanın", "halkalar", "halkaların"),
    "arrow": Noun("ok", "okun", "oklar", "okların"),
}
COLOURS = {
    "red": "kırmızı",
    "orange": "turuncu",
    "yellow": "sarı",
    "green": "yeşil",
    "blue": "mavi",
    "purple": "mor",
    "black": "siyah",
    "white": "beyaz",
}
SIZES = {"small": "küçük", "large": "büyük"}
NUMERALS = {1: "bir", 2: "iki", 3: "üç"}
RELATIONS = {"left_of": "solunda", "above": "üstünde", "inside": "içinde"}


def phrase(group: Group) -> str:
    return _counted(group, NOUNS[group.shape].singular)


def related_phrase(subject: Group, relation: str, reference: Group) -> str:
    return f"{_counted(reference, NOUNS[reference.shape].genitive)} {RELATIONS[relation]} {phrase(subject)}"


def colour_question(group: Group) -> str:
    noun = NOUNS[group.shape]
    return f"{(noun.singular if group.count == 1 else noun.plural).capitalize()} ne renk?"


def colour_answer(group: Group) -> str:
    return COLOURS[group.colour]


def count_question(group: Group) -> str:
    return f"Kaç {NOUNS[group.shape].singular} var?"


def count_answer(group: Group) -> str:
    return NUMERALS[group.count]


def position_question(relation: str, reference: Group) -> str:
    noun = NOUNS[reference.shape]
    genitive = noun.genitive if reference.count == 1 else noun.genitive_plural
    return f"{genitive.capitalize()} {RELATIONS[relation]} ne var?"


def _counted(group: Group, noun: str) -> str:
    adjectives = f"{SIZES[group.size]} {COLOURS[group.colour]}"
    return f"{adjectives} bir {noun}" if group.count == 1 else f"{NUMERALS[group.count]} {adjectives} {noun}"
