"""MaXM, on a layout made from its documentation: no published record was at hand."""

from pathlib import Path

import datasets
import pytest

from mblip.data.prompts import get_task
from mblip.evaluation import Setup
from mblip.evaluation.protocol import PAPER
from mblip.evaluation.records import DatasetLocation
from mblip.evaluation.tasks.maxm import MAXM_LANGUAGES, maxm
from mblip.evaluation.tasks.xm3600 import xm3600
from tests.data.sources.sample_data import write_json, write_lines
from tests.evaluation.tasks.small_benchmarks import (
    UNCHECKED,
    answered_by_a_tiny_model,
    answered_by_one_who_knows,
    draw,
    scores_of,
    task_of,
)


def pair(question_id, question, *answers):
    return {
        "question_id": question_id,
        "question": question,
        "answers": list(answers[:1]),
        "processed_answers": list(answers),
        "is_collection": False,
    }


ANNOTATIONS = {
    "fr": [
        {
            "image_id": "a1",
            "image_url": "https://x/a1",
            "qa_pairs": [pair("q1", "Combien de chats ?", "deux", "", "2")],
        },
        {
            "image_id": "b2",
            "image_url": "https://x/b2",
            "qa_pairs": [pair("q2", "Quelle couleur ?", "rouge"), pair("q3", "Où ?", " "), pair("q4", "", "ici")],
        },
    ],
    "iw": [{"image_id": "a1", "image_url": "https://x/a1", "qa_pairs": [pair("q1", "כמה חתולים?", "שניים", "2")]}],
}


@pytest.fixture
def recipe(tmp_path):
    """A recipe of two languages, with other fields where they are given."""
    for language, annotations in ANNOTATIONS.items():
        published = {"dataset": "maxm", "version": "1.0", "split": language, "annotations": annotations}
        write_json(tmp_path / f"maxm_v1_{language}.json", published)
    fields = {"images": str(tmp_path / "images"), "languages": ("fr", "iw")}
    return lambda **other: task_of(maxm, **{"questions": tmp_path / "maxm_v1_{language}.json"} | fields | other)


def asked(recipe, setup=UNCHECKED):
    return [(e.id, e.language, e.prompt, e.references, e.image_id) for e in recipe.build(setup).examples]


@pytest.mark.parametrize("names", ["trained", "original"])
def test_the_prompt_names_the_language_of_the_answer(recipe, names):
    setup = Setup(language_names=names, missing_images="unchecked")
    assert asked(recipe(), setup) == [
        ("fr/q1", "fr", "Question: Combien de chats ? Short answer in French:", ("deux", "2"), "xm3600/a1"),
        ("fr/q2", "fr", "Question: Quelle couleur ? Short answer in French:", ("rouge",), "xm3600/b2"),
        ("fr/q3", "fr", "Question: Où ? Short answer in French:", ("",), "xm3600/b2"),
        ("iw/q1", "iw", "Question: כמה חתולים? Short answer in Hebrew:", ("שניים", "2"), "xm3600/a1"),
    ]
    assert recipe().build(setup).skipped.names == {"empty text": ["maxm/fr/q4"]}


@pytest.mark.parametrize("protocol", ["paper", "centurio"])
def test_no_answer_to_a_question_without_processed_answers_is_right(recipe, protocol):
    task = recipe(languages=("fr",)).build(Setup(protocol=protocol, missing_images="unchecked"))
    assert [example.references for example in task.examples if example.id == "fr/q3"] == [("",)]
    (score,), _ = scores_of(task, ["deux" if example.id == "fr/q1" else "" for example in task.examples])
    assert score.value == 1 / 3


@pytest.mark.parametrize(
    ("protocol", "prompt"),
    [
        ("centurio", "כמה חתולים?\nAnswer the question using a single word or phrase.\nAnswer in Hebrew."),
        ("pangea", "Question: כמה חתולים?Answer in a single word or phrase in Hebrew:"),
    ],
)
def test_other_protocols_ask_in_their_prompts(recipe, protocol, prompt):
    setup = Setup(protocol=protocol, missing_images="unchecked")
    assert [text for _, _, text, _, _ in asked(recipe(languages=("iw",)), setup)] == [prompt]


def test_pangea_compares_with_the_answers_before_processing_and_their_lack_is_a_change(recipe, tmp_path):
    pangea = Setup(protocol="pangea", missing_images="unchecked")
    assert recipe().build(pangea).changes == ()
    asked = {"question_id": "q1", "question": "Où ?", "processed_answers": ["ici"]}
    write_json(tmp_path / "fr.json", {"annotations": [{"image_id": "a1", "qa_pairs": [asked]}]})
    without = recipe(questions=tmp_path / "{language}.json", languages=("fr",))
    assert without.build(pangea).changes == ("processed answers as references",)
    assert without.build(UNCHECKED).changes == ()


def test_the_first_template_of_training_is_the_papers_prompt():
    assert PAPER.benchmarks["maxm"].prompts == {"vqa": (get_task("vqa").templates[0].text,)}
    assert MAXM_LANGUAGES == ("en", "fr", "hi", "iw", "ro", "th", "zh")


