"""CHAIR: captions and descriptions, what photos show from each of its files, and the published scores."""

import json
from pathlib import Path

import datasets
import pytest

from mblip.evaluation import Setup
from mblip.evaluation.recipe import read_evaluation_run
from mblip.evaluation.records import DatasetLocation
from mblip.evaluation.tasks.chair import chair
from tests.data.sources.sample_data import SAMPLES, needs_samples, write_json, write_lines
from tests.evaluation.tasks.small_benchmarks import UNCHECKED, answered_by_a_tiny_model, draw, scores_of, task_of

RECIPES = Path(__file__).parents[3] / "mblip" / "recipes"
SYNONYMS = "dog, puppy\ncat, kitty\nperson, man, woman\n"
LISTS = [
    {"image": "COCO_val2014_000000000139.jpg", "objects": ["person", "dog"]},
    {"image": "COCO_val2014_000000000071.jpg", "objects": []},
    {"image": "COCO_val2014_000000000009.jpg", "objects": ["cat"]},
]
INSTANCES = {
    "images": [{"id": number} for number in (139, 71, 9)],
    "categories": [{"id": 1, "name": "person"}, {"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
    "annotations": [
        {"image_id": image, "category_id": kind} for image, kind in ((139, 1), (139, 18), (139, 18), (9, 17))
    ],
}
CAPTIONS = {
    "images": [{"id": number} for number in (139, 71, 9)],
    "annotations": [{"image_id": 71, "id": 1, "caption": "A man sleeps. His kitty wakes."}],
}


def karpathy(number, split):
    return {
        "filepath": "val2014",
        "filename": f"COCO_val2014_{number:012d}.jpg",
        "cocoid": number,
        "split": split,
        "sentences": [{"raw": "A man.", "sentid": 1}],
    }


@pytest.fixture
def recipe(tmp_path):
    """A recipe of three photos, with other fields where they are given."""
    (tmp_path / "synonyms.txt").write_text(SYNONYMS)
    fields = {
        "synonyms": tmp_path / "synonyms.txt",
        "objects": write_lines(tmp_path / "objects.jsonl", LISTS),
        "images": str(tmp_path / "images"),
    }
    return lambda **other: task_of(chair, **fields | other)


def test_less_is_better(recipe):
    metric = recipe().build(UNCHECKED).metric
    assert not metric.greater_is_better
    assert "lower is better" in metric.description


def asked(recipe, setup=UNCHECKED):
    return [(e.condition, e.id, e.prompt, e.references, e.image_id) for e in recipe.build(setup).examples]


def shown(recipe):
    return {e.id: e.references for e in recipe.build(UNCHECKED).examples}


def test_every_photo_is_asked_for_a_caption_and_for_a_description(recipe, tmp_path):
    setup = UNCHECKED
    captions, descriptions = asked(recipe(), setup)[:3], asked(recipe(), setup)[3:]
    assert captions == [
        ("caption", "000000000139", "Caption in English:", ("dog", "person"), "coco/000000000139"),
        ("caption", "000000000071", "Caption in English:", (), "coco/000000000071"),
        ("caption", "000000000009", "Caption in English:", ("cat",), "coco/000000000009"),
    ]
    prompt = "Describe the image in English with as much detail as possible."
    assert descriptions == [("description", id, prompt, *rest) for _, id, _, *rest in captions]
    task = recipe().build(setup)
    assert str(task.generation) == "5 beams, 1 to 256 new tokens, length penalty 1, repetition penalty 1.5"
    assert task.examples[0].images == (tmp_path / "images/COCO_val2014_000000000139.jpg",)


def test_both_are_asked_in_the_templates_of_their_task(recipe):
    task = recipe(num_images=1).build(Setup(templates=True, missing_images="unchecked"))
    prompts = {example.condition: example.prompt for example in task.examples}
    assert prompts["caption, held-out wording"] == "Please give the picture a title in English."
    assert prompts["description, held-out wording"] == "Retell this scene in English so that a painter could paint it."


def test_what_photos_show_may_come_from_cocos_own_annotations(recipe, tmp_path):
    outlined = recipe(objects=None, instances=write_json(tmp_path / "instances.json", INSTANCES))
    assert asked(outlined) == asked(recipe())
    named = write_json(tmp_path / "captions.json", CAPTIONS)
    assert shown(recipe(captions=named)) == shown(recipe()) | {"000000000071": ("cat", "person")}
    changes = ("instances instances.json", "photos of every split")
    assert outlined.build(UNCHECKED).changes == changes


def test_the_photos_may_be_those_of_karpathys_val_and_restval(recipe, tmp_path):
    """mBLIP's script writes all but train and test into its coco_val.json."""
    records = [karpathy(9, "restval"), karpathy(71, "test"), karpathy(5, "val"), karpathy(139, "val")]
    path = write_json(tmp_path / "dataset_coco.json", {"images": records, "dataset": "coco"})
    task = recipe(karpathy=path, num_images=1).build(UNCHECKED)
    assert [example.id for example in task.examples] == ["000000000009"] * 2
    assert task.changes == ("num_images 1",)
    assert task.skipped.names == {
        "photo of these splits whose objects are not known": ["chair/000000000005"],
        "photo outside Karpathy's val and restval": ["chair/000000000071"],
        "not among the first 1": ["chair/000000000139"],
    }


def test_missing_photos_are_an_error_or_are_counted(recipe, tmp_path):
    with pytest.raises(ValueError, match=r"chair: 3 of 3 images are missing"):
        recipe().build(Setup())
    draw([tmp_path / "images/000000000009.jpg"])
    task = recipe().build(Setup(missing_images="skip"))
    assert [example.images for example in task.examples] == [(tmp_path / "images/000000000009.jpg",)] * 2
    assert task.skipped.counts == {"image missing": 4}


def test_an_object_that_the_synonyms_do_not_know_is_an_error_before_anything_is_asked(recipe, tmp_path):
    lists = write_lines(tmp_path / "other.jsonl", [*LISTS[:2], {"image": LISTS[2]["image"], "objects": ["unicorn"]}])
    with pytest.raises(ValueError, match=r"other.jsonl, line 3: `objects` is 'unicorn', text, expected one of 'dog'"):
        recipe(objects=lists).build(UNCHECKED)


def test_at_least_one_photo_is_asked_about(recipe):
    with pytest.raises(ValueError, match="`num_images` is 0, expected at least 1"):
        recipe(num_images=0).build(UNCHECKED)


@pytest.mark.parametrize(
    "fields", [{"objects": None}, {"instances": "instances.json"}, {"dataset": DatasetLocation("x")}]
)
def test_just_one_source_says_what_photos_show(recipe, fields):
    with pytest.raises(ValueError, match="of `objects`, `dataset` and `instances`, expected exactly one"):
        recipe(**fields).build(UNCHECKED)


def test_a_wrong_record_is_named(recipe, tmp_path):
    write_lines(tmp_path / "objects.jsonl", [LISTS[0] | {"objects": "dog"}])
    with pytest.raises(ValueError, match=r"objects\.jsonl, line 1: `objects` is 'dog', text, expected a list of text"):
        recipe().build(UNCHECKED)
    with pytest.raises(ValueError, match="Found no list of synonyms at "):
        recipe(synonyms=tmp_path / "none.txt").build(UNCHECKED)


def test_a_dataset_holds_the_lists_and_the_images(recipe, tmp_path):
    draw([tmp_path / "a.png"])
    picture = (tmp_path / "a.png").read_bytes()
    features = datasets.Features(
        {
            "image": datasets.Value("string"),
            "objects": datasets.List(datasets.Value("string")),
            "images": datasets.List(datasets.Image()),
        }
    )
    rows = [{**row, "images": [{"bytes": picture, "path": None}]} for row in LISTS]
    datasets.Dataset.from_list(rows, features=features).to_parquet(tmp_path / "rows.parquet")
    location = DatasetLocation(str(tmp_path / "rows.parquet"), split="train")
    stored = recipe(objects=None, dataset=location, images=None)
    assert asked(stored, Setup()) == asked(recipe())
    assert {example.images for example in stored.build(Setup()).examples} == {(picture,)}


def test_captions_and_descriptions_are_scored_apart(recipe):
    task = recipe().build(UNCHECKED)
    captions, descriptions = ["A puppy.", "A cat.", "A cat."], ["A dog. Two cats sleep.", "", "Nothing."]
    caption, description = scores_of(task, captions + descriptions)[0]
    assert (caption.condition, caption.value, caption.figures["chair_i"]) == ("caption", 1 / 3, 1 / 3)
    assert (description.condition, description.value, description.figures["chair_i"]) == ("description", 1 / 3, 0.5)
    assert (description.num_empty, description.figures["objects_per_caption"]) == (1, 2 / 3)


@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_models_of_both_kinds_are_asked_and_scored(recipe, tmp_path, family):
    draw(tmp_path / "images" / row["image"] for row in LISTS)
    results = answered_by_a_tiny_model(recipe().build(Setup()), family)
    assert [(score.condition, score.num_prompts) for score in results.scores] == [("caption", 3), ("description", 3)]
    assert (results.metric, results.num_images) == ("chair_s", 3)


def test_the_recipe_takes_the_first_1000_photos_of_karpathys_split_as_the_original_did():
    (recipe,) = read_evaluation_run(RECIPES / "eval_chair.yaml").evaluation.tasks
    assert recipe.arguments["karpathy"] == Path("data/coco/dataset_coco.json")
    assert Setup().rules("chair", num_images=recipe.arguments.get("num_images")).arguments == {"num_images": 1000}


@needs_samples("chair")
def test_the_scores_of_human_captions_are_the_published_functions():
    folder = SAMPLES / "chair"
    expected = json.loads((folder / "expected_scores.json").read_text())
    captions = {row["image"]: row for row in map(json.loads, (folder / "captions.jsonl").read_text().splitlines())}
    task = chair(UNCHECKED, synonyms=folder / "synonyms.txt", objects=folder / "objects.jsonl", images="i")
    asked_for = {f"{example.id}.jpg": example for example in task.examples if example.condition == "caption"}
    examples = [asked_for[name] for name in captions]
    scored = task.metric.score(examples, [row["caption"] for row in captions.values()])
    assert (len(examples), scored.figures["chair_s"]) == (expected["n_captions"], expected["chair_s"])
    assert scored.figures["chair_i"] == expected["chair_i"]
    assert scored.per_example == tuple(row["chair_s"] for row in captions.values())
    assert [list(example.references) for example in examples] == [row["text_label"] for row in captions.values()]
