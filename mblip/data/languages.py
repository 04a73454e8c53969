"""The 96 languages of the training mix, from `languages.tsv`, and those that a recipe adds.

A language is named by its code in mC4, the corpus of mT5. Hebrew is therefore `iw` and Filipino `fil`. Prompts use its
English name, translation its NLLB code. Languages are drawn in proportion to the shares. Processes that this one
starts know the added languages by the environment variable `MBLIP_LANGUAGES`; set it for commands without a recipe.
"""

import csv
import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
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
# By our code, those of ISO 639-2/B, of macrolanguages and of their members. NLLB's are the rest of ISO 639-3.
ISO_639_CODES = (
    "ar: ara arz ary apc acm; az: aze azb; cs: cze; cy: wel; de: ger; el: gre; et: est; eu: baq; fa: fas per prs; "
    "fr: fre; hy: arm; is: ice; ka: geo; ku: kur ckb sdh; lv: lav; mg: mlg; mi: mao; mk: mac; mn: mon; "
    "ms: msa may zlm; my: bur; ne: nep; nl: dut; no: nor nno; ps: pus; ro: rum; sk: slo; sq: sqi alb; sw: swa swc; "
    "uz: uzb uzs; yi: yid; zh: chi cmn yue wuu nan hak"
)
NAMES_IN_ORIGINAL = {"iw": "former Hebrew"}  # names in the original's training prompts


@dataclass(frozen=True)
class Language:
    """A row of `languages.tsv`, or an entry of `add_languages` in a recipe.

    `script` is an ISO 15924 code. `nllb_code` is needed for translation by an NLLB alone.
    `nllb_code_in_original` is the code that the original training used, where it differs: Traditional Chinese, Central
    Kurdish. `mc4_share_percent` is the share of mC4, `mt5_share_percent` the flatter share that mT5 was trained with.

    Raises:
        ValueError: the code or the script has another form.
    """

    code: str
    name: str
    script: str
    nllb_code: str = ""
    nllb_code_in_original: str = ""
    mc4_share_percent: float = 0.0
    mt5_share_percent: float = 0.0

    def __post_init__(self) -> None:
        if not re.fullmatch("[a-z]{2,3}(-[A-Za-z0-9]+)*", self.code) or not re.fullmatch("[A-Z][a-z]{3}", self.script):
            raise ValueError(
                f"Found the language {self.code!r} in the script {self.script!r}, expected codes of ISO 639 and ISO "
                "15924, such as rm and Latn."
            )


def _read_languages() -> dict[str, Language]:
    table = files("mblip.data").joinpath("languages.tsv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(table.splitlines(), delimiter="\t"))
    languages = {}
    for row in rows:
        mc4_share, mt5_share = float(row.pop("mc4_share_percent")), float(row.pop("mt5_share_percent"))
        languages[row["code"]] = Language(**row, mc4_share_percent=mc4_share, mt5_share_percent=mt5_share)
    return languages


ADDED = "MBLIP_LANGUAGES"  # the environment variable: added languages as a list in JSON
_LANGUAGES = _read_languages()
LANGUAGES: Mapping[str, Language] = MappingProxyType(_LANGUAGES)


def add_languages(added: Iterable[Language]) -> None:
    """Add languages to `LANGUAGES`, in this process and in those that it starts.

    Raises:
        ValueError: the code or the name is another language's.
    """
    before = json.loads(os.environ.get(ADDED, "[]"))
    for language in added:
        for known in LANGUAGES.values():
            if known != language and (known.code == language.code or known.name == language.name):
                raise ValueError(
                    f"The language `{language.code}` ({language.name}) cannot be added: `{known.code}` is "
                    f"{known.name} already. Give it another code and name."
                )
        _LANGUAGES[language.code] = language
        before += [] if asdict(language) in before else [asdict(language)]
    os.environ[ADDED] = json.dumps(before)


if ADDED in os.environ:
    add_languages(Language(**language) for language in json.loads(os.environ[ADDED]))


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
        f"Found the language {code!r}, expected one of the {len(LANGUAGES)} codes of mblip/data/languages.tsv, or one "
        f"that a recipe adds: `add_languages: [{{code: rm, name: Romansh, script: Latn}}]`. {_nearest(str(code))}"
    )


def prompt_name(code: object, as_released: bool = False) -> str:
    """The language's name in English prompts; with `as_released` the original's name for it."""
    language = get_language(code)
    return NAMES_IN_ORIGINAL.get(language.code, language.name) if as_released else language.name


def translation_target(code: object, as_released: bool = False) -> Language:
    """The language with the NLLB code and the script that we translate into.

    With `as_released` they are the original's: Traditional Chinese for `zh` and Central Kurdish for `ku`. mT5 and the
    benchmarks use these codes for languages in other scripts.
    """
    language = get_language(code)
    original = language.nllb_code_in_original
    return replace(language, nllb_code=original, script=original[-4:]) if as_released and original else language


def _nearest(text: str) -> str:
    """A hint: the language of another table's code, which may name a script or region, or those of similar names."""
    wanted = text.strip().casefold()
    in_front = re.split("[-_]", wanted)[0]
    other_codes = {language.nllb_code[:3]: language.code for language in LANGUAGES.values()} | OTHER_CODES
    for ours, _, others in (entry.partition(": ") for entry in ISO_639_CODES.split("; ")):
        other_codes |= dict.fromkeys(others.split(), ours)
    by_name = {language.name.casefold(): language.code for language in LANGUAGES.values()}
    if (code := in_front if in_front in LANGUAGES else other_codes.get(in_front)) is not None:
        nearest = [code]
    else:
        nearest = [by_name[name] for name in difflib.get_close_matches(wanted, by_name, n=3, cutoff=0.85)]
    hint = ", ".join(f"`{code}` ({LANGUAGES[code].name})" for code in nearest)
    return f"Nearest: {hint}." if hint else "No code or name is similar."
