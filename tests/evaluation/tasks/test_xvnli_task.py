"""XVNLI: three answers, pairs without a label left out, and a class that never wins."""

from collections import Counter

import datasets
import pytest

from mblip.data.prompts import get_task
from mblip.data.sources.xvnli import ANSWERS
from mblip.evaluation import Setup
from mblip.evaluation.protocol import PAPER
from mblip.evaluation.records import DatasetLocation
from mblip.evaluation.tasks.xvnli import CANDIDATES, xvnli
from tests.data.sources.sample_data import SAMPLES, needs_samples, write_lines
from tests.evaluation.tasks.small_benchmarks import (
    UNCHECKED,
    answered_by_a_tiny_model,
    answered_by_one_who_knows,
    draw,
    scores_of,
    task_of,
)


def pair(photo, number, label, hypothesis):
    return {
        "gold_label": label,
        "sentence1": "...",
        "sentence2": hypothesis,
        "captionID": f"{photo}.jpg#2",
        "pairID": f"{photo}.jpg#2r1{number}",
        "Flikr30kID": photo,
    }


PAIRS = {
    "en": [
        pair("77", "c", "contradiction", "He sleeps."),
        pair("77", "n", "neutral", "He is a baker."),
        pair("88", "e", "entailment", 'It says "stop".'),
        pair("88", "x", "-", "It is late."),
    ],
    "ar": [pair("77", "c", "contradiction", "هو نائم.")],
}


@pytest.fixture
def recipe(tmp_path):
    """A recipe of two languages, with other fields where they are given."""
    for language, pairs in PAIRS.items():
        (tmp_path / language).mkdir()
        write_lines(tmp_path / language / "test.jsonl", pairs)
    fields = {"images": str(tmp_path / "images"), "languages": ("en", "ar")}
    return lambda **other: task_of(xvnli, **{"pairs": tmp_path / "{language}/test.jsonl"} | fields | other)


def asked(recipe, setup=UNCHECKED):
    return [(e.id, e.language, e.prompt, e.references, e.image_id) for e in recipe.build(setup).examples]


@pytest.mark.parametrize("protocol", ["paper", "centurio"])
def test_every_labelled_pair_is_asked_in_the_papers_prompt(recipe, protocol):
    question = 'Is it guaranteed true that "{}"? Yes, no, or maybe? Answer in English:'
    setup = Setup(protocol=protocol, missing_images="unchecked")
    assert asked(recipe(), setup) == [
        ("en/77.jpg#2r1c", "en", question.format("He sleeps."), ("no",), "flickr30k/77"),
        ("en/77.jpg#2r1n", "en", question.format("He is a baker."), ("maybe",), "flickr30k/77"),
        ("en/88.jpg#2r1e", "en", question.format('It says "stop".'), ("yes",), "flickr30k/88"),
        ("ar/77.jpg#2r1c", "ar", question.format("هو نائم."), ("no",), "flickr30k/77"),
    ]
    assert recipe().build(setup).skipped.names == {"annotators disagree (label `-`)": ["xvnli/en/88.jpg#2r1x"]}


def test_the_candidates_are_the_targets_of_training_and_the_prompt_is_its_first_template():
    assert set(CANDIDATES) == set(ANSWERS.values()) - {None}
    assert PAPER.benchmarks["xvnli"].prompts == {"entailment": (get_task("entailment").templates[0].text,)}


@pytest.mark.parametrize(("answering", "rank_by"), [("rank", "calibrated"), ("constrained", "sum")])
def test_answers_may_be_chosen_of_the_three(recipe, answering, rank_by):
    task = recipe(answering=answering, rank_by=rank_by).build(UNCHECKED)
    assert (task.answering, task.rank_by) == (answering, rank_by)
    assert {example.candidates for example in task.examples} == {("yes", "no", "maybe")}
    content_free = 'Is it guaranteed true that "N/A"? Yes, no, or maybe? Answer in English:'
    assert {example.content_free for example in task.examples} == {content_free}
    assert {example.candidates for example in recipe().build(UNCHECKED).examples} == {()}


