"""xGQA: eight files, one prompt, answers of a vocabulary, and the same from a dataset."""

from collections import Counter
from pathlib import Path

import datasets
import pytest

from mblip.data.prompts import get_task
from mblip.evaluation import EvaluationRecipe, Setup
from mblip.evaluation.protocol import PAPER
from mblip.evaluation.records import DatasetLocation
from mblip.evaluation.tasks.xgqa import xgqa
from mblip.evaluation.trial import Trial
from tests.data.sources.sample_data import SAMPLES, needs_samples, write_json
from tests.evaluation.tasks.small_benchmarks import (
    UNCHECKED,
    answered_by_a_tiny_model,
    answered_by_one_who_knows,
    draw,
    task_of,
)

RECORDS = {
    "de": {
        "201": {"imageId": "n1", "question": "Ist der Bus schwarz?", "answer": "no", "isBalanced": True},
        "202": {"imageId": "n2", "question": "Wer ist das?", "answer": "women", "isBalanced": True},
        "203": {"imageId": "n2", "question": " ", "answer": "women", "isBalanced": True},
    },
    "zh": {"201": {"imageId": "n1", "question": "公交车是黑色的吗？", "answer": "no", "isBalanced": True}},
}


@pytest.fixture
def recipe(tmp_path):
    """A recipe of two languages, with other fields where they are given."""
    for language, records in RECORDS.items():
        (tmp_path / language).mkdir()
        write_json(tmp_path / language / "test.json", records)
    fields = {"images": str(tmp_path / "images"), "languages": ("de", "zh")}
    return lambda **other: task_of(xgqa, **{"questions": tmp_path / "{language}/test.json"} | fields | other)


def asked(recipe, setup=UNCHECKED):
    return [(e.id, e.language, e.prompt, e.references, e.image_id) for e in recipe.build(setup).examples]


def test_every_question_is_asked_in_the_papers_prompt(recipe, tmp_path):
    assert asked(recipe()) == [
        ("de/201", "de", "Question: Ist der Bus schwarz? Short answer in English:", ("no",), "gqa/n1"),
        ("de/202", "de", "Question: Wer ist das? Short answer in English:", ("women",), "gqa/n2"),
        ("zh/201", "zh", "Question: 公交车是黑色的吗？ Short answer in English:", ("no",), "gqa/n1"),
    ]
    task = recipe().build(UNCHECKED)
    assert (task.name, task.protocol, task.generation.length_penalty, task.changes) == ("xgqa", "paper", -1, ())
    assert task.examples[0].images == (tmp_path / "images/n1.jpg",)
    assert task.skipped.names == {"empty text": ["xgqa/de/203"]}


@pytest.mark.parametrize(
    ("protocol", "prompt"),
    [
        ("centurio", "公交车是黑色的吗？\nAnswer the question using a single word or phrase.\nAnswer in English."),
        ("pangea", "公交车是黑色的吗？ Answer the question using a single word or phrase in English."),
    ],
)
def test_the_other_protocols_ask_in_their_prompts(recipe, protocol, prompt):
    setup = Setup(protocol=protocol, missing_images="unchecked")
    assert [text for _, _, text, _, _ in asked(recipe(languages=("zh",)), setup)] == [prompt]


def test_pangea_names_no_language_where_the_question_is_english(recipe, tmp_path):
    (tmp_path / "en").mkdir()
    write_json(tmp_path / "en/test.json", {"1": {"imageId": "n1", "question": "Why?", "answer": "no"}})
    setup = Setup(protocol="pangea", missing_images="unchecked")
    ((_, _, prompt, _, _),) = asked(recipe(languages=("en",)), setup)
    assert prompt == "Why? Answer the question using a single word or phrase."


def test_a_trial_in_some_languages_needs_no_files_of_the_others(recipe, tmp_path):
    (tmp_path / "zh" / "test.json").unlink()
    (task,) = EvaluationRecipe((recipe(),), UNCHECKED, trial=Trial(("de",))).build_tasks()
    assert {example.language for example in task.examples} == {"de"}
    assert "trial in de" in task.marks


def test_the_first_template_of_training_is_the_papers_prompt():
    template = get_task("vqa_in_english").templates[0].text
    assert PAPER.benchmarks["xgqa"].prompts == {"vqa_in_english": (template.replace("{language}", "English"),)}


