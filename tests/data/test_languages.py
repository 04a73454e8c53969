"""The table of languages, and what an unknown code is told."""

import pytest

from mblip.data.languages import LANGUAGES, get_language, prompt_name, translation_target


def test_the_table_has_96_languages_whose_shares_make_up_a_corpus():
    assert len(LANGUAGES) == 96
    assert sum(language.mt5_share_percent for language in LANGUAGES.values()) == pytest.approx(100, abs=0.1)
    assert len({language.name for language in LANGUAGES.values()}) == 96
    assert len({language.nllb_code for language in LANGUAGES.values()}) == 96


def test_a_language_brings_what_translation_and_prompts_need():
    chinese = get_language("zh")
    assert (chinese.name, chinese.script, chinese.nllb_code) == ("Chinese", "Hans", "zho_Hans")
    assert chinese.nllb_code_in_original == "zho_Hant"
    assert get_language("ku").nllb_code == "kmr_Latn"


def test_the_script_of_a_language_is_that_of_its_translation():
    assert all(language.nllb_code.endswith(f"_{language.script}") for language in LANGUAGES.values())


@pytest.mark.parametrize(
    ("code", "nearest"),
    [
        ("he", r"`iw` \(Hebrew\)"),
        ("nb", r"`no` \(Norwegian\)"),
        ("German", r"`de` \(German\)"),
        ("Ukranian", r"`uk` \(Ukrainian\)"),
        ("eng", r"`en` \(English\)"),
        ("DE", r"`de` \(German\)"),
        *[(code, r"Nearest: `zh` \(Chinese\)\.$") for code in ("zh-Hans", "zh_Hant", "zho_Hant", "cmn", "chi", "yue")],
        *[(code, r"Nearest: `pt` \(Portuguese\)\.$") for code in ("por", "pt-BR", "pt_br", "por_Latn")],
        ("eng_Latn", r"Nearest: `en` \(English\)\.$"),
        ("arz", r"Nearest: `ar` \(Arabic\)\.$"),
        ("Romansh", r"No code or name is similar\.$"),
        ("rm", r"No code or name is similar\.$"),
    ],
)
def test_an_unknown_code_is_told_the_nearest(code, nearest):
    with pytest.raises(ValueError, match=f"Found the language '{code}', expected one of the 96 codes.*{nearest}"):
        get_language(code)


def test_a_norwegian_that_yaml_mangled_is_recognised():
    with pytest.raises(ValueError, match=r"Found the language False.*Norwegian.*write 'no' in quotes"):
        get_language(False)


@pytest.mark.parametrize("code", [None, "", 7, " de"])
def test_what_is_no_code_is_refused(code):
    with pytest.raises(ValueError, match="expected one of the 96 codes"):
        get_language(code)


def test_only_as_released_are_chinese_and_kurdish_translated_into_scripts_they_are_not_asked_in():
    assert all(translation_target(code) == language for code, language in LANGUAGES.items())
    released = {code: translation_target(code, as_released=True) for code in LANGUAGES}
    differing = {code: (one.nllb_code, one.script) for code, one in released.items() if one != LANGUAGES[code]}
    assert differing == {"ku": ("ckb_Arab", "Arab"), "zh": ("zho_Hant", "Hant")}


def test_only_as_released_is_hebrew_called_former():
    assert (prompt_name("iw"), prompt_name("iw", as_released=True)) == ("Hebrew", "former Hebrew")
    assert all(prompt_name(code) == language.name for code, language in LANGUAGES.items())
    with pytest.raises(ValueError, match="expected one of the 96 codes"):
        prompt_name("he", as_released=True)
