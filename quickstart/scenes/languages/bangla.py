"""Bangla captions and questions of the drawn world.

Numeral with the classifier -টি, size, colour, noun; the thing referred to comes first, in the genitive: "একটি
বড় নীল বর্গক্ষেত্রের উপরে দুটি ছোট লাল তারা".
- No gender; adjectives never change; after a numeral with its classifier the noun takes no plural.
- Genitive: -এর after a consonant, -র after a vowel (বৃত্তের, তারার).
- Definite in questions: -টি for one thing, -গুলি for several, before the genitive ending (বৃত্তটির,
  বৃত্তগুলির).
"""

from ..world import Group

NOUNS = {
    "circle": "বৃত্ত",
    "square": "বর্গক্ষেত্র",
    "triangle": "ত্রিভুজ",
    "star": "তারা",
    "cross": "ক্রস",
    "heart": "হৃদয়",
    "ring": "বলয়",
    "arrow": "তীর",
}
COLOURS = {
    "red": "লাল",
    "orange": "কমলা",
    "yellow": "হলুদ",
    "green": "সবুজ",
    "blue": "নীল",
    "purple": "বেগুনি",
    "black": "কালো",
    "white": "সাদা",
}
SIZES = {"small": "ছোট", "large": "বড়"}
NUMERALS = {1: "একটি", 2: "দুটি", 3: "তিনটি"}
RELATIONS = {"left_of": "বাম দিকে", "above": "উপরে", "inside": "ভিতরে"}
VOWEL_SIGNS = ("া", "ি")


def phrase(group: Group) -> str:
    return f"{NUMERALS[group.count]} {SIZES[group.size]} {COLOURS[group.colour]} {NOUNS[group.shape]}"


def related_phrase(subject: Group, relation: str, reference: Group) -> str:
    return f"{_genitive(phrase(reference))} {RELATIONS[relation]} {phrase(subject)}"


def colour_question(group: Group) -> str:
    return f"{_genitive(_definite(group))} রং কী?"


def colour_answer(group: Group) -> str:
    return COLOURS[group.colour]


def count_question(group: Group) -> str:
    return f"কয়টি {NOUNS[group.shape]} আছে?"


def count_answer(group: Group) -> str:
    return NUMERALS[group.count]


def position_question(relation: str, reference: Group) -> str:
    return f"{_genitive(_definite(reference))} {RELATIONS[relation]} কী আছে?"


def _definite(group: Group) -> str:
    return NOUNS[group.shape] + ("টি" if group.count == 1 else "গুলি")


def _genitive(text: str) -> str:
    return text + ("র" if text.endswith(VOWEL_SIGNS) else "ের")
