"""POPE: three splits as conditions, the question itself as prompt, five figures."""

from collections import Counter

import datasets
import pytest

from mblip.evaluation import Setup
from mblip.evaluation.records import DatasetLocation
from mblip.evaluation.tasks.pope import pope
from tests.data.sources.sample_data import SAMPLES, needs_samples, write_lines
from tests.evaluation.tasks.small_benchmarks import (
    UNCHECKED,
    answered_by_a_tiny_model,
    answered_by_one_who_knows,
    draw,
    scores_of,
    task_of,
)

NAMES = {number: f"COCO_val2014_{number:012d}.jpg" for number in (71, 139)}


def question(id, number, thing, label):
    return {"question_id": id, "image": NAMES[number], "text": f"Is there a {thing} in the image?", "label": label}


RECORDS = {
    "random": [question(1, 71, "train", "yes"), question(2, 71, "pizza", "no"), question(3, 139, "chair", "yes")],
    "popular": [question(1, 71, "train", "yes"), question(2, 71, "person", "no")],
    "adversarial": [question(1, 71, "train", "yes"), question(2, 71, "bus", "no")],
}


@pytest.fixture
def recipe(tmp_path):
    """A recipe of the three splits, with other fields where they are given."""
    for split, records in RECORDS.items():
        write_lines(tmp_path / f"coco_pope_{split}.json", records)
    fields = {"questions": tmp_path / "coco_pope_{split}.json", "images": str(tmp_path / "images")}
    return lambda **other: task_of(pope, **fields | other)


def asked(recipe, setup=UNCHECKED):
    return [(e.condition, e.id, e.prompt, e.references, e.image_id) for e in recipe.build(setup).examples]


def test_each_split_is_a_condition_and_the_question_is_the_prompt(recipe, tmp_path):
    setup = UNCHECKED
    found = asked(recipe(), setup)
    assert found[:3] == [
        ("random", "1", "Is there a train in the image?", ("yes",), "coco/000000000071"),
        ("random", "2", "Is there a pizza in the image?", ("no",), "coco/000000000071"),
        ("random", "3", "Is there a chair in the image?", ("yes",), "coco/000000000139"),
    ]
    assert [(condition, prompt) for condition, _, prompt, *_ in found[3:]] == [
        ("popular", "Is there a train in the image?"),
        ("popular", "Is there a person in the image?"),
        ("adversarial", "Is there a train in the image?"),
        ("adversarial", "Is there a bus in the image?"),
    ]
    assert recipe().build(setup).examples[0].images == (tmp_path / "images" / NAMES[71],)


def test_a_split_may_be_asked_alone_and_in_the_templates_of_questions(recipe):
    task = recipe(splits=("popular",)).build(Setup(templates=True, missing_images="unchecked"))
    conditions = list(dict.fromkeys(example.condition for example in task.examples))
    assert (conditions[0], conditions[-1]) == ("popular, wording 1", "popular, held-out wording")
    assert task.examples[0].prompt == "Question: Is there a train in the image? Short answer in English:"


def test_answers_may_be_chosen_of_yes_and_no(recipe):
    task = recipe(answering="rank", rank_by="calibrated").build(UNCHECKED)
    assert {(example.candidates, example.content_free) for example in task.examples} == {(("yes", "no"), "N/A")}


def test_each_split_has_five_figures(recipe):
    scores, _ = scores_of(recipe().build(UNCHECKED), ["yes", "yes", "Yes.", "no", "no", "", "No"])
    assert {score.condition: score.value for score in scores} == pytest.approx(
        {"random": 2 / 3, "popular": 0.5, "adversarial": 0.5}
    )
    figures = scores[0].figures
    assert [figures[name] for name in ("accuracy", "precision", "recall", "f1", "yes_share")] == pytest.approx(
        [2 / 3, 2 / 3, 1, 0.8, 1]
    )
    assert (scores[2].num_empty, scores[2].figures["recall"]) == (1, 0.0)


