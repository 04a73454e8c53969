"""French captions and questions of the drawn world.

Size stands before the noun, colour after it; both agree in gender and number ("une petite étoile verte", "deux
grands carrés bleus").
- "orange", a noun used as an adjective, never changes; "blanc" and "violet" have feminines of their own.
- "croix" does not change in the plural, "anneau" takes -x.
- "de" becomes "d'" before "un", "une" and a vowel; "de le" and "de les" contract to "du" and "des".
- A question mark follows a no-break space. Answers agree with what was asked about ("De quelle couleur sont les
  étoiles ?" "vertes").
"""

from typing import NamedTuple

from ..world import Group


class Noun(NamedTuple):
    gender: str
    singular: str
    plural: str


NOUNS = {
    "circle": Noun("m", "cercle", "cercles"),
    "square": Noun("m", "carré", "carrés"),
    "triangle": Noun("m", "triangle", "triangles"),
    "star": Noun("f", "étoile", "étoiles"),
    "cross": Noun("f", "croix", "croix"),
    "heart": Noun("m", "cœur", "cœurs"),
    "ring": Noun("m", "anneau", "anneaux"),
    "arrow": Noun("f", "flèche", "flèches"),
}
COLOURS = {  # masculine, feminine
    "red": ("rouge", "rouge"),
    "orange": ("orange", "orange"),
    "yellow": ("jaune", "jaune"),
    "green": ("vert", "verte"),
    "blue": ("bleu", "bleue"),
    "purple": ("violet", "violette"),
    "black": ("noir", "noire"),
    "white": ("blanc", "blanche"),
}
INVARIABLE = ("orange",)
SIZES = {"small": ("petit", "petite"), "large": ("grand", "grande")}
INDEFINITE_ARTICLES = {"m": "un", "f": "une"}
NUMERALS = {2: "deux", 3: "trois"}
RELATIONS = {"left_of": "à gauche de", "above": "au-dessus de", "inside": "dans"}
QUESTION_MARK = "\N{NO-BREAK SPACE}?"


def phrase(group: Group) -> str:
    noun = NOUNS[group.shape]
    form = noun.singular if group.count == 1 else noun.plural
    return f"{count_answer(group)} {_agreeing(SIZES[group.size], group)} {form} {colour_answer(group)}"


def related_phrase(subject: Group, relation: str, reference: Group) -> str:
    return f"{phrase(subject)} {_joined(RELATIONS[relation], phrase(reference))}"


def colour_question(group: Group) -> str:
    return f"De quelle couleur {'est' if group.count == 1 else 'sont'} {_definite(group)}{QUESTION_MARK}"


def colour_answer(group: Group) -> str:
    return _agreeing(COLOURS[group.colour], group)


def count_question(group: Group) -> str:
    return f"Combien {_joined('de', NOUNS[group.shape].plural)} y a-t-il{QUESTION_MARK}"


def count_answer(group: Group) -> str:
    return INDEFINITE_ARTICLES[NOUNS[group.shape].gender] if group.count == 1 else NUMERALS[group.count]


def position_question(relation: str, reference: Group) -> str:
    return f"Qu'y a-t-il {_joined(RELATIONS[relation], _definite(reference))}{QUESTION_MARK}"


def _agreeing(forms: tuple[str, str], group: Group) -> str:
    masculine, feminine = forms
    form = masculine if NOUNS[group.shape].gender == "m" else feminine
    return form if group.count == 1 or form in INVARIABLE else form + "s"


def _definite(group: Group) -> str:
    noun = NOUNS[group.shape]
    if group.count > 1:
        return f"les {noun.plural}"
    if _begins_with_vowel(noun.singular):
        return f"l'{noun.singular}"
    return f"{'le' if noun.gender == 'm' else 'la'} {noun.singular}"


def _joined(preposition: str, text: str) -> str:
    """The two side by side, a final "de" contracted or elided."""
    before_de = preposition.removesuffix("de")
    if before_de == preposition:
        return f"{preposition} {text}"
    for article, contraction in (("le ", "du "), ("les ", "des ")):
        if text.startswith(article):
            return before_de + contraction + text.removeprefix(article)
    return before_de + ("d'" if _begins_with_vowel(text) else "de ") + text


def _begins_with_vowel(text: str) -> bool:
    return text[0] in "aeiouéœ"
