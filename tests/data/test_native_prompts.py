"""Native prompt templates, and the files that all templates are read from."""

import string
from pathlib import Path

import pytest
import yaml

from mblip.data.example import Example
from mblip.data.languages import LANGUAGES
from mblip.data.prompt_files import (
    PromptTemplate,
    TemplateTranslation,
    native_templates_from,
    parse_templates,
    templates_yaml,
)
from mblip.data.prompts import INPUTS, TASKS, apply_prompt, native_templates

ASKED_FOR = (
    "de",
    "fr",
    "es",
    "it",
    "pt",
    "nl",
    "ru",
    "pl",
    "tr",
    "id",
    "sw",
    "ar",
    "hi",
    "bn",
    "zh",
    "ja",
    "ko",
    "vi",
)
GENERATING = ("captioning", "detailed_captioning", "vqa", "question_generation", "image_naming")
FILES = (Path(__file__).parents[2] / "mblip" / "data" / "prompts").glob("*.yaml")
NATIVE_LANGUAGES = sorted(path.stem for path in FILES if path.stem != "en")
WRITTEN = [(language, task) for language in NATIVE_LANGUAGES for task in TASKS if native_templates(language, task)]
LETTERS = {  # a letter range that the templates of a language must use
    "Arab": ("\u0600", "\u06ff"),
    "Beng": ("\u0980", "\u09ff"),
    "Cyrl": ("\u0400", "\u04ff"),
    "Deva": ("\u0900", "\u097f"),
    "Hang": ("\uac00", "\ud7a3"),
    "Hans": ("\u4e00", "\u9fff"),
    "Jpan": ("\u3040", "\u30ff"),
    "Latn": ("A", "z"),
}


def example(number=0, task="captioning", language="de", **inputs):
    return Example((), "", "ja", language, task, "test", str(number), "r", inputs=inputs)


def texts_of(task, num_templates=6):
    """A task of an English file: so many templates of it."""
    inputs = " ".join(f"{{{name}}}" for name in INPUTS[task])
    templates = [{"text": f"{task} {i} {inputs}", "source": "test"} for i in range(num_templates)]
    return {"templates": templates, "held_out": {"text": f"{task} held out {inputs}", "source": "test"}}


def english(**changes):
    """An English file, with other content for some tasks."""
    content = {task: texts_of(task) for task in TASKS} | changes
    return yaml.safe_dump(content)


def test_the_languages_most_asked_for_have_templates_for_what_is_written_in_them():
    assert set(ASKED_FOR) <= set(NATIVE_LANGUAGES) <= set(LANGUAGES)
    for language in ASKED_FOR:
        assert all(len(native_templates(language, task)) >= 3 for task in GENERATING), language


def test_every_native_template_is_in_the_script_of_its_language_and_says_where_it_comes_from():
    assert len(WRITTEN) > 100
    for language, task in WRITTEN:
        low, high = LETTERS[LANGUAGES[language].script]
        for template in native_templates(language, task):
            literal = "".join(text for text, *_ in string.Formatter().parse(template.text))
            assert any(low <= letter <= high for letter in literal), template
            assert template.source == "own wording, by hand" or template.source.startswith("translated by ")


@pytest.mark.parametrize(("language", "task"), WRITTEN)
def test_a_native_template_is_filled_and_keeps_braces_of_inputs(language, task):
    inputs = {name: f"{{{name}}} {{x" for name in INPUTS[task]}
    shown = {apply_prompt(example(i, task, language, **inputs), seed=0, native_share=1.0).prompt for i in range(60)}
    assert shown == {template.text.format(**inputs) for template in native_templates(language, task)}


def test_no_language_asks_alike_for_two_tasks_nor_in_the_words_of_another():
    seen = {}
    for language, task in WRITTEN:
        for template in native_templates(language, task):
            assert seen.setdefault((language, template.text.casefold().strip()), task) == task
    assert len(seen) > 400


def test_a_share_of_the_examples_is_asked_natively_and_the_others_as_without():
    plain = [apply_prompt(example(i), seed=0).prompt for i in range(2000)]
    mixed = [apply_prompt(example(i), seed=0, native_share=0.3).prompt for i in range(2000)]
    native = {template.text for template in native_templates("de", "captioning")}
    changed = [after for before, after in zip(plain, mixed, strict=True) if after != before]
    assert set(changed) == native
    assert 540 < len(changed) < 660
    more = [apply_prompt(example(i), seed=0, native_share=0.6).prompt for i in range(2000)]
    assert all(b == a for a, b in zip(mixed, more, strict=True) if a in native)  # a larger share takes none back


@pytest.mark.parametrize(("language", "task"), [("en", "captioning"), ("zu", "captioning"), ("de", "reasoning")])
def test_where_there_is_no_native_template_english_asks(language, task):
    asked = example(3, task, language, **dict.fromkeys(INPUTS[task], "x"))
    assert apply_prompt(asked, seed=0, native_share=1.0) == apply_prompt(asked, seed=0)


