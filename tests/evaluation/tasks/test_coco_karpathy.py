"""COCO on Karpathy's split: a file made in the documented layout, for the published one was not at hand."""

import datasets
import pytest
from PIL import Image

from mblip.evaluation import GenerationChanges, RunSettings, Setup, evaluate_task
from mblip.evaluation.records import DatasetLocation
from mblip.evaluation.tasks.coco_karpathy import coco_karpathy
from tests.data.sources.sample_data import write_json
from tests.evaluation.tasks.small_benchmarks import task_of
from tests.tiny import tiny_model, tiny_processor

UNCHECKED = Setup(missing_images="unchecked")


def photo(number, split, *texts):
    sentences = [
        {"tokens": ["a"], "raw": text, "imgid": 0, "sentid": sentid} for sentid, text in enumerate(texts, start=number)
    ]
    name = f"COCO_val2014_{number:012d}.jpg"
    return {
        "filepath": "val2014",
        "filename": name,
        "imgid": 0,
        "split": split,
        "cocoid": number,
        "sentences": sentences,
    }


RECORDS = [photo(139, "test", "A room  with\na television. ", "A room."), photo(71, "train", "A train."),
           photo(72, "val", "A dog."), photo(73, "test", "A cat.", " ")]  # fmt: skip


@pytest.fixture
def recipe(tmp_path):
    """A recipe of the four photos, with other fields where they are given."""
    captions = write_json(tmp_path / "dataset_coco.json", {"images": RECORDS, "dataset": "coco"})
    return lambda **fields: task_of(coco_karpathy, **{"captions": captions, "images": str(tmp_path / "coco")} | fields)


def asked(recipe):
    return [(e.id, e.references, e.image_id, e.images) for e in recipe.build(UNCHECKED).examples]


def test_the_photos_of_the_split_are_captioned_in_english(recipe, tmp_path):
    folder = tmp_path / "coco/val2014"
    task = recipe().build(UNCHECKED)
    assert {(example.prompt, example.language) for example in task.examples} == {("Caption in English: ", "en")}
    assert asked(recipe()) == [
        ("000000000139", ("A room with a television.", "A room."), "coco/000000000139",
         (folder / "COCO_val2014_000000000139.jpg",)),
        ("000000000073", ("A cat.",), "coco/000000000073", (folder / "COCO_val2014_000000000073.jpg",)),
    ]  # fmt: skip
    assert (task.name, task.skipped.names) == ("coco_karpathy", {"empty text": ["coco_karpathy/000000000073/1"]})
    validation = recipe(split="val").build(UNCHECKED)
    assert ([e.references for e in validation.examples], validation.name) == ([("A dog.",)], "coco_karpathy_val")


def test_missing_photos_are_an_error_or_skipped(recipe, tmp_path):
    with pytest.raises(ValueError, match="coco_karpathy: 2 of 2 images are missing, such as COCO_val2014_00000000007"):
        recipe().build(Setup())
    (tmp_path / "coco/val2017").mkdir(parents=True)
    (tmp_path / "coco/val2017/000000000139.jpg").touch()
    task = recipe().build(Setup(missing_images="skip"))
    assert [example.images for example in task.examples] == [(tmp_path / "coco/val2017/000000000139.jpg",)]
    assert task.skipped.names["image missing"] == ["coco_karpathy/000000000073"]


def test_a_dataset_with_the_fields_of_a_photo_gives_the_same(recipe, tmp_path):
    datasets.Dataset.from_list(RECORDS).save_to_disk(tmp_path / "stored")
    assert asked(recipe(captions=None, dataset=DatasetLocation(str(tmp_path / "stored")))) == asked(recipe())


def test_a_record_that_is_not_as_documented_is_named(recipe, tmp_path):
    wrong = RECORDS[0] | {"sentences": [{"raw": 5, "sentid": 1}]}
    captions = write_json(tmp_path / "wrong.json", {"images": [wrong]})
    with pytest.raises(ValueError, match=r"wrong\.json, images\[0\], sentences\[0\]: `raw` is 5, a whole number"):
        recipe(captions=captions).build(UNCHECKED)


@pytest.mark.parametrize("protocol", ["paper", "centurio"])
@pytest.mark.parametrize("family", ["mt5", "llama"])
def test_it_runs_from_its_file_to_scores(recipe, tmp_path, family, protocol):
    (tmp_path / "coco/val2014").mkdir(parents=True)
    for number, colour in ((139, "red"), (73, "blue")):
        Image.new("RGB", (28, 28), colour).save(tmp_path / f"coco/val2014/COCO_val2014_{number:012d}.jpg")
    task = recipe(split="test").build(Setup(protocol=protocol))
    settings = RunSettings(generation=GenerationChanges(max_new_tokens=3))
    results = evaluate_task(tiny_model(family), tiny_processor(family), task, settings=settings)
    (score,) = results.scores
    assert (score.language, score.num_prompts, results.protocol) == ("en", 2, protocol)
    assert {"BLEU-4", "ROUGE-L", "chrF", "language_fidelity"} < set(score.figures)
