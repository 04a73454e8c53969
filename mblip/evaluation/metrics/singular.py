"""Converts English plurals to singulars, to find the words of COCO's objects for CHAIR.

CHAIR uses `singularize` of the package pattern (clips/pattern); gregor-ge/mBLIP contains a copy. We keep the rules
that matter for the words in CHAIR's list and word pairs. For these words our result is the same (we compared six
million words), including oddities that affect scores: "bus" becomes "bu" and is not a bus, "doggies" does not change,
"glass" becomes "glas". Other words may differ ("theses"). TextBlob changed the function: there "doggies" are found,
and "abuses" contain a bus.
"""

import re
from functools import lru_cache

UNCHANGED = re.compile(r"^scissors$|doggies$|'$")
# The first rule that matches applies.
RULES = tuple(
    (re.compile(ending), singular)
    for ending, singular in (
        ("children$", "child"),
        ("people$", "person"),
        ("men$", "man"),
        ("geese$", "goose"),
        ("^oxen", "ox"),
        ("kine$", "cow"),
        ("mice$", "mouse"),
        ("(?<=.a)e$", ""),
        ("(?<=bus)es$", ""),
        ("(?<=x|o)es$", ""),
        ("(?<=ch|ss|sh)es$", ""),
        ("(?<=[^aeiouy])ies$", "y"),
        ("(?<=[aeo]l)ves$", "f"),
        ("(?<=[nlw]i)ves$", "fe"),
        ("s$", ""),
    )
)


@lru_cache(maxsize=1 << 16)
def singular(word: str) -> str:
    """The singular of a lower-case English word."""
    if UNCHANGED.search(word):
        return word
    for ending, replacement in RULES:
        if ending.search(word):
            return ending.sub(replacement, word)
    return word
