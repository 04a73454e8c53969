"""`mblip translate-prompts`: native templates by an engine, checked, and read back."""

import re
import zlib
from pathlib import Path

import pytest

from mblip.data.example import Example
from mblip.data.prompt_files import parse_templates
from mblip.data.prompts import INPUTS, TASKS, apply_prompt, native_templates
from mblip.mix.translate_prompts import main, translate_templates
from tests.mix.translation.fake_engines import FakeEngine

ROOT = Path(__file__).parents[3]
ENGLISH = [(task, template.text) for task in TASKS for template in TASKS[task].templates]
WORDS = ("wir", "sehen", "hier", "auf", "dem", "Bild", "eine", "schöne", "Straße", "neben", "einer", "alten", "Brücke")
WORD = re.compile(r"(?<![\w\"])[A-Za-z]+")


def to_german(text, source="en", target="de"):
    """As many German words as there are English ones, chosen by them; numbers and quotations stay."""
    return WORD.sub(lambda found: WORDS[zlib.crc32(f"{found[0]} {text}".encode()) % len(WORDS)], text)


@pytest.fixture(scope="module")
def german():
    engine = FakeEngine(to_german)
    return engine, translate_templates("de", engine)


def texts(made, task):
    return [template.text for template in made.templates[task].templates]


def test_every_template_becomes_a_native_one_that_keeps_its_placeholders_and_says_where_it_comes_from(german):
    _, made = german
    assert len(ENGLISH) > 75
    assert made.num_templates + len(made.refused) == len(ENGLISH)
    assert len(made.refused) < 4
    for task, of_task in made.templates.items():
        for template in of_task.templates:
            assert set(re.findall(r"\{(\w+)\}", template.text)) == set(INPUTS[task])
            assert template.source == "translated by fake none 1"


def test_the_engine_gets_the_language_by_name_and_never_the_template_that_is_held_out(german):
    engine, _ = german
    asked = "\n".join(engine.asked)
    assert "Write a short German caption for this image." in engine.asked
    assert "{" not in asked
    assert not [task for task in TASKS.values() if task.held_out.text.split("{")[0][:20] in asked]


def test_answers_that_must_be_english_stay_in_quotation_marks(german):
    _, made = german
    for task, answers in (("matching", ("yes", "no")), ("entailment", ("yes", "no", "maybe"))):
        assert len(texts(made, task)) >= 5
        for text in texts(made, task):
            assert [text.count(f'"{answer}"') for answer in answers] == [1] * len(answers)


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        (lambda text: text, "left untranslated"),
        (lambda text: "", "no translation"),
        (lambda text: f"{to_german(text)} {{bild}}", "placeholders"),
        (lambda text: f"{to_german(text)} {{", "placeholders"),
        (lambda text: "нарисованный мир и большие дома на старой улице у моста", "wrong script"),
        (lambda text: "auf Deutsch in einem Satz", "equal to another template"),
    ],
)
def test_a_bad_template_is_refused_and_named_and_the_others_stay(rule, cause):
    """Of image naming, the second and third template go wrong."""
    wrong = {
        "Name the main object of this picture in German.",
        "In German, what is this called?",
    }
    made = translate_templates("de", FakeEngine(lambda text, *_: rule(text) if text in wrong else to_german(text)))
    found = [refused for refused in made.refused if refused.source_text in wrong]
    kept = wrong - {refused.source_text for refused in found}
    assert {refused.failure.cause for refused in found} == {cause}
    assert {refused.task for refused in found} == {"image_naming"}
    assert len(kept) == (cause == "equal to another template")  # the first of two equal ones
    assert len(texts(made, "image_naming")) == 5 + len(kept)


def test_what_fails_is_tried_again_by_the_engine_for_retries():
    first, second = FakeEngine(lambda *_: ""), FakeEngine(to_german, name="careful")
    made = translate_templates("de", first, retry_engine=second)
    assert made.num_templates > 70
    assert {template.source for template in made.templates["vqa"].templates} == {"translated by careful none 1"}


def test_templates_that_the_language_has_are_not_made_again():
    written = native_templates("de", "image_naming")[0].text
    asked = "In German, what is this called?"
    made = translate_templates("de", FakeEngine(lambda text, *_: written if text == asked else to_german(text)))
    assert written not in texts(made, "image_naming")
    assert [str(refused.failure) for refused in made.refused if refused.source_text == asked] == [
        "equal to another template: of image_naming"
    ]


def test_english_is_refused():
    with pytest.raises(ValueError, match="Found the language 'en', expected another language"):
        translate_templates("en", FakeEngine(to_german))


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"
)  # SWIG types of sentencepiece's, which the tokenizer asks for
def test_the_command_writes_files_that_prompts_are_drawn_from(tmp_path, capsys):
    """By the quickstart's translator, which makes everything into the drawn world's words."""
    arguments = ["sw,ko", "--model", str(ROOT / "quickstart" / "translator"), "--num_beams", "1"]
    main([*arguments, "--output", str(tmp_path)])
    printed = capsys.readouterr().out
    for language in ("sw", "ko"):
        text = (tmp_path / f"{language}.yaml").read_text(encoding="utf-8")
        read = parse_templates(text, "f.yaml", INPUTS, is_english=False)
        num_templates = sum(len(of_task.templates) for of_task in read.values())
        num_refused = len(ENGLISH) - num_templates
        assert num_templates > 10
        assert f"{language}.yaml: {num_templates} templates, {num_refused} refused" in printed
        head = text.split("\n\n")[0].splitlines()
        assert head[1].startswith("# Engine: transformers float32, greedy. Model: translator, revision sha256:")
        assert len([line for line in head if line.startswith("# - ")]) == num_refused
    assert "| Swahili | " in printed

    made = {template.text for template in native_templates("ko", "captioning", tmp_path)}
    assert set(texts_of_package("ko")) < made
    examples = [Example((), "", "x", "ko", "captioning", "s", str(number), "r") for number in range(200)]
    drawn = {apply_prompt(example, seed=0, native_share=1.0, native_folder=tmp_path).prompt for example in examples}
    assert drawn == made

    with pytest.raises(ValueError, match=r"Found .*ko\.yaml, which may hold manual corrections"):
        main(["ko", "--output", str(tmp_path)])


def texts_of_package(language):
    return [template.text for template in native_templates(language, "captioning")]