def test_missing_photos_are_an_error_or_are_counted(recipe, tmp_path):
    with pytest.raises(ValueError, match=r"pope: 2 of 2 images are missing, such as COCO_val2014_000000000071\.jpg"):
        recipe().build(Setup())
    draw([tmp_path / "images/val2017/000000000139.jpg"])
    task = recipe().build(Setup(missing_images="skip"))
    assert [(example.condition, example.id) for example in task.examples] == [("random", "3")]
    assert task.skipped.counts == {"image missing": 6}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "maybe"}, "`label` is 'maybe', text, expected one of 'yes', 'no'"),
        ({"text": None}, "`text` is missing or null, expected text"),
        ({"image": "a.jpg"}, r"found the image 'a\.jpg', expected a photo of COCO"),
    ],
)
def test_a_wrong_record_is_named(recipe, tmp_path, changes, message):
    write_lines(tmp_path / "coco_pope_popular.json", [RECORDS["popular"][0], RECORDS["popular"][1] | changes])
    with pytest.raises(ValueError, match=rf"coco_pope_popular\.json, line 2: {message}"):
        recipe().build(UNCHECKED)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"questions": "random.json"}, r"found random\.json for every split.*Write \{split\} in place of random"),
        ({"splits": ("random", "random")}, "found the splits random, random, expected each one once"),
        ({"splits": ()}, "found the splits none"),
        ({"dataset": DatasetLocation("me/pope", split="{split}")}, "Found both"),
    ],
)
def test_a_recipe_that_does_not_say_where_each_split_is_is_an_error(recipe, fields, message):
    with pytest.raises(ValueError, match=message):
        recipe(**fields).build(UNCHECKED)


def test_a_dataset_with_its_splits_gives_the_same(recipe, tmp_path):
    parts = {split: datasets.Dataset.from_list(records) for split, records in RECORDS.items()}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "stored")
    location = DatasetLocation(str(tmp_path / "stored"), split="{split}")
    assert asked(recipe(questions=None, dataset=location)) == asked(recipe())


def test_a_model_that_knows_all_is_always_right_and_a_photo_is_encoded_once(recipe, tmp_path):
    draw(tmp_path / "images" / name for name in NAMES.values())
    results = answered_by_one_who_knows(recipe().build(Setup()))
    assert [(score.condition, score.value) for score in results.scores] == [
        ("random", 1.0),
        ("popular", 1.0),
        ("adversarial", 1.0),
    ]
    assert results.num_images == 2


@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_models_of_both_kinds_are_asked_and_scored(recipe, tmp_path, family):
    draw(tmp_path / "images" / name for name in NAMES.values())
    results = answered_by_a_tiny_model(recipe().build(Setup()), family)
    assert [score.num_prompts for score in results.scores] == [3, 2, 2]


@needs_samples("pope")
def test_the_published_questions_are_read_half_of_them_about_what_is_not_there():
    questions = SAMPLES / "pope/output/coco/coco_pope_{split}.json"
    task = task_of(pope, questions=questions, images="images").build(UNCHECKED)
    assert Counter(example.condition for example in task.examples) == dict.fromkeys(RECORDS, 900)
    assert len({example.image_id for example in task.examples}) == 150
    scores, _ = scores_of(task, ["yes"] * 2700)
    assert {score.figures["yes_share"] for score in scores} == {1.0}
    assert {(score.value, score.figures["recall"]) for score in scores} == {(0.5, 1.0)}


@needs_samples("pope")
@needs_samples("coco")
def test_the_sampled_photos_are_asked_about():
    questions = SAMPLES / "pope/output/coco/coco_pope_{split}.json"
    recipe = task_of(pope, questions=questions, images=str(SAMPLES / "coco/images"))
    task = recipe.build(Setup(missing_images="skip"))
    assert Counter(example.condition for example in task.examples) == dict.fromkeys(RECORDS, 12)
