"""Apertium as a translation engine: with a stand-in for its program everywhere, and for real where it is installed."""

import re
import shutil
import subprocess

import pytest

from mblip.data.languages import Language, get_language
from mblip.mix.translation import apertium
from mblip.mix.translation.answers import AnswerTranslator
from mblip.mix.translation.apertium import translate
from mblip.mix.translation.engines import OwnEngine
from mblip.mix.translation.report import TranslationReport
from mblip.mix.translation.texts import translate_texts

INSTALL = "apt install apertium " + " ".join(sorted({package for *_, package in apertium.PAIRS}))
ENGLISH = get_language("en")


def write_program(folder, monkeypatch, script):
    """A program `apertium` that does what a shell script says."""
    path = folder / "apertium"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_without_apertium_the_error_names_debians_packages(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"no program `apertium`.*`apt install apertium apertium-eng-spa`"):
        translate(["a dog"], "en", "fr")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo Error: Mode eng-cat does not exist >&2; exit 1", "eng-cat. Install it: .*apertium-eng-cat`"),
        (r"printf 'un gos.[]\0un'", r"\(eng-cat\) ended after 1 of 2 texts"),
        ("cat; echo out of memory >&2; exit 1", "ended after 2 of 2 texts: out of memory"),
        ("exec sleep 60", r"\(eng-cat\) took 0.2 s for 2 texts"),
    ],
    ids=["no such pair", "dies in the middle", "fails at the end", "hangs"],
)
def test_an_apertium_that_fails_is_an_error_and_no_empty_translation(tmp_path, monkeypatch, script, message):
    write_program(tmp_path, monkeypatch, script)
    monkeypatch.setattr(apertium, "TIMEOUT_SECONDS", 0.2 if "sleep" in script else 60)
    with pytest.raises(ValueError, match=message):
        translate(["a dog", "a cat"], "en", "ca")


@pytest.mark.parametrize(("source", "target"), [("en", "de"), ("sw", "en"), ("eo", "sw")])
def test_a_language_that_apertium_lacks_is_refused_with_the_list(source, target):
    known = "It knows ast, ca, en, eo, es, fr, gl, it, pt"
    with pytest.raises(ValueError, match=f"does not translate {source} to {target}. {known}"):
        translate(["a dog"], source, target)


def test_marks_of_unknown_words_become_unk_and_those_of_the_source_stay(tmp_path, monkeypatch):
    write_program(tmp_path, monkeypatch, r"printf 'Un *snowboarder [*]salta[*] y @ride #tener 100%% \\[x\\] {.[]\0'")
    assert translate(["A snowboarder *jumps* and ..."], "en", "es") == [
        "Un <unk>snowboarder *salta* y <unk>ride <unk>tener 100% [x] {."
    ]
    assert translate(["a snowboarder *jumps* and"], "en", "es", max_unknown_share=0.4) == [
        "un snowboarder *salta* y ride tener 100% [x] {"
    ]


@pytest.fixture
def real():
    listed = (
        subprocess.run(["apertium", "-l"], capture_output=True, text=True).stdout if shutil.which("apertium") else ""
    )
    if not {direction for direction, _ in apertium.DIRECTIONS.values()} <= {*listed.split()}:
        pytest.skip(f"needs Apertium: {INSTALL}")


DOG = {
    "es": "Un perro está corriendo en la playa.",
    "ca": "Un gos està corrent en la platja.",
    "gl": "Un can está correndo na praia.",
    "eo": "Hundo estas kuranta sur la plaĝo.",
    "pt": "Um cão está correndo na praia.",
    "fr": "Un chien est en train de courir dans la plage.",
    "it": "Un cane sta correndo nella spiaggia.",
    "ast": "Un perru ta corriendo na sablera.",
}


@pytest.mark.engine
@pytest.mark.parametrize("code", DOG)
@pytest.mark.usefixtures("real")
def test_apertium_translates_into_eight_languages_and_seven_of_them_back(code):
    assert translate(["A dog is running on the beach."], "en", code) == [DOG[code]]
    if code != "ast":
        (back,) = translate([DOG[code]], code, "en")
        assert {"dog", "beach"} <= set(back.lower().strip(".").split())


@pytest.mark.engine
@pytest.mark.parametrize("code", ["es", "ca", "gl", "eo", "pt", "fr", "it"])
@pytest.mark.usefixtures("real")
def test_texts_with_anything_in_them_come_back_whole_and_in_order(code):
    texts = [
        "A dog.",
        "",
        'A sign that says "STOP *HERE*" next to <image> and {language}',
        "Two dogs\nand 1,250 cats 🙂",
        "a\0dog ^ [x] \\ / @ $ <b> ~ # & %",
        "A dog is running on the beach. " * 330,
        "A dog.",
    ]
    found = translate_texts(texts, OwnEngine(f"{apertium.__name__}:translate"), ENGLISH, get_language(code))
    dog, empty, sign, lines, signs, long, again = (translated.text for translated in found)
    assert dog == again == translate(["A dog."], "en", code)[0]
    assert not empty.strip()
    assert all(part in sign for part in ("STOP *HERE*", "<image>", "{language}"))
    assert [line.count("🙂") for line in lines.split("\n")] == [0, 1]
    assert "1250" in lines.replace(",", "").replace(".", "")
    assert all(sign in signs for sign in "^[]\\/@$<>~#%")
    assert long == " ".join([DOG[code]] * 330) + " "


@pytest.mark.engine
@pytest.mark.usefixtures("real")
def test_a_word_that_apertium_does_not_know_is_refused_and_a_share_of_them_may_be_allowed():
    found = {
        share: translate_texts(
            ["A snowboarder jumps on the old red house."],
            OwnEngine(f"{apertium.__name__}:translate", {"max_unknown_share": share}),
            ENGLISH,
            get_language("es"),
        )[0]
        for share in (0, 0.2)
    }
    assert str(found[0].failure) == "unknown word: 1 `<unk>`"
    assert found[0.2].failure is None
    assert "snowboarder" in found[0.2].text


@pytest.mark.engine
@pytest.mark.usefixtures("real")
def test_answers_of_vqa_stay_english_in_asturian_from_which_no_pair_leads_back():
    engine, report = OwnEngine(f"{apertium.__name__}:translate"), TranslationReport()
    answers = AnswerTranslator(engine, {"dog", "green"}, report)
    assert answers.translate(["dog", "green"], get_language("es")) == {"dog": "perro", "green": "verde"}
    asturian = Language("ast", "Asturian", "Latn")
    assert answers.translate(["dog", "green"], asturian) == {"dog": None, "green": None}


@pytest.mark.engine
@pytest.mark.usefixtures("real")
def test_the_version_names_the_program_and_a_digest_of_the_pairs_in_few_characters():
    assert re.fullmatch(r"apertium [\d.]+-\S+, pairs [0-9a-f]{8}", apertium.VERSION)


@pytest.mark.engine
@pytest.mark.usefixtures("real")
def test_captions_in_capitals_are_translated_too():
    assert translate(["A DOG IS RUNNING ON THE BEACH."], "en", "gl") == [DOG["gl"]]
