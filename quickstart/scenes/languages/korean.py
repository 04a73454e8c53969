"""Korean captions and questions of the drawn world.

Size, colour, noun, numeral with the counter 개: "작은 빨간 원 세 개". The relation is a relative clause before
the subject: "큰 파란 정사각형 한 개 위에 있는 작은 빨간 원 세 개".
- Before a counter the native numerals are 한, 두, 세. Nouns take no plural, and there are no articles.
- Five colours are adjectives (빨간), three are nouns used like them (주황색); as an answer all are nouns in -색.
- The topic is marked 은 and the subject 이 after a final consonant, 는 and 가 after a vowel.
- A quantity takes 의 before 왼쪽 but not before 위 and 안.
"""

from ..world import Group

NOUNS = {
    "circle": "원",
    "square": "정사각형",
    "triangle": "삼각형",
    "star": "별",
    "cross": "십자가",
    "heart": "하트",
    "ring": "고리",
    "arrow": "화살표",
}
COLOURS = {  # before a noun
    "red": "빨간",
    "orange": "주황색",
    "yellow": "노란",
    "green": "초록색",
    "blue": "파란",
    "purple": "보라색",
    "black": "검은",
    "white": "하얀",
}
SIZES = {"small": "작은", "large": "큰"}
COUNTS = {1: "한 개", 2: "두 개", 3: "세 개"}
RELATIONS_OF_QUANTITIES = {"left_of": "의 왼쪽에", "above": " 위에", "inside": " 안에"}
RELATIONS = {"left_of": "왼쪽에", "above": "위에", "inside": "안에"}


def phrase(group: Group) -> str:
    return f"{SIZES[group.size]} {COLOURS[group.colour]} {NOUNS[group.shape]} {COUNTS[group.count]}"


def related_phrase(subject: Group, relation: str, reference: Group) -> str:
    return f"{phrase(reference)}{RELATIONS_OF_QUANTITIES[relation]} 있는 {phrase(subject)}"


def colour_question(group: Group) -> str:
    noun = NOUNS[group.shape]
    return f"{noun}{'은' if _ends_in_consonant(noun) else '는'} 무슨 색인가요?"


def colour_answer(group: Group) -> str:
    return COLOURS[group.colour].removesuffix("색") + "색"


def count_question(group: Group) -> str:
    noun = NOUNS[group.shape]
    return f"{noun}{'이' if _ends_in_consonant(noun) else '가'} 몇 개 있나요?"


def count_answer(group: Group) -> str:
    return COUNTS[group.count]


def position_question(relation: str, reference: Group) -> str:
    return f"{NOUNS[reference.shape]} {RELATIONS[relation]}는 무엇이 있나요?"


def _ends_in_consonant(word: str) -> bool:
    """Unicode orders the syllables by initial, vowel and 28 finals, of which the first is none."""
    return (ord(word[-1]) - ord("가")) % 28 != 0
