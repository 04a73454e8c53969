"""Is a text in the expected language? We check its script and, where py3langid knows the language, ask py3langid.

Script: at least two fifths of the letters are of the language's own script. The rest may be names. Chinese must not be
in Traditional characters.

py3langid 0.4.0 gives a probability to each language of the table that it knows. We refuse a text if its own language
gets less than 0.05. We measured this on human texts of XM3600, xGQA and XVNLI in 32 languages. Of 26,000 texts, nearly
all of 20 characters or more, it refuses 3. Of English captions labelled as each other Latin-script language in turn,
it refuses 99.6 %. Below 20 characters it would wrongly refuse up to a quarter of the texts, so we do not ask it. In
Chinese, Japanese and Korean a character says more, so we ask from 8 characters on (2,900 texts, 0 refused). It does
not separate close languages (Danish and Norwegian, Malay and Indonesian, often Spanish and Galician).
"""

import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from .languages import LANGUAGES, Language

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

# For each script (ISO 15924), the first words of its letters' Unicode names.
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
PY3LANGID_LABELS: Mapping[str, str] = {"iw": "he", "fil": "tl", "quz": "qu"}  # where its codes differ from ours
CODES_OF_LABELS: Mapping[str, str] = {label: code for code, label in PY3LANGID_LABELS.items()}


def wrong_script(text: str, language: Language) -> str | None:
    """What is wrong with the script of a text; None if nothing is, or if there are no letters or no `SCRIPT_NAMES`."""
    letters = [character for character in text if character.isalpha()]
    names = SCRIPT_NAMES.get(language.script)
    if names is None:
        return None
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
    """Which language py3langid takes the text for, if not the expected one; None if it is right or unknown."""
    label = PY3LANGID_LABELS.get(language.code, language.code)
    is_short = len(text) < MIN_CHARACTERS_OF_SCRIPT.get(language.script, MIN_CHARACTERS)
    if is_short or language in unidentified() or language != LANGUAGES.get(language.code):  # in another script
        return None
    ranked = [(str(name), float(probability)) for name, probability in _of_the_table().rank(text)]
    if dict(ranked)[label] >= MIN_PROBABILITY:
        return None
    found, probability = ranked[0]
    return f"{found} with probability {probability:.2f}"


def identify_language(text: str) -> str | None:
    """The code of the language that py3langid finds; None for a text too short to tell.

    A language that py3langid does not know (`unidentified`) is never found.
    """
    letters = [character for character in text if character.isalpha()]
    is_dense = 2 * sum(_script_name(letter) in DENSE_SCRIPTS for letter in letters) > len(letters)
    if len(text) < (MIN_DENSE_CHARACTERS if is_dense else MIN_CHARACTERS):
        return None
    label = str(_of_the_table().classify(text)[0])
    return CODES_OF_LABELS.get(label, label)


def unidentified() -> tuple[Language, ...]:
    """The languages of the table that py3langid does not know. Only their script is checked."""
    return _unidentified(tuple(LANGUAGES))


@cache
def _unidentified(codes: tuple[str, ...]) -> tuple[Language, ...]:
    known = set(_of_the_table().labels)
    return tuple(
        language for language in LANGUAGES.values() if PY3LANGID_LABELS.get(language.code, language.code) not in known
    )


def load_identifier(codes: Iterable[str] | None = None) -> "LanguageIdentifier":
    """py3langid, restricted to the languages of `codes` that it knows. None: all that it knows.

    `labels` lists these languages; `rank` and `classify` give their probabilities.

    Raises:
        ImportError: py3langid is not installed.
    """
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise ImportError(
            "Identifying languages needs py3langid, which is not installed: `pip install py3langid`."
        ) from error
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    if codes is not None:
        labels = {PY3LANGID_LABELS.get(code, code) for code in codes}
        identifier.set_languages(sorted(labels & set(identifier.labels)))
    return identifier


def _of_the_table() -> "LanguageIdentifier":
    return _identifier(tuple(LANGUAGES))


_identifier = cache(load_identifier)


@cache
def _script_name(letter: str) -> str:
    """The first word of a letter's name in Unicode: "LATIN", "CJK"."""
    return unicodedata.name(letter, "").split(" ")[0]


@cache
def _is_simplified(character: str) -> bool:
    """Whether a Han character is in GB 2312, the set of 6,763 Simplified characters in use."""
    try:
        character.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True
