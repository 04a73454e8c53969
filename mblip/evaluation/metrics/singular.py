"""English plurals to singulars, as CHAIR needs them to find the words for COCO's objects.

CHAIR singularises every word with `singularize` of the package pattern (clips/pattern), of which gregor-ge/mBLIP
carries a copy. These are the rules of it that lead to one of the words of CHAIR's list and word pairs, or keep from
it; for them the result is the same (six million words were compared), its oddities included, which decide scores:
"bus" becomes "bu" and is no bus, "doggies" stay what they are, "glass" becomes "glas". Other words may differ
("theses"). TextBlob has the function, too, but changed it: there "doggies" are found, and "abuses" are a bus.
"""

import re
from functools import lru_cache

UNCHANGED = re.compile(r"^scissors$|doggies$|'$")
# The first that fits is applied.
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
    """The singular of an English word in small letters."""
    if UNCHANGED.search(word):
        return word
    for ending, replacement in RULES:
        if ending.search(word):
            return ending.sub(replacement, word)
    return word
