"""The languages that py3langid lacks: told by how they are written, and told from their neighbours."""

import json
from pathlib import Path

import pytest

from mblip.data.language_check import unidentified
from mblip.evaluation.metrics.language_fidelity import find_language, language_fidelity
from mblip.evaluation.metrics.unlisted_languages import RELATIVES, UNLISTED

PROMPTS = Path(__file__).parents[4] / "shared" / "data" / "babel_imagenet" / "nllb_dist13b_prompts.json"

CAPTIONS = {
    "ceb": "Usa ka iro nga nagdula sa niyebe",
    "mi": "He kurī e takaro ana i roto i te hukarere",
    "ny": "Galu akusewera mu chipale chofewa",
    "sd": "هڪ ڪتو برف ۾ کيڏي رهيو آهي",
    "sm": "O le teine o loo tietie i luga o le solofanua",
    "su": "Hiji anjing keur ulin dina salju",
    "yi": "אַ הונט שפּילט זיך אין שניי",
}
OTHERS = {
    "en": "A dog is playing in the snow",
    "fi": "Koira leikkii lumessa talon edessä",
    "it": "Una donna va a cavallo vicino al fiume",
    "iw": "כלב משחק בשלג ליד הבית",
    "ar": "كلب يلعب في الثلج أمام البيت",
    "fa": "سگی در برف بازی می‌کند",
    "ur": "ایک کتا برف میں کھیل رہا ہے",
    "ja": "犬が雪の中で遊んでいる",
}


def test_they_are_the_languages_that_py3langid_lacks():
    assert sorted(UNLISTED) == [language.code for language in unidentified()]


@pytest.mark.parametrize(("code", "caption"), CAPTIONS.items())
def test_a_caption_is_recognised(code, caption):
    assert find_language(caption, asked=code) == code


@pytest.mark.parametrize("code", CAPTIONS)
def test_captions_in_other_languages_are_not(code):
    scores = language_fidelity(list(OTHERS.values()), code)
    assert scores.found == tuple(OTHERS)


def test_maori_and_samoan_are_told_apart():
    assert find_language(CAPTIONS["mi"], asked="sm") != "sm"
    assert find_language(CAPTIONS["sm"], asked="mi") != "mi"


def test_yiddish_without_points_is_told_by_its_words():
    assert find_language("א הונט שפילט אין דעם שניי", asked="yi") == "yi"
    assert find_language(CAPTIONS["yi"], asked="iw") == "iw"  # Hebrew is not told from Yiddish


@pytest.mark.parametrize(("code", "relative"), [("ceb", "fil"), ("su", "id"), ("ny", "sw")])
def test_an_answer_in_a_relative_passes(code, relative):
    captions = {
        "fil": "Isang aso ang naglalaro sa niyebe sa tabi ng bahay",
        "id": "Seekor anjing sedang bermain di salju di depan rumah",
        "sw": "Mbwa anacheza kwenye theluji mbele ya nyumba",
    }
    assert relative in RELATIVES[code]
    assert find_language(captions[relative]) == relative
    assert find_language(captions[relative], asked=code) == code


def test_translated_prompts_are_recognised_as_often_as_stated():
    if not PROMPTS.is_file():
        pytest.skip(f"{PROMPTS} is not here: Babel-ImageNet's prompts, 80 in each of 90 languages")
    prompts = json.loads(PROMPTS.read_text(encoding="utf-8"))

    def share(asked, language):
        return sum(find_language(text, asked=asked) == asked for text in prompts[language]) / len(prompts[language])

    assert share("sd", "SD") == pytest.approx(0.825)
    assert share("yi", "YI") == 1.0
    assert share("su", "SU") == 0.95
    assert {share("sd", language) for language in ("AR", "FA", "PS", "UG", "UR")} == {0.0}
    assert share("yi", "HE") == 0.0
