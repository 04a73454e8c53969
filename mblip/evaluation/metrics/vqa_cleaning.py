"""Cleans answers as the official VQA evaluator does: punctuation, numbers, articles, apostrophes.

The rules are those of `processPunctuation` and `processDigitArticle` in
PythonEvaluationTools/vqaEvaluation/vqaEval.py of GT-Vision-Lab/VQA. We keep their oddities, so that scores stay
comparable:

- A punctuation mark is removed if it touches a space anywhere in the answer, or if a comma stands between two digits
  anywhere in it. Otherwise it becomes a space. "well-lit" becomes "well lit", "1,000-2,000" becomes "10002000".
- Full stops are removed unless a digit follows, but only the first 32 of them: the evaluator passes `re.UNICODE`,
which
  is 32, as the count of `re.sub`.
- "none" becomes 0, like "zero". Words from "eleven" on stay words.
- "dont" becomes "don't", but the list lacks "she'd" and "I'm".
"""

import re
from collections.abc import Mapping
from functools import lru_cache

_MARK = re.compile(r'[;/\[\]"{}()=+\\_\-<>@`,?!]')
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")
MAX_FULL_STOPS = 32

ARTICLES = frozenset(("a", "an", "the"))
NUMBERS: Mapping[str, str] = {
    "none": "0",
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
}
# A word that lacks one of the apostrophes becomes the form in this list.
_WITH_APOSTROPHES = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've must've mustn't needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
    someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're you've
"""


def _contractions() -> dict[str, str]:
    misspelt = {
        form[:position] + form[position + 1 :]: form
        for form in _WITH_APOSTROPHES.split()
        for position, character in enumerate(form)
        if character == "'"
    }
    return misspelt | {"somebody'd": "somebodyd"}  # reversed in the official evaluator, too


CONTRACTIONS: Mapping[str, str] = _contractions()


@lru_cache(maxsize=1 << 16)
def clean_vqa_answer(text: str) -> str:
    """Clean an answer or a reference as the official evaluator does. The result may be empty."""
    return _replace_words(without_punctuation(straighten(text)))


def straighten(text: str) -> str:
    """Put an answer on one line: line breaks and tabs become spaces, and surrounding space is removed."""
    return text.replace("\n", " ").replace("\t", " ").strip()


def without_punctuation(text: str) -> str:
    """Remove punctuation marks, or put spaces in their place; see the rules above."""
    marks = set(_MARK.findall(text))
    if marks:
        has_number = _COMMA_IN_NUMBER.search(text) is not None
        go_away = {mark for mark in marks if has_number or f"{mark} " in text or f" {mark}" in text}
        text = text.translate({ord(mark): "" if mark in go_away else " " for mark in marks})
    return _FULL_STOP.sub("", text, count=MAX_FULL_STOPS)


def _replace_words(text: str) -> str:
    words = [NUMBERS.get(word, word) for word in text.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)