def test_hebrew_may_be_called_he_where_the_files_are(recipe, tmp_path):
    (tmp_path / "maxm_v1_iw.json").rename(tmp_path / "maxm_v1_he.json")
    task = recipe(languages=("he",)).build(UNCHECKED)
    assert [(example.id, example.language) for example in task.examples] == [("iw/q1", "iw")]


def test_a_photo_is_called_as_in_crossmodal_3600_so_that_both_share_its_encoding(recipe, tmp_path):
    captions = write_lines(tmp_path / "captions.jsonl", [{"image/key": "a1", "fr": {"caption": ["Deux chats."]}}])
    (captioned,) = task_of(xm3600, captions=captions, images="images").build(UNCHECKED).examples
    assert recipe().build(UNCHECKED).examples[0].image_id == captioned.image_id


def test_any_processed_answer_is_right_and_nothing_is_cleaned(recipe):
    task = recipe(languages=("fr",)).build(UNCHECKED)
    (score,), answers = scores_of(task, ["Deux", "rouge.", "ici"])
    assert ([answer.score for answer in answers], score.value) == ([1.0, 0.0, 0.0], 1 / 3)


def test_missing_photos_are_an_error_or_are_counted(recipe, tmp_path):
    with pytest.raises(ValueError, match=r"maxm: 2 of 2 images are missing, such as a1\.jpg, b2\.jpg"):
        recipe().build(Setup())
    draw([tmp_path / "images/b2.jpg"])
    task = recipe().build(Setup(missing_images="skip"))
    assert [example.images for example in task.examples] == [(tmp_path / "images/b2.jpg",)] * 2
    assert task.skipped.counts["image missing"] == 2


@pytest.mark.parametrize("is_flat", [True, False])
def test_a_dataset_of_annotations_or_of_questions_gives_the_same(recipe, tmp_path, is_flat):
    rows = {
        language: [
            row
            for annotation in annotations
            for row in ([{**annotation, **one} for one in annotation["qa_pairs"]] if is_flat else [annotation])
        ]
        for language, annotations in ANNOTATIONS.items()
    }
    kept = {
        language: [_without(row, "qa_pairs" if is_flat else "") for row in found] for language, found in rows.items()
    }
    parts = {language: datasets.Dataset.from_list(found) for language, found in kept.items()}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "stored")
    location = DatasetLocation(str(tmp_path / "stored"), split="{language}")
    assert asked(recipe(questions=None, dataset=location)) == asked(recipe())


def _without(row, field):
    return {name: value for name, value in row.items() if name != field}


@pytest.mark.parametrize(
    ("published", "message"),
    [
        ([], r"maxm_v1_fr\.json: found a list of 0, expected an object"),
        ({"annotations": {}}, r"maxm_v1_fr\.json: `annotations` is an object of 0, expected a list of objects"),
        ({"annotations": [{"qa_pairs": []}]}, r"annotations\[0\]: `image_id` is missing or null"),
        (
            {"annotations": [{"image_id": "a", "qa_pairs": [pair("q", "?", "x") | {"processed_answers": "x"}]}]},
            r"annotations\[0\], qa_pairs\[0\]: `processed_answers` is 'x', text, expected a list of text",
        ),
        ({"annotations": [{"image_id": "../a", "qa_pairs": []}]}, r"found the image name '\.\./a\.jpg'"),
    ],
)
def test_a_file_of_another_layout_is_an_error_that_names_the_location(recipe, tmp_path, published, message):
    write_json(tmp_path / "maxm_v1_fr.json", published)
    with pytest.raises(ValueError, match=message):
        recipe().build(UNCHECKED)


def test_a_dataset_without_images_needs_to_know_where_they_are(recipe, tmp_path):
    datasets.Dataset.from_list(ANNOTATIONS["fr"]).save_to_disk(tmp_path / "fr")
    location = DatasetLocation(str(tmp_path / "{language}"))
    with pytest.raises(
        ValueError, match=r"row 0: found no image in the record\. Name the folder of a1\.jpg with `images`"
    ):
        recipe(questions=None, dataset=location, images=None, languages=("fr",)).build(UNCHECKED)


def test_a_model_that_knows_all_is_right_wherever_there_is_an_answer(recipe, tmp_path):
    draw(tmp_path / f"images/{key}.jpg" for key in ("a1", "b2"))
    results = answered_by_one_who_knows(recipe().build(Setup()))
    assert {code: score.value for code, score in results.by_language("as_is").items()} == {"fr": 2 / 3, "iw": 1.0}
    assert results.num_images == 2


@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_models_of_both_kinds_are_asked_and_scored(recipe, tmp_path, family):
    draw(tmp_path / f"images/{key}.jpg" for key in ("a1", "b2"))
    results = answered_by_a_tiny_model(recipe().build(Setup()), family)
    assert [score.num_prompts for score in results.scores] == [3, 1]
    assert isinstance(results.predictions[0].output, str)
    assert Path(results.origin.url).name == "maxm"
