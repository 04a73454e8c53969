"""Language fidelity: which outputs are in the language asked for. Human captions of XM3600 where they are at hand."""

import sys
from pathlib import Path

import pytest

from benchmarks.fidelity_error import fidelity_errors, read_captions
from mblip.evaluation.languages import UNSEEN_LANGUAGES
from mblip.evaluation.metrics import language_fidelity as module
from mblip.evaluation.metrics.language_fidelity import (
    EMPTY,
    MIX,
    NEAR_LANGUAGES,
    UNKNOWN,
    find_language,
    language_fidelity,
)

XM3600 = Path(__file__).parents[4] / "shared" / "data" / "xm3600" / "captions.jsonl"

CAPTIONS = {
    "de": "Zwei braune Hunde spielen im tiefen Schnee",
    "en": "Two brown dogs are playing in the deep snow",
    "fil": "Dalawang kayumangging aso ang naglalaro sa niyebe",
    "hr": "Dva smeđa psa igraju se u dubokom snijegu ispred kuće",
    "iw": "שני כלבים חומים משחקים בשלג העמוק",
    "ja": "雪の中で二匹の茶色い犬が遊んでいる",
    "mi": "E rua nga kurī parauri e takaro ana i te hukarere",
    "quz": "Iskay ch'umpi allqukuna rit'ipi pukllachkanku",
    "sw": "Mbwa wawili wa kahawia wanacheza kwenye theluji",
    "zh": "两只棕色的狗在雪地里玩耍",
}


@pytest.mark.parametrize(("code", "caption"), CAPTIONS.items())
def test_a_caption_is_in_its_own_language_and_in_no_other(code, caption):
    found = {asked: language_fidelity([caption], asked).share for asked in CAPTIONS}
    assert found == {asked: float(asked == code) for asked in CAPTIONS}


def test_traditional_characters_are_chinese_too():
    assert find_language("兩隻棕色的狗在雪地裡玩耍") == "zh"


def test_every_output_counts_and_the_wrong_ones_are_named():
    outputs = [CAPTIONS["de"], CAPTIONS["en"], " \n", "2015", CAPTIONS["sw"], CAPTIONS["en"], CAPTIONS["de"], ""]
    scores = language_fidelity(outputs, "de")
    assert scores.share == 2 / 8
    assert scores.is_right == (True, False, False, False, False, False, True, False)
    assert scores.found == ("de", "en", EMPTY, UNKNOWN, "sw", "en", "de", EMPTY)
    assert scores.wrong_languages == {"en": 2, UNKNOWN: 1, "sw": 1}
    assert (scores.num_empty, scores.num_near) == (2, 0)


def test_an_empty_output_is_in_no_language():
    scores = language_fidelity(["", "  "], "mi")
    assert (scores.share, scores.num_empty, scores.wrong_languages) == (0.0, 2, {})


@pytest.mark.parametrize("text", ["2015", "!?", "🙂", "ܐܒ"])
def test_without_a_letter_that_py3langid_knows_the_language_is_undetermined(text):
    assert find_language(text) == UNKNOWN


def test_near_languages_are_wrong_and_counted_apart():
    danish = "En gammel mand går på gaden med sin hund og en bog"
    scores = language_fidelity([danish, CAPTIONS["en"]], "no")
    assert (scores.share, scores.found, scores.num_near) == (0.0, ("da", "en"), 1)


def test_what_can_be_found_is_what_the_model_was_trained_in_unless_said_otherwise():
    slovenian = "Dva rjava psa se igrata v globokem snegu pred hišo"
    assert find_language(slovenian) == "sl"
    assert find_language(slovenian, candidates=frozenset({"de", "en", "hr"})) == "hr"
    assert len(MIX) == 98
    assert set(UNSEEN_LANGUAGES) <= MIX
    nynorsk = "Ei jente les ei bok på kjøkkenet"
    assert find_language(nynorsk) == "no"
    assert find_language(nynorsk, candidates=None) == "nn"


@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("he", r"Found the language 'he', .* Nearest: `iw` \(Hebrew\)"),
        ("Swahili", r"Found the language 'Swahili', .* `sw` \(Swahili\)"),
        (False, "YAML reads a bare `no`"),
    ],
)
def test_an_unknown_language_is_an_error_that_names_it(language, message):
    with pytest.raises(ValueError, match=message):
        language_fidelity(["a dog"], language)


def test_a_language_that_cannot_be_found_cannot_be_asked_for():
    with pytest.raises(ValueError, match="Found no 'de' among the 1 candidates"):
        language_fidelity(["ein Hund"], "de", candidates=frozenset({"en"}))


def test_no_outputs_have_no_fidelity():
    with pytest.raises(ValueError, match="Found no outputs in 'de'"):
        language_fidelity([], "de")


def test_without_py3langid_the_error_says_how_to_install_it(monkeypatch):
    module._identifier.cache_clear()
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    with pytest.raises(ImportError, match="pip install py3langid"):
        language_fidelity(["a dog"], "en")


@pytest.fixture(scope="module")
def errors():
    if not XM3600.is_file():
        pytest.skip(f"{XM3600} is not here: a sample of XM3600 with 300 images")
    return {error.language: error for error in fidelity_errors(read_captions([XM3600]))}


@pytest.mark.slow
def test_human_captions_are_recognised_as_often_as_stated(errors):
    assert len(errors) == 33
    assert sum(error.num_captions for error in errors.values()) == 19851
    assert sum(error.recognised for error in errors.values()) / 33 == pytest.approx(0.978, abs=0.0005)
    assert min(errors.values(), key=lambda error: error.recognised).language == "hr"
    assert errors["hr"].recognised == pytest.approx(0.877, abs=0.0005)
    assert errors["mi"].recognised == 1.0
    assert sum(error.mean_mistaken for error in errors.values()) / 33 == pytest.approx(0.0005, abs=0.00005)


@pytest.mark.slow
def test_near_languages_are_those_that_one_in_a_hundred_human_captions_is_taken_for(errors):
    near = {
        code: tuple(other for other, count in error.taken_for.items() if count >= 0.01 * error.num_captions)
        for code, error in errors.items()
    }
    only_in_xflickrco = {"ru": ("bg", "mk")}
    assert {code: others for code, others in near.items() if others} | only_in_xflickrco == NEAR_LANGUAGES
