"""Chinese (Simplified characters) captions and questions of the drawn world.

Numeral, measure word, colour with 的, size, noun: "三个红色的小圆形". The relation is a sentence of existence,
place first: "一个蓝色的大正方形左边有三个红色的小圆形".
- Measure words: 颗 for stars and hearts, 个 for the rest. Before a measure word, two is 两.
- No plural, no articles, no spaces. Counts are answered with their measure word ("三个").
"""

from ..world import Group

NOUNS = {  # measure word, noun
    "circle": ("个", "圆形"),
    "square": ("个", "正方形"),
    "triangle": ("个", "三角形"),
    "star": ("颗", "星星"),
    "cross": ("个", "十字"),
    "heart": ("颗", "爱心"),
    "ring": ("个", "圆环"),
    "arrow": ("个", "箭头"),
}
COLOURS = {
    "red": "红色",
    "orange": "橙色",
    "yellow": "黄色",
    "green": "绿色",
    "blue": "蓝色",
    "purple": "紫色",
    "black": "黑色",
    "white": "白色",
}
SIZES = {"small": "小", "large": "大"}
NUMERALS = {1: "一", 2: "两", 3: "三"}
RELATIONS = {"left_of": "左边", "above": "上方", "inside": "里面"}


def phrase(group: Group) -> str:
    return f"{count_answer(group)}{COLOURS[group.colour]}的{SIZES[group.size]}{NOUNS[group.shape][1]}"


def related_phrase(subject: Group, relation: str, reference: Group) -> str:
    return f"{phrase(reference)}{RELATIONS[relation]}有{phrase(subject)}"


def colour_question(group: Group) -> str:
    return f"{NOUNS[group.shape][1]}是什么颜色的？"


def colour_answer(group: Group) -> str:
    return COLOURS[group.colour]


def count_question(group: Group) -> str:
    return f"有几{''.join(NOUNS[group.shape])}？"


def count_answer(group: Group) -> str:
    return NUMERALS[group.count] + NOUNS[group.shape][0]


def position_question(relation: str, reference: Group) -> str:
    return f"{NOUNS[reference.shape][1]}{RELATIONS[relation]}有什么？"
