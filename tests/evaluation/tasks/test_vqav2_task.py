"""VQAv2: two files joined, ten answers a question, figures by type, and the official scores of real answers."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import datasets
import pytest

from mblip.evaluation import Setup, VqaAccuracy
from mblip.evaluation.recipe import read_evaluation_run
from mblip.evaluation.records import DatasetLocation
from mblip.evaluation.tasks.vqav2 import vqav2
from tests.data.sources.sample_data import SAMPLES, needs_samples, write_json
from tests.evaluation.tasks.small_benchmarks import (
    UNCHECKED,
    answered_by_a_tiny_model,
    answered_by_one_who_knows,
    draw,
    scores_of,
    task_of,
)

RECIPES = Path(__file__).parents[3] / "mblip" / "recipes"
TEN = ("kitchen",) * 8 + ("den", "room")


def record(question_id, image_id, question, answers, answer_type):
    return {
        "question_id": question_id,
        "image_id": image_id,
        "question": question,
        "question_type": "what room is",
        "answer_type": answer_type,
        "multiple_choice_answer": answers[0],
        "answers": [{"answer": answer, "answer_confidence": "yes", "answer_id": 1} for answer in answers],
    }


RECORDS = [
    record(139000, 139, "What room is it?", TEN, "other"),
    record(139001, 139, "Is it tidy?", ("yes",) * 10, "yes/no"),
    record(71000, 71, "How many trains?", ("2",) * 10, "number"),
]
QUESTION = ("question_id", "image_id", "question")


@pytest.fixture
def recipe(tmp_path):
    """A recipe of three questions, with other fields where they are given."""
    questions = [{field: row[field] for field in QUESTION} for row in RECORDS]
    annotations = [{field: value for field, value in row.items() if field != "question"} for row in RECORDS[::-1]]
    fields = {
        "questions": write_json(tmp_path / "questions.json", {"info": {}, "questions": questions}),
        "annotations": write_json(tmp_path / "annotations.json", {"annotations": annotations}),
        "images": str(tmp_path / "images"),
    }
    return lambda **other: task_of(vqav2, **fields | other)


def asked(recipe, setup=UNCHECKED):
    return [(e.id, e.prompt, e.references, dict(e.facts), e.image_id) for e in recipe.build(setup).examples]


@pytest.mark.parametrize(
    ("protocol", "prompt"),
    [
        ("paper", "Question: What room is it? Short answer in English:"),
        ("centurio", "What room is it?\nAnswer the question using a single word or phrase."),
    ],
)
def test_every_question_comes_with_all_answers_and_its_types(recipe, tmp_path, protocol, prompt):
    setup = Setup(protocol=protocol, missing_images="unchecked")
    found = asked(recipe(), setup)
    facts = {"answer_type": "other", "question_type": "what room is"}
    assert found[0] == ("139000", prompt, TEN, facts, "coco/000000000139")
    assert [id for id, *_ in found] == ["139000", "139001", "71000"]
    assert recipe().build(setup).examples[2].images == (tmp_path / "images/000000000071.jpg",)


def test_a_photo_is_found_under_any_of_its_names(recipe, tmp_path):
    photos = [tmp_path / "images/val2014/COCO_val2014_000000000139.jpg", tmp_path / "images/val2017/000000000071.jpg"]
    draw(photos)
    task = recipe().build(Setup())
    assert [example.images[0] for example in task.examples] == [photos[0], photos[0], photos[1]]


def test_missing_photos_are_an_error_or_are_counted(recipe, tmp_path):
    with pytest.raises(ValueError, match=r"vqav2: 2 of 2 images are missing, such as 000000000071\.jpg"):
        recipe().build(Setup())
    draw([tmp_path / "images/COCO_val2014_000000000139.jpg"])
    task = recipe().build(Setup(missing_images="skip"))
    assert ([example.id for example in task.examples], task.skipped.counts) == (
        ["139000", "139001"],
        {"image missing": 1},
    )


def test_the_first_questions_may_be_taken_and_the_rest_is_counted(recipe):
    task = recipe(num_questions=1).build(UNCHECKED)
    assert [example.id for example in task.examples] == ["139000"]
    assert task.skipped.names == {"not among the first 1": ["vqav2/139001", "vqav2/71000"]}
    assert task.changes == ("num_questions 1",)
    with pytest.raises(ValueError, match="`num_questions` is 0, expected at least 1"):
        recipe(num_questions=0).build(UNCHECKED)


def test_answers_may_be_chosen_from_a_vocabulary(recipe, tmp_path):
    vocabulary = write_json(tmp_path / "label2ans.json", ["", "yes", "2"])
    task = recipe(answering="constrained", vocabulary=vocabulary).build(UNCHECKED)
    assert {example.candidates for example in task.examples} == {("yes", "2")}
    assert task.skipped.counts == {"empty answer of the vocabulary": 1}


def test_a_dataset_with_the_fields_of_both_files_gives_the_same(recipe, tmp_path):
    datasets.Dataset.from_list(RECORDS).save_to_disk(tmp_path / "stored")
    location = DatasetLocation(str(tmp_path / "stored"))
    assert asked(recipe(questions=None, annotations=None, dataset=location)) == asked(recipe())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"annotations": None}, "found only one of `questions` and `annotations`, expected both files"),
        ({"dataset": DatasetLocation("me/vqa")}, "Found both"),
        ({"questions": None, "annotations": None}, "Found neither files nor a dataset"),
    ],
)
def test_a_recipe_names_both_files_or_a_dataset(recipe, fields, message):
    with pytest.raises(ValueError, match=message):
        recipe(**fields).build(UNCHECKED)


def test_a_wrong_annotation_is_named(recipe, tmp_path):
    wrong = write_json(tmp_path / "wrong.json", {"annotations": [RECORDS[0] | {"answers": "kitchen"}]})
    with pytest.raises(
        ValueError, match=r"wrong\.json, annotations\[0\]: `answers` is 'kitchen', text, expected a li"
    ):
        recipe(annotations=wrong).build(UNCHECKED)


def test_a_model_that_gives_the_first_answer_is_scored_by_type(recipe, tmp_path):
    draw(tmp_path / f"images/{number:012d}.jpg" for number in (71, 139))
    results = answered_by_one_who_knows(recipe().build(Setup()))
    (score,) = results.scores
    assert (score.value, results.metric, results.num_images) == (1.0, "vqa_accuracy_mblip", 2)
    assert score.figures["answer_type number"] == 1.0


@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_models_of_both_kinds_are_asked_and_scored(recipe, tmp_path, family):
    draw(tmp_path / f"images/{number:012d}.jpg" for number in (71, 139))
    results = answered_by_a_tiny_model(recipe().build(Setup()), family)
    assert [score.num_prompts for score in results.scores] == [3]


@pytest.mark.parametrize(("protocol", "number"), [("paper", 5000), ("centurio", 2000)])
def test_the_first_questions_are_taken_as_the_protocol_did(protocol, number):
    (recipe,) = read_evaluation_run(RECIPES / "eval_vqav2.yaml").evaluation.tasks
    assert not {"num_questions", "answering"} & recipe.arguments.keys()
    assert Setup(protocol=protocol).rules("vqav2").arguments["num_questions"] == number


@needs_samples("vqav2")
@pytest.mark.parametrize("split", ["valid", "test"])
def test_the_scores_of_real_answers_are_those_of_the_official_evaluator(split):
    folder = SAMPLES / "vqav2"
    expected = json.loads((folder / "expected_scores.json").read_text())["splits"][split]
    given = {
        str(row["question_id"]): row["answer"]
        for row in json.loads((folder / f"vqa_results_{split}.json").read_text())
    }
    files = {kind: folder / f"vqa_{kind}_{split}.json" for kind in ("questions", "annotations")}
    task = replace(task_of(vqav2, **files, images="images").build(UNCHECKED), metric=VqaAccuracy())
    (score,), answers = scores_of(task, [given[example.id] for example in task.examples])
    percent = {name: round(100 * value, 2) for name, value in score.figures.items()}
    assert len(answers) == expected["n"]
    assert percent["vqa_accuracy"] == expected["accuracy"]["overall"]
    assert _by("answer_type ", percent) == expected["accuracy"]["perAnswerType"]
    assert _by("question_type ", percent) == expected["accuracy"]["perQuestionType"]
    assert {answer.id: round(100 * answer.score, 2) for answer in answers} == expected["per_question"]


def _by(prefix, figures):
    return {name.removeprefix(prefix): value for name, value in figures.items() if name.startswith(prefix)}


@needs_samples("vqav2")
@needs_samples("coco")
def test_the_sampled_photos_are_asked_about():
    files = {kind: SAMPLES / f"vqav2/vqa_{kind}_train.json" for kind in ("questions", "annotations")}
    task = task_of(vqav2, **files, images=str(SAMPLES / "coco/images")).build(Setup(missing_images="skip"))
    assert (len(task.examples), len({example.image_id for example in task.examples})) == (22, 16)
    assert task.skipped.counts == Counter({"image missing": 678})
    assert all(isinstance(example.images[0], Path) for example in task.examples)