def test_templates_are_asked_one_by_one(recipe):
    task = recipe(languages=("zh",)).build(Setup(templates=True, missing_images="unchecked"))
    assert len(task.examples) == len(get_task("vqa_in_english").templates) + 1
    assert task.examples[-1].prompt == "Somebody sees this image and wonders: 公交车是黑色的吗？ Respond in English."


def test_missing_images_are_an_error_or_are_counted(recipe, tmp_path):
    with pytest.raises(ValueError, match=r"xgqa: 2 of 2 images are missing, such as n1\.jpg, n2\.jpg"):
        recipe().build(Setup())
    draw([tmp_path / "images/n2.jpg"])
    task = recipe().build(Setup(missing_images="skip"))
    assert [example.id for example in task.examples] == ["de/202"]
    assert task.skipped.counts == {"empty text": 1, "image missing": 2}


def test_answers_are_chosen_from_the_vocabulary(recipe, tmp_path):
    vocabulary = write_json(tmp_path / "label2ans.json", ["no", "yes", "man"])
    task = recipe(answering="rank", rank_by="mean", vocabulary=vocabulary).build(UNCHECKED)
    assert (task.answering, task.rank_by) == ("rank", "mean")
    assert {example.candidates for example in task.examples} == {("no", "yes", "man")}
    assert {example.content_free for example in task.examples} == {"Question: N/A Short answer in English:"}
    figures = task.metric.score(task.examples, ["no"] * 3).figures
    assert (figures["accuracy"], figures["share_not_offered"]) == pytest.approx((2 / 3, 1 / 3))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"answering": "rank"}, "found no `vocabulary` with `answering: rank`"),
        ({"vocabulary": Path("a.json")}, r"found the `vocabulary` a\.json with `answering: generate`"),
        ({"languages": ("de", "xx")}, "Found the language 'xx'"),
        ({"questions": Path("test.json")}, r"found test\.json for every language"),
    ],
)
def test_a_recipe_that_does_not_fit_together_is_an_error(recipe, fields, message):
    with pytest.raises(ValueError, match=message):
        recipe(**fields).build(UNCHECKED)


def test_a_wrong_record_is_named(recipe, tmp_path):
    write_json(tmp_path / "zh/test.json", {"7": {"imageId": "n1", "question": "？"}})
    with pytest.raises(ValueError, match=r"zh/test\.json, question '7': `answer` is missing or null, expected text"):
        recipe().build(UNCHECKED)
    with pytest.raises(ValueError, match=r"There is no file .*ko/test\.json"):
        recipe(languages=("ko",)).build(UNCHECKED)


def test_a_dataset_with_a_split_for_each_language_gives_the_same(recipe, tmp_path):
    parts = {
        language: datasets.Dataset.from_list([{"question_id": id, **record} for id, record in records.items()])
        for language, records in RECORDS.items()
    }
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "stored")
    location = DatasetLocation(str(tmp_path / "stored"), split="{language}")
    assert asked(recipe(questions=None, dataset=location)) == asked(recipe())


def test_a_model_that_knows_all_is_always_right(recipe, tmp_path):
    draw(tmp_path / f"images/n{number}.jpg" for number in (1, 2))
    results = answered_by_one_who_knows(recipe().build(Setup()))
    assert {code: score.value for code, score in results.by_language("as_is").items()} == {"de": 1.0, "zh": 1.0}
    assert (results.metric, results.num_images) == ("accuracy", 2)


@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_models_of_both_kinds_are_asked_and_scored(recipe, tmp_path, family):
    draw(tmp_path / f"images/n{number}.jpg" for number in (1, 2))
    results = answered_by_a_tiny_model(recipe().build(Setup()), family)
    assert [score.num_prompts for score in results.scores] == [2, 1]


@needs_samples("xgqa")
def test_the_published_questions_are_read_in_their_eight_languages():
    task = task_of(xgqa, questions=SAMPLES / "xgqa/few_shot/{language}/dev.json", images="images").build(UNCHECKED)
    assert Counter(example.language for example in task.examples) == dict.fromkeys(
        ("bn", "de", "en", "id", "ko", "pt", "ru", "zh"), 420
    )
    assert len({example.image_id for example in task.examples}) == len({e.images for e in task.examples})
    outputs = [example.references[0] for example in task.examples]
    assert task.metric.score(task.examples, outputs).figures["accuracy"] == 1.0
