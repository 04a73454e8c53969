"""Benchmarks of short answers as one: prompts, conditions, candidates, images of datasets, files by language."""

from pathlib import Path

import pytest

from mblip.data.skipped import SkipReport
from mblip.data.sources.xvnli import xvnli_example
from mblip.evaluation import Setup
from mblip.evaluation.benchmark import ask
from mblip.evaluation.protocol import HELD_OUT_TEMPLATE
from mblip.evaluation.records import DatasetLocation, check_languages_of, read_examples, records_in
from tests.data.sources.sample_data import write_lines

QUESTION = {
    "images": (Path("a.jpg"),),
    "image_id": "photos/a",
    "inputs": {"question": "Rouge ou {bleu}?"},
    "references": ("rouge",),
    "language": "fr",
    "id": "fr/1",
    "answer_language": "fr",
    "facts": {"answer_type": "other"},
}
PAPER = "Question: {question} Short answer in {language}:"
PAIR = {"gold_label": "neutral", "sentence2": "Il dort.", "pairID": "7.jpg#0r1n", "Flikr30kID": "7"}


def forms(**setup):
    return Setup(**setup).prompts("vqa", paper=PAPER)


def test_a_question_is_asked_in_the_prompt_of_the_protocol():
    for protocol in ("paper", "centurio", "pangea"):
        (example,) = ask(forms(protocol=protocol), **QUESTION)
        assert example.prompt == "Question: Rouge ou {bleu}? Short answer in French:"
        assert (example.condition, example.language, example.references) == ("as_is", "fr", ("rouge",))
        assert (example.images, example.image_id, example.id) == ((Path("a.jpg"),), "photos/a", "fr/1")
        assert (example.candidates, example.content_free) == ((), None)
        assert example.facts == {"answer_type": "other"}


def test_candidates_come_with_a_prompt_that_says_nothing_of_the_question():
    (example,) = ask(forms(), **QUESTION, candidates=("rouge", "bleu"))
    assert example.candidates == ("rouge", "bleu")
    assert example.content_free == "Question: N/A Short answer in French:"


def test_each_template_is_a_condition_beside_that_of_the_benchmark():
    conditions = [example.condition for example in ask(forms(templates=True), **QUESTION)]
    assert conditions == [*(f"wording {number}" for number in range(1, 8)), HELD_OUT_TEMPLATE]
    split = QUESTION | {"condition": "random"}
    assert next(ask(forms(), **split)).condition == "random"
    assert [example.condition for example in ask(forms(templates=True), **split)][::7] == [
        "random, wording 1",
        "random, held-out wording",
    ]


def read(record, images):
    return list(read_examples(xvnli_example, [("row 3", record)], images=images, skipped=SkipReport(), language="fr"))


def test_images_of_a_row_are_shown_in_place_of_files():
    (from_files,) = read(PAIR, "photos")
    assert (from_files.images, from_files.image_id) == ((Path("photos/7.jpg"),), "flickr30k/7")
    for images in ("photos", None):
        (from_row,) = read(PAIR | {"image": {"bytes": b"jpeg", "path": None}}, images)
        assert (from_row.images, from_row.image_id) == ((b"jpeg",), "flickr30k/7")


def test_a_row_with_another_number_of_images_is_an_error():
    with pytest.raises(
        ValueError, match=r"row 3: found 0 images, expected 1\. Name the folder of files with `images`"
    ):
        read(PAIR, None)
    with pytest.raises(ValueError, match="row 3: found 2 images, expected 1"):
        read(PAIR | {"images": [b"left", b"right"]}, "photos")


def test_each_language_has_a_file_of_its_own(tmp_path):
    for language in ("iw", "fr"):
        write_lines(tmp_path / f"x_{language}.jsonl", [{"language": language}])
    read_file = lambda path: [(str(path), path.read_text())]  # noqa: E731
    files = tmp_path / "x_{language}.jsonl"
    assert list(records_in("iw", files, None, read=read_file)) == [(f"{tmp_path}/x_iw.jsonl", '{"language": "iw"}\n')]


@pytest.mark.parametrize(
    ("files", "dataset", "languages", "message"),
    [
        (None, None, ("fr",), "Found neither files nor a dataset"),
        (Path("x_{language}"), DatasetLocation("me/x"), ("fr",), "Found both .* and the dataset me/x"),
        (Path("x.jsonl"), None, ("fr",), r"found x\.jsonl for every language.*Write \{language\} in place"),
        (None, DatasetLocation("me/x"), ("fr",), r"`dataset` names me/x for every language"),
        (Path("x_{language}"), None, ("fr", "xx"), "Found the language 'xx'"),
        (Path("x_{language}"), None, ("he", "fr", "iw"), "found the languages he, fr, iw, expected each one once"),
        (Path("x_{language}"), None, (), "found the languages none, expected each one once"),
    ],
)
def test_a_recipe_that_does_not_say_where_each_language_is_is_an_error(files, dataset, languages, message):
    with pytest.raises(ValueError, match=message):
        check_languages_of(files, dataset, languages)


def test_hebrew_may_be_named_as_a_benchmark_writes_it():
    check_languages_of(Path("x_{language}"), None, ("he", "fr"))
