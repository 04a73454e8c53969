"""Russian captions and questions of the drawn world.

No articles; a single thing stands without a numeral. Size and colour stand before the noun and agree in gender,
number and case.
- Standing alone, nominative: "маленький красный круг", "маленькая красная звезда", "маленькое красное сердце".
- After два/две/три in the nominative (the paucal): noun in the genitive singular; adjectives in the genitive
  plural with masculine and neuter nouns ("два маленьких красных круга"), in the nominative plural with feminine
  ones ("две маленькие красные звезды").
- In every other case numeral, adjectives and noun agree in the plural: "двух больших синих квадратов", "двумя
  большими синими квадратами".
- "слева от" and "внутри" take the genitive, "над" the instrumental.
- "синий" has soft endings, "маленький" and "большой" write и after к and ш; the others are hard.
- "Какого цвета" asks for a genitive, and is answered by one: "красного".
"""

from typing import NamedTuple

from ..world import Group

NOMINATIVE, GENITIVE, INSTRUMENTAL = range(3)  # columns of every table below


class Noun(NamedTuple):
    gender: str
    singular: tuple[str, str, str]
    plural: tuple[str, str, str]


NOUNS = {
    "circle": Noun("m", ("круг", "круга", "кругом"), ("круги", "кругов", "кругами")),
    "square": Noun("m", ("квадрат", "квадрата", "квадратом"), ("квадраты", "квадратов", "квадратами")),
    "triangle": Noun(
        "m", ("треугольник", "треугольника", "треугольником"), ("треугольники", "треугольников", "треугольниками")
    ),
    "star": Noun("f", ("звезда", "звезды", "звездой"), ("звёзды", "звёзд", "звёздами")),
    "cross": Noun("m", ("крест", "креста", "крестом"), ("кресты", "крестов", "крестами")),
    "heart": Noun("n", ("сердце", "сердца", "сердцем"), ("сердца", "сердец", "сердцами")),
    "ring": Noun("n", ("кольцо", "кольца", "кольцом"), ("кольца", "колец", "кольцами")),
    "arrow": Noun("f", ("стрелка", "стрелки", "стрелкой"), ("стрелки", "стрелок", "стрелками")),
}
Endings = dict[str, tuple[str, str, str]]
HARD: Endings = {
    "m": ("ый", "ого", "ым"),
    "f": ("ая", "ой", "ой"),
    "n": ("ое", "ого", "ым"),
    "plural": ("ые", "ых", "ыми"),
}
SOFT: Endings = {
    "m": ("ий", "его", "им"),
    "f": ("яя", "ей", "ей"),
    "n": ("ее", "его", "им"),
    "plural": ("ие", "их", "ими"),
}
VELAR: Endings = {
    "m": ("ий", "ого", "им"),
    "f": ("ая", "ой", "ой"),
    "n": ("ое", "ого", "им"),
    "plural": ("ие", "их", "ими"),
}
STRESSED: Endings = VELAR | {"m": ("ой", "ого", "им")}
COLOURS = {  # stem, endings
    "red": ("красн", HARD),
    "orange": ("оранжев", HARD),
    "yellow": ("жёлт", HARD),
    "green": ("зелён", HARD),
    "blue": ("син", SOFT),
    "purple": ("фиолетов", HARD),
    "black": ("чёрн", HARD),
    "white": ("бел", HARD),
}
SIZES = {"small": ("маленьк", VELAR), "large": ("больш", STRESSED)}
NUMERALS = {2: ("два", "двух", "двумя"), 3: ("три", "трёх", "тремя")}
ONE_AS_ANSWER = {"m": "один", "f": "одна", "n": "одно"}
RELATIONS = {"left_of": ("слева от", GENITIVE), "above": ("над", INSTRUMENTAL), "inside": ("внутри", GENITIVE)}


def phrase(group: Group) -> str:
    return _in_case(group, NOMINATIVE)


def related_phrase(subject: Group, relation: str, reference: Group) -> str:
    preposition, case = RELATIONS[relation]
    return f"{phrase(subject)} {preposition} {_in_case(reference, case)}"


def colour_question(group: Group) -> str:
    return f"Какого цвета {_noun(group, NOMINATIVE)}?"


def colour_answer(group: Group) -> str:
    stem, endings = COLOURS[group.colour]
    return stem + endings["m"][GENITIVE]


def count_question(group: Group) -> str:
    return f"Сколько {NOUNS[group.shape].plural[GENITIVE]} на картинке?"


def count_answer(group: Group) -> str:
    gender = NOUNS[group.shape].gender
    return ONE_AS_ANSWER[gender] if group.count == 1 else _numeral(group, NOMINATIVE)


def position_question(relation: str, reference: Group) -> str:
    preposition, case = RELATIONS[relation]
    return f"Что находится {preposition} {_noun(reference, case)}?"


def _in_case(group: Group, case: int) -> str:
    noun = NOUNS[group.shape]
    if group.count == 1:
        return f"{_adjectives(group, noun.gender, case)} {noun.singular[case]}"
    if case == NOMINATIVE:
        adjectives = _adjectives(group, "plural", NOMINATIVE if noun.gender == "f" else GENITIVE)
        return f"{_numeral(group, case)} {adjectives} {noun.singular[GENITIVE]}"
    return f"{_numeral(group, case)} {_adjectives(group, 'plural', case)} {noun.plural[case]}"


def _adjectives(group: Group, agreement: str, case: int) -> str:
    return " ".join(stem + endings[agreement][case] for stem, endings in (SIZES[group.size], COLOURS[group.colour]))


def _numeral(group: Group, case: int) -> str:
    is_feminine_two = group.count == 2 and case == NOMINATIVE and NOUNS[group.shape].gender == "f"
    return "две" if is_feminine_two else NUMERALS[group.count][case]


def _noun(group: Group, case: int) -> str:
    noun = NOUNS[group.shape]
    return (noun.singular if group.count == 1 else noun.plural)[case]
