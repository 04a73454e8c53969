"""Does a text name a side, so that it would be wrong about a mirrored picture?

`side_words.tsv` lists, for 95 of the 96 languages, the words for left and right, for turning with the clock or against
it, for mirrors and for east and west, and, in English, in which questions of all sources are asked, also the words of
questions that have a picture's writing or clock read. Lists are generous: a word that only sometimes names a side
("rights", Vietnamese "trái", which is also fruit) costs a flip now and then, a word that is missing teaches something
false. They are our own, by hand.

A word stands for itself; `word*` also for longer words that begin so, `*word*` for all that hold it, which languages
need that put prefixes to their words. Scripts that do not part words by spaces are searched for the letters alone.
"""

import csv
import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from .languages import LANGUAGES, get_language

UNSPACED_SCRIPTS = ("Hans", "Jpan", "Khmr", "Laoo", "Mymr", "Thai")
POINTED_SCRIPTS = ("Arab", "Hebr")  # vowel points, which may be written or not, are taken off


def names_a_side(text: str, language: str) -> bool | None:
    """Whether a text in `language` names a side; None if there is no list for the language."""
    pattern = _patterns().get(language)
    return None if pattern is None else bool(pattern.search(_plain(text, LANGUAGES[language].script)))


def read_side_words() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """The list: language -> kind ("left", "right", "turn", "mirror", "compass", "reading") -> words."""
    table = files("mblip.data").joinpath("side_words.tsv").read_text(encoding="utf-8")
    words: dict[str, dict[str, tuple[str, ...]]] = {}
    for row in csv.DictReader(table.splitlines(), delimiter="\t"):
        words.setdefault(get_language(row["language"]).code, {})[row["kind"]] = tuple(row["words"].split(", "))
    return words


@cache
def _patterns() -> Mapping[str, re.Pattern[str]]:
    patterns = {}
    for code, kinds in read_side_words().items():
        script = LANGUAGES[code].script
        words = [_word_pattern(word, script) for words in kinds.values() for word in words]
        patterns[code] = re.compile("|".join(words))
    return patterns


def _word_pattern(word: str, script: str) -> str:
    """What a word of the list matches in a text made plain."""
    letters = _plain(word.strip("*"), script).strip()
    if script in UNSPACED_SCRIPTS:
        return re.escape(letters)
    start, end = "" if word.startswith("*") else " ", "" if word.endswith("*") else " "
    return re.escape(f"{start}{letters}{end}")


def _plain(text: str, script: str) -> str:
    """The text in one spelling: composed, lower case, its words parted by single spaces, one at either end."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    if script in POINTED_SCRIPTS:
        folded = "".join(letter for letter in folded if unicodedata.category(letter) != "Mn")
    parted = "".join(
        letter if letter.isalnum() or unicodedata.category(letter).startswith("M") else " " for letter in folded
    )
    return f" {' '.join(parted.split())} "
