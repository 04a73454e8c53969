import pytest

from mblip.evaluation.languages import check_languages, evaluation_language, mix_code, prompt_language

XM3600 = [
    "ar",
    "bn",
    "cs",
    "da",
    "de",
    "el",
    "en",
    "es",
    "fa",
    "fi",
    "fil",
    "fr",
    "he",
    "hi",
    "hr",
    "hu",
    "id",
    "it",
    "ja",
    "ko",
    "mi",
    "nl",
    "no",
    "pl",
    "pt",
    "quz",
    "ro",
    "ru",
    "sv",
    "sw",
    "te",
    "th",
    "tr",
    "uk",
    "vi",
    "zh",
]


def test_every_language_of_xm3600_is_known_and_two_of_them_no_training_has_shown():
    languages = [evaluation_language(mix_code(code)) for code in XM3600]
    assert len(languages) == 36
    assert [language.code for language in languages if not language.is_seen] == ["hr", "quz"]
    assert mix_code("he") == "iw"


def test_an_unknown_language_is_an_error_that_names_the_nearest():
    with pytest.raises(ValueError, match=r"Found the language 'xx'"):
        mix_code("xx")
    with pytest.raises(ValueError, match="`languages` lists sw more than once"):
        check_languages(["sw", "hi", "sw"])


@pytest.mark.parametrize(
    ("code", "trained", "original"),
    [
        ("fa", "Persian", "Farsi"),
        ("bn", "Bangla", "Bengali"),
        ("uk", "Ukrainian", "Ukranian"),
        ("pt", "Portuguese", "Portugese"),
        ("hr", "Croatian", "Croatian"),
        ("sw", "Swahili", "Swahili"),
    ],
)
def test_prompts_name_a_language_as_training_did_or_as_the_original_evaluation(code, trained, original):
    assert prompt_language(code) == trained
    assert prompt_language(code, "original") == original
