"""Arabic captions and questions of the drawn world (Modern Standard Arabic, without vowel signs).

Noun, colour, size; all agree. Indefinite nouns have no article, and one thing stands without a numeral.
- One: adjectives agree in gender ("مربع أزرق كبير", "دائرة زرقاء كبيرة"). Colours follow the pattern أفعل / فعلاء,
  except the two made with the ending ي of relation (nisba).
- Two: the dual, without a numeral, in noun and adjectives: ان in the nominative, ين in the genitive. Before it
  ة becomes ت and the اء of فعلاء becomes او ("دائرتان حمراوان صغيرتان").
- Three: the numeral takes the gender opposite to the noun's (gender polarity) and the noun a genitive plural;
  plurals of things agree as a feminine singular ("ثلاث دوائر حمراء صغيرة", "ثلاثة مربعات حمراء صغيرة").
- "على يسار", "فوق" and "داخل" put what follows into the genitive, which unvowelled spelling shows in the dual alone.
- "كم" takes the accusative singular, written with ًا on masculine nouns. A colour given as an answer agrees with
  "لون", a masculine.
"""

from ..world import Group

MASCULINE, FEMININE = range(2)  # columns of the adjectives

NOUNS = {  # gender, singular, plural
    "circle": ("f", "دائرة", "دوائر"),
    "square": ("m", "مربع", "مربعات"),
    "triangle": ("m", "مثلث", "مثلثات"),
    "star": ("f", "نجمة", "نجوم"),
    "cross": ("m", "صليب", "صلبان"),
    "heart": ("m", "قلب", "قلوب"),
    "ring": ("f", "حلقة", "حلقات"),
    "arrow": ("m", "سهم", "أسهم"),
}
COLOURS = {
    "red": ("أحمر", "حمراء"),
    "orange": ("برتقالي", "برتقالية"),
    "yellow": ("أصفر", "صفراء"),
    "green": ("أخضر", "خضراء"),
    "blue": ("أزرق", "زرقاء"),
    "purple": ("بنفسجي", "بنفسجية"),
    "black": ("أسود", "سوداء"),
    "white": ("أبيض", "بيضاء"),
}
SIZES = {"small": ("صغير", "صغيرة"), "large": ("كبير", "كبيرة")}
COUNT_ANSWERS = {  # by the gender of what is counted
    "m": {1: "واحد", 2: "اثنان", 3: "ثلاثة"},
    "f": {1: "واحدة", 2: "اثنتان", 3: "ثلاث"},
}
RELATIONS = {"left_of": "على يسار", "above": "فوق", "inside": "داخل"}
NOMINATIVE_DUAL, GENITIVE_DUAL = "ان", "ين"


def phrase(group: Group) -> str:
    return _phrase(group, NOMINATIVE_DUAL)


def related_phrase(subject: Group, relation: str, reference: Group) -> str:
    return f"{phrase(subject)} {RELATIONS[relation]} {_phrase(reference, GENITIVE_DUAL)}"


def colour_question(group: Group) -> str:
    return f"ما لون {_definite_genitive(group)}؟"


def colour_answer(group: Group) -> str:
    return COLOURS[group.colour][MASCULINE]


def count_question(group: Group) -> str:
    gender, singular, _ = NOUNS[group.shape]
    return f"كم {singular if gender == 'f' else singular + 'ًا'} في الصورة؟"


def count_answer(group: Group) -> str:
    return COUNT_ANSWERS[NOUNS[group.shape][0]][group.count]


def position_question(relation: str, reference: Group) -> str:
    return f"ماذا يوجد {RELATIONS[relation]} {_definite_genitive(reference)}؟"


def _phrase(group: Group, dual_ending: str) -> str:
    gender, singular, plural = NOUNS[group.shape]
    agreement = FEMININE if gender == "f" or group.count == 3 else MASCULINE
    adjectives = [COLOURS[group.colour][agreement], SIZES[group.size][agreement]]
    if group.count == 1:
        return " ".join([singular, *adjectives])
    if group.count == 2:
        return " ".join(_dual(word, dual_ending) for word in [singular, *adjectives])
    return " ".join([COUNT_ANSWERS[gender][3], plural, *adjectives])


def _definite_genitive(group: Group) -> str:
    _, singular, plural = NOUNS[group.shape]
    return "ال" + {1: singular, 2: _dual(singular, GENITIVE_DUAL), 3: plural}[group.count]


def _dual(word: str, ending: str) -> str:
    if word.endswith("ة"):
        word = word.removesuffix("ة") + "ت"
    elif word.endswith("اء"):
        word = word.removesuffix("ء") + "و"
    return word + ending
