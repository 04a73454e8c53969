"""The 96 languages of the training mix, from `languages.tsv`.

A language is named by its code in mC4, the corpus of mT5. Hebrew is therefore `iw` and Filipino `fil`. Prompts use its
English name, translation its NLLB code. Languages are drawn in proportion to the shares.
"""

import csv
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import NewType

LanguageCode = NewType("LanguageCode", str)  # a code of languages.tsv; the recipe reader checks it
ENGLISH = LanguageCode("en")

# Codes that other corpora use for languages of the table. Errors suggest ours; we never convert them silently.
OTHER_CODES = {
    "he": "iw",
    "in": "id",
    "jw": "jv",
    "ji": "yi",
    "nb": "no",
    "nn": "no",
    "tl": "fil",
    "zh-cn": "zh",
    "zh-tw": "zh",
}
NAMES_IN_ORIGINAL = {"iw": "former Hebrew"}  # names in the original's training prompts


@dataclass(frozen=True)
class Language:
    """A row of `languages.tsv`.

    `script` is an ISO 15924 code. `nllb_code_in_original` is the code that the original training used, where it
    differs: Traditional Chinese, Central Kurdish. `mc4_share_percent` is the share of mC4. `mt5_share_percent` is the
    flatter share that mT5 was trained with.
    """

    code: str
    name: str
    script: str
    nllb_code: str
    nllb_code_in_original: str
    mc4_share_percent: float
    mt5_share_percent: float


def _read_languages() -> Mapping[str, Language]:
    table = files("mblip.data").joinpath("languages.tsv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(table.splitlines(), delimiter="\t"))
    languages = {}
    for row in rows:
        mc4_share, mt5_share = float(row.pop("mc4_share_percent")), float(row.pop("mt5_share_percent"))
        languages[row["code"]] = Language(**row, mc4_share_percent=mc4_share, mt5_share_percent=mt5_share)
    return MappingProxyType(languages)


LANGUAGES: Mapping[str, Language] = _read_languages()


def get_language(code: object) -> Language:
    """The language of a code.

    Raises:
        ValueError: the code is not in the table; the message names the nearest codes. A bare `no` in YAML arrives as
            False; the message then says to quote it.
    """
    if isinstance(code, bool):
        raise ValueError(
            f"Found the language {code!r}, expected a code. "
            "YAML reads a bare `no` (Norwegian) as False: write 'no' in quotes."
        )
    if isinstance(code, str) and code in LANGUAGES:
        return LANGUAGES[code]
    raise ValueError(
        f"Found the language {code!r}, expected one of the {len(LANGUAGES)} codes of mblip/data/languages.tsv. "
        f"{_nearest(str(code))}"
    )


def prompt_name(code: object, as_released: bool = False) -> str:
    """The language's name in English prompts; with `as_released` the original's name for it."""
    language = get_language(code)
    return NAMES_IN_ORIGINAL.get(language.code, language.name) if as_released else language.name


def translation_code(code: object, as_released: bool = False) -> str:
    """The NLLB code that we translate into.

    With `as_released` it is the original's: Traditional Chinese for `zh` and Central Kurdish for `ku`. mT5 and the
    benchmarks use these codes for languages in other scripts.
    """
    language = get_language(code)
    return language.nllb_code_in_original if as_released else language.nllb_code


def _nearest(text: str) -> str:
    """A hint: the languages that `text` may mean, as a code of another table or as a name."""
    wanted = text.strip().casefold()
    by_name = {language.name.casefold(): language.code for language in LANGUAGES.values()}
    named = [by_name[name] for name in difflib.get_close_matches(wanted, by_name, n=3, cutoff=0.75)]
    coded = (
        [OTHER_CODES[wanted]]
        if wanted in OTHER_CODES
        else difflib.get_close_matches(wanted, LANGUAGES, n=3, cutoff=0.5)
    )
    nearest = ", ".join(f"`{code}` ({LANGUAGES[code].name})" for code in dict.fromkeys(named + coded))
    return f"Nearest: {nearest}." if nearest else "No code is similar."
