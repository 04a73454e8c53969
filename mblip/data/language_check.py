"""Is a text in the language it should be in? By its script, and by py3langid where that knows the language.

Script: at least two fifths of the letters are of the language's own script (the rest may be names); Chinese must not
be in Traditional characters.

py3langid 0.4.0 gives a probability to each language of the table that it knows; a text is refused where its own
language gets less than 0.05. Measured on human texts of XM3600, xGQA and XVNLI in 32 languages: of 26,000, of which
nearly all have 20 characters or more, 3 are refused, while 99.6 % of English captions are, each taken for the other
languages in Latin script in turn. Below 20 characters up to a quarter of the texts are refused wrongly, so py3langid
is not asked, except where a character says more: in Chinese, Japanese and Korean it is from 8 on (2,900 texts, none
refused). Near languages (Danish and Norwegian, Malay and Indonesian) pass for each other.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from .languages import LANGUAGES, Language

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

# Of the first words of Unicode's character names, those of each script (ISO 15924).
SCRIPT_NAMES: Mapping[str, tuple[str, ...]] = {
    "Arab": ("ARABIC",),
    "Armn": ("ARMENIAN",),
    "Beng": ("BENGALI",),
    "Cyrl": ("CYRILLIC",),
    "Deva": ("DEVANAGARI",),
    "Ethi": ("ETHIOPIC",),
    "Geor": ("GEORGIAN",),
    "Grek": ("GREEK",),
    "Gujr": ("GUJARATI",),
    "Guru": ("GURMUKHI",),
    "Hang": ("HANGUL",),
    "Hans": ("CJK",),
    "Hant": ("CJK",),
    "Hebr": ("HEBREW",),
    "Jpan": ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "CJK"),
    "Khmr": ("KHMER",),
    "Knda": ("KANNADA",),
    "Laoo": ("LAO",),
    "Latn": ("LATIN", "FULLWIDTH"),
    "Mlym": ("MALAYALAM",),
    "Mymr": ("MYANMAR",),
    "Sinh": ("SINHALA",),
    "Taml": ("TAMIL",),
    "Telu": ("TELUGU",),
    "Thai": ("THAI",),
}
MIN_SCRIPT_SHARE = 0.4
MAX_TRADITIONAL_SHARE = 0.2  # of the Han characters; Simplified texts have next to none outside GB 2312
MIN_PROBABILITY = 0.05
MIN_CHARACTERS = 20
MIN_DENSE_CHARACTERS = 8
MIN_CHARACTERS_OF_SCRIPT: Mapping[str, int] = dict.fromkeys(("Hans", "Jpan", "Hang"), MIN_DENSE_CHARACTERS)
DENSE_SCRIPTS = frozenset(SCRIPT_NAMES["Jpan"] + SCRIPT_NAMES["Hang"])
PY3LANGID_LABELS: Mapping[str, str] = {"iw": "he", "fil": "tl", "quz": "qu"}  # where it does not use our codes
CODES_OF_LABELS: Mapping[str, str] = {label: code for code, label in PY3LANGID_LABELS.items()}


def wrong_script(text: str, language: Language) -> str | None:
    """What is wrong with the script of a text, or None; a text without letters has none."""
    letters = [character for character in text if character.isalpha()]
    names = SCRIPT_NAMES[language.script]
    num_own = sum(_script_name(letter) in names for letter in letters)
    if num_own < MIN_SCRIPT_SHARE * len(letters):
        return f"{num_own} of {len(letters)} letters are {language.script}"
    if language.script == "Hans":
        han = [letter for letter in letters if _script_name(letter) == "CJK"]
        num_traditional = sum(not _is_simplified(letter) for letter in han)
        if num_traditional > MAX_TRADITIONAL_SHARE * len(han):
            return f"{num_traditional} of {len(han)} characters are Traditional"
    return None


def wrong_language(text: str, language: Language) -> str | None:
    """What py3langid takes a text for where that is not its language; None if it is, or cannot be told."""
    label = PY3LANGID_LABELS.get(language.code, language.code)
    is_short = len(text) < MIN_CHARACTERS_OF_SCRIPT.get(language.script, MIN_CHARACTERS)
    if is_short or language in unidentified() or language != LANGUAGES[language.code]:  # in another script
        return None
    ranked = [(str(name), float(probability)) for name, probability in _of_the_table().rank(text)]
    if dict(ranked)[label] >= MIN_PROBABILITY:
        return None
    found, probability = ranked[0]
    return f"{found} with probability {probability:.2f}"


def identify_language(text: str) -> str | None:
    """The code of the language that py3langid takes a text for; None for one too short to tell.

    It never is one that py3langid does not know (`unidentified`).
    """
    letters = [character for character in text if character.isalpha()]
    is_dense = 2 * sum(_script_name(letter) in DENSE_SCRIPTS for letter in letters) > len(letters)
    if len(text) < (MIN_DENSE_CHARACTERS if is_dense else MIN_CHARACTERS):
        return None
    label = str(_of_the_table().classify(text)[0])
    return CODES_OF_LABELS.get(label, label)


@cache
def unidentified() -> tuple[Language, ...]:
    """The languages of the table that py3langid does not know: only their script is checked."""
    known = set(_of_the_table().labels)
    return tuple(
        language for language in LANGUAGES.values() if PY3LANGID_LABELS.get(language.code, language.code) not in known
    )


def load_identifier(codes: Iterable[str] | None = None) -> "LanguageIdentifier":
    """py3langid, which can find the languages of `codes` that it knows and no other; None: all that it knows.

    Its `labels` are these languages, `rank` and `classify` give them probabilities.

    Raises:
        ImportError: it is not installed.
    """
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise ImportError(
            "Languages are identified by py3langid, which is not installed: `pip install py3langid`."
        ) from error
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    if codes is not None:
        labels = {PY3LANGID_LABELS.get(code, code) for code in codes}
        identifier.set_languages(sorted(labels & set(identifier.labels)))
    return identifier


@cache
def _of_the_table() -> "LanguageIdentifier":
    return load_identifier(LANGUAGES)


@cache
def _script_name(letter: str) -> str:
    """The first word of a letter's name in Unicode: "LATIN", "CJK"."""
    return unicodedata.name(letter, "").split(" ")[0]


@cache
def _is_simplified(character: str) -> bool:
    """Whether a Han character is of GB 2312, the set of 6,763 Simplified characters in use."""
    try:
        character.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True