def test_held_out_templates_are_english_and_never_native():
    held_out = apply_prompt(example(), seed=0, native_share=1.0, held_out=True).prompt
    assert held_out == "Please give the picture a title in German."


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match=r"Found native_share .*, expected a share from 0 to 1"):
        apply_prompt(example(), seed=0, native_share=share)


def test_a_good_english_file_is_read():
    read = parse_templates(english(), "f.yaml", INPUTS, is_english=True)
    assert read["vqa"].templates[0] == PromptTemplate("vqa 0 {question}", "test")
    assert read["vqa"].held_out == PromptTemplate("vqa held out {question}", "test")


def changed(task, **changes):
    """The task's content with its first template changed."""
    content = texts_of(task)
    content["templates"][0] |= changes
    return {task: content}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"poetry": texts_of("captioning")}, r"f\.yaml holds .*'poetry'.*expected some of the tasks captioning"),
        (changed("vqa", text="{question} {mood}"), r"f\.yaml, vqa: .* placeholders \['mood', 'question'\], expected"),
        (
            changed("vqa", text="no input"),
            r"f\.yaml, vqa: 'no input' has the placeholders \[\], expected \['question'\]",
        ),
        (changed("vqa", text="{question!r}"), r"f\.yaml, vqa: .*expected a plain name"),
        (changed("vqa", text="{question.real}"), r"f\.yaml, vqa: .*expected a plain name"),
        (changed("vqa", text="{}"), r"f\.yaml, vqa: .*expected a plain name"),
        (changed("vqa", text="{question} {"), r"f\.yaml, vqa: .*unmatched brace"),
        (changed("vqa", source=" "), r"f\.yaml, vqa: .*source ' ', expected text"),
        (changed("vqa", text=True), r"f\.yaml, vqa: found text True .*in quotes"),
        (changed("vqa", text="vqa 1 {question}"), r"f\.yaml, vqa: \['vqa 1 \{question\}'\] appears more than once"),
        (changed("vqa", text="vqa held out {question}"), r"f\.yaml, vqa: .*appears more than once.*never draws"),
        ({"vqa": texts_of("vqa", 5)}, r"f\.yaml, vqa: found 5 template\(s\), expected at least 6"),
        (
            {"vqa": {"templates": texts_of("vqa")["templates"]}},
            r"f\.yaml, vqa: .*expected \['held_out', 'templates'\]",
        ),
        ({"vqa": texts_of("vqa_in_english")}, r"f\.yaml, vqa_in_english: 'vqa_in_english 0 .* also stands under vqa"),
    ],
)
def test_a_bad_english_file_names_file_and_task(changes, match):
    with pytest.raises(ValueError, match=match):
        parse_templates(english(**changes), "f.yaml", INPUTS, is_english=True)


def test_a_missing_source_names_file_and_task():
    content = texts_of("vqa")
    del content["templates"][2]["source"]
    with pytest.raises(ValueError, match=r"f\.yaml, vqa: found the template .*expected `text` and `source`"):
        parse_templates(english(vqa=content), "f.yaml", INPUTS, is_english=True)


def test_english_has_templates_for_every_task():
    only = yaml.safe_dump({"vqa": texts_of("vqa")})
    with pytest.raises(ValueError, match=r"f\.yaml lacks the tasks \['captioning', "):
        parse_templates(only, "f.yaml", INPUTS, is_english=True)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("captioning: {templates: []}", r"de\.yaml, captioning: found 0 template\(s\), expected at least 1"),
        ("captioning:\n  templates: [{text: Auf {language}, source: x}]", r"de\.yaml cannot be read"),
        ("captioning:\n  templates: [{text: 'Auf {language}', source: x}]", r"de\.yaml, captioning: .*\['language'\]"),
        (
            "captioning: {templates: []}\ncaptioning: {templates: []}",
            r"de\.yaml, line 2: the key 'captioning' is repeated",
        ),
        ("[]", r"de\.yaml holds list"),
        ("captioning: &a {templates: *a}", r"de\.yaml cannot be read as YAML, line 1: found the alias \*a"),
    ],
)
def test_a_bad_native_file_names_file_and_task(text, match):
    with pytest.raises(ValueError, match=match):
        parse_templates(text, "de.yaml", INPUTS, is_english=False)


def translation(text, task="vqa"):
    return TemplateTranslation(task, text, engine="nllb", model="m", revision="abc")


def test_translated_templates_tell_their_engine_and_come_back_from_their_file():
    made = native_templates_from([translation("Frage: {question}"), translation("Frage: {question}")], INPUTS)
    assert made["vqa"].templates == (PromptTemplate("Frage: {question}", "translated by nllb m abc"),)
    assert parse_templates(templates_yaml(made), "de.yaml", INPUTS, is_english=False) == made


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("Frage: ", r"vqa: 'Frage: ' has the placeholders \[\], expected \['question'\]"),
        ("Frage: {Frage}", r"vqa: .*placeholders \['Frage'\]"),
        ("{question} auf {language}", r"vqa: .*placeholders \['language', 'question'\]"),
    ],
)
def test_a_translation_that_lost_its_placeholder_is_refused(text, match):
    with pytest.raises(ValueError, match=match):
        native_templates_from([translation(text)], INPUTS)
