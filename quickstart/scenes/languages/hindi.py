"""Hindi captions and questions of the drawn world.

Numeral, size, colour, noun; the thing referred to comes first, with its postposition: "एक बड़े नीले वर्ग के ऊपर
दो छोटे लाल तारे".
- Direct case when standing alone, oblique case before a postposition (के बाईं ओर, के ऊपर, के अंदर, का).
- All eight nouns are masculine. Those in -ā (तारा, छल्ला) have -e in the direct plural and the oblique
  singular; the others do not change there. The oblique plural is -oṃ for all.
- Adjectives in -ā (छोटा, बड़ा, पीला, हरा, नीला, काला) have -e everywhere but in the direct singular; the others
  (लाल, नारंगी, बैंगनी, सफ़ेद) never change.
- A colour given as an answer agrees with "रंग", a masculine singular.
"""

from ..world import Group

NOUNS = {
    "circle": "वृत्त",
    "square": "वर्ग",
    "triangle": "त्रिभुज",
    "star": "तारा",
    "cross": "क्रॉस",
    "heart": "दिल",
    "ring": "छल्ला",
    "arrow": "तीर",
}
COLOURS = {
    "red": "लाल",
    "orange": "नारंगी",
    "yellow": "पीला",
    "green": "हरा",
    "blue": "नीला",
    "purple": "बैंगनी",
    "black": "काला",
    "white": "सफ़ेद",
}
SIZES = {"small": "छोटा", "large": "बड़ा"}
NUMERALS = {1: "एक", 2: "दो", 3: "तीन"}
RELATIONS = {"left_of": "के बाईं ओर", "above": "के ऊपर", "inside": "के अंदर"}


def phrase(group: Group) -> str:
    return _phrase(group, is_oblique=False)


def related_phrase(subject: Group, relation: str, reference: Group) -> str:
    return f"{_phrase(reference, is_oblique=True)} {RELATIONS[relation]} {phrase(subject)}"


def colour_question(group: Group) -> str:
    return f"{_noun(group.shape, group.count, is_oblique=True)} का रंग क्या है?"


def colour_answer(group: Group) -> str:
    return COLOURS[group.colour]


def count_question(group: Group) -> str:
    return f"कितने {_noun(group.shape, count=2, is_oblique=False)} हैं?"


def count_answer(group: Group) -> str:
    return NUMERALS[group.count]


def position_question(relation: str, reference: Group) -> str:
    return f"{_noun(reference.shape, reference.count, is_oblique=True)} {RELATIONS[relation]} क्या है?"


def _phrase(group: Group, is_oblique: bool) -> str:
    adjectives = [SIZES[group.size], COLOURS[group.colour]]
    if group.count > 1 or is_oblique:
        adjectives = [_with_e(adjective) for adjective in adjectives]
    return " ".join([NUMERALS[group.count], *adjectives, _noun(group.shape, group.count, is_oblique)])


def _noun(shape: str, count: int, is_oblique: bool) -> str:
    noun = NOUNS[shape]
    if count > 1 and is_oblique:
        return noun.removesuffix("ा") + "ों"
    return _with_e(noun) if count > 1 or is_oblique else noun


def _with_e(word: str) -> str:
    return word.removesuffix("ा") + "े" if word.endswith("ा") else word