def test_a_class_that_never_wins_is_seen_in_the_figures(recipe):
    task = recipe(languages=("en",)).build(UNCHECKED)
    (score,), answers = scores_of(task, ["No.", "no", "YES"])
    assert [answer.score for answer in answers] == [1.0, 0.0, 1.0]
    assert (score.figures["share_maybe"], score.figures["recall_maybe"], score.figures["recall_yes"]) == (0, 0, 1)


def test_missing_photos_are_an_error_or_are_counted(recipe, tmp_path):
    with pytest.raises(ValueError, match=r"xvnli: 2 of 2 images are missing, such as 77\.jpg, 88\.jpg"):
        recipe().build(Setup())
    draw([tmp_path / "images/88.jpg"])
    task = recipe().build(Setup(missing_images="skip"))
    assert ([example.id for example in task.examples], task.skipped.counts["image missing"]) == (
        ["en/88.jpg#2r1e"],
        3,
    )


def test_a_label_that_nobody_knows_is_named(recipe, tmp_path):
    write_lines(tmp_path / "ar/test.jsonl", [pair("77", "c", "true", "...")])
    with pytest.raises(
        ValueError, match=r"ar/test\.jsonl, line 1: `gold_label` is 'true', text, expected one of 'ent"
    ):
        recipe().build(UNCHECKED)


def test_a_dataset_with_images_is_asked_about_them(recipe, tmp_path):
    draw([tmp_path / "77.jpg"])
    image = (tmp_path / "77.jpg").read_bytes()
    features = datasets.Features(dict.fromkeys(PAIRS["en"][0], datasets.Value("string")) | {"image": datasets.Image()})
    for language, pairs in PAIRS.items():
        rows = [{**one, "image": {"bytes": image, "path": None}} for one in pairs]
        datasets.Dataset.from_list(rows, features=features).to_parquet(tmp_path / f"{language}.parquet")
    location = DatasetLocation(str(tmp_path / "{language}.parquet"), split="train")
    stored = recipe(pairs=None, dataset=location, images=None)
    assert asked(stored, Setup()) == asked(recipe())
    assert {example.images for example in stored.build(Setup()).examples} == {(image,)}


def test_a_model_that_knows_all_is_always_right(recipe, tmp_path):
    draw(tmp_path / f"images/{photo}.jpg" for photo in (77, 88))
    results = answered_by_one_who_knows(recipe().build(Setup()))
    assert {code: score.value for code, score in results.by_language("as_is").items()} == {"en": 1.0, "ar": 1.0}


@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_models_of_both_kinds_are_asked_and_scored(recipe, tmp_path, family):
    draw(tmp_path / f"images/{photo}.jpg" for photo in (77, 88))
    results = answered_by_a_tiny_model(recipe().build(Setup()), family)
    assert [score.num_prompts for score in results.scores] == [3, 1]


@pytest.mark.parametrize("family", ["mt5", "bloom"])
@pytest.mark.parametrize("rank_by", ["sum", "calibrated"])
def test_models_of_both_kinds_choose_by_likelihood(recipe, tmp_path, family, rank_by):
    draw(tmp_path / f"images/{photo}.jpg" for photo in (77, 88))
    results = answered_by_a_tiny_model(recipe(answering="rank", rank_by=rank_by).build(Setup()), family)
    assert results.answering == f"rank, {rank_by}"
    assert all(set(answer.log_likelihoods) == set(CANDIDATES) for answer in results.predictions)
    assert {answer.output for answer in results.predictions} <= set(CANDIDATES)
    assert {score.figures["share_no_candidate"] for score in results.scores} == {0.0}


@needs_samples("xvnli")
def test_the_published_pairs_are_read_in_their_five_languages():
    task = task_of(xvnli, pairs=SAMPLES / "xvnli/annotations/{language}/test.jsonl", images="images").build(UNCHECKED)
    assert Counter(example.language for example in task.examples) == dict.fromkeys(("ar", "en", "es", "fr", "ru"), 494)
    assert task.skipped.counts == {"annotators disagree (label `-`)": 30}
    scores, _ = scores_of(task, [example.references[0] for example in task.examples])
    assert [score.value for score in scores] == [1.0] * 5
