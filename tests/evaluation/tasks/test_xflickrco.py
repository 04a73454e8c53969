"""xFlickrCO: eight files, photos of two corpora, and English from Flickr30k where it is asked for."""

from pathlib import Path

import datasets
import pytest

from mblip.evaluation import Setup
from mblip.evaluation.records import DatasetLocation
from mblip.evaluation.tasks.xflickrco import xflickrco
from tests.data.sources.sample_data import SAMPLES, needs_samples, write_lines
from tests.evaluation.tasks.small_benchmarks import task_of

FILES = SAMPLES / "xflickrco/annotations/{language}/test.jsonl"
UNCHECKED = Setup(missing_images="unchecked")
COCO_NAME = "COCO_val2014_000000391895.jpg"
RECORDS = {
    "de": [
        {"sentences": ["Ein Mann. "], "id": "1013", "img_path": "1013.jpg"},
        {"sentences": ["Ein Bad."], "id": "391895", "img_path": COCO_NAME},
        {"sentences": [""], "id": "1014", "img_path": "1014.jpg"},
    ],
    "en": [{"sentences": ["A man."], "id": "1013", "img_path": "1013.jpg"}],
}


@pytest.fixture
def recipe(tmp_path):
    """A recipe of two languages, with other fields where they are given."""
    for language, records in RECORDS.items():
        (tmp_path / "annotations" / language).mkdir(parents=True)
        write_lines(tmp_path / "annotations" / language / "test.jsonl", records)
    locations = {"images": "flickr", "coco_images": str(tmp_path / "coco"), "languages": ("de", "en")}
    captions = tmp_path / "annotations/{language}/test.jsonl"
    return lambda **fields: task_of(xflickrco, **{"captions": captions} | locations | fields)


def asked(recipe):
    return [(e.id, e.prompt, e.references, e.image_id, e.images) for e in recipe.build(UNCHECKED).examples]


def test_every_photo_is_captioned_in_every_language(recipe, tmp_path):
    flickr, coco = (Path("flickr/1013.jpg"),), (tmp_path / "coco" / COCO_NAME,)
    assert asked(recipe()) == [
        ("de/1013", "Caption in German: ", ("Ein Mann.",), "flickr30k/1013", flickr),
        ("de/COCO_val2014_000000391895", "Caption in German: ", ("Ein Bad.",), "coco/000000391895", coco),
        ("en/1013", "Caption in English: ", ("A man.",), "flickr30k/1013", flickr),
    ]
    task = recipe().build(UNCHECKED)
    assert (task.name, task.skipped.names["empty text"]) == ("xflickrco", ["xflickrco/de/1014/0"])


def test_a_photo_of_coco_is_found_under_any_of_its_names(recipe, tmp_path):
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco/000000391895.jpg").touch()
    assert asked(recipe(languages=("de",)))[1][-1] == (tmp_path / "coco/000000391895.jpg",)


def test_missing_photos_are_counted_over_both_corpora(recipe):
    with pytest.raises(ValueError, match=rf"xflickrco: 2 of 2 images are missing, such as 1013\.jpg, {COCO_NAME}"):
        recipe().build(Setup())
    with pytest.raises(ValueError, match=r"no examples \(skipped: empty text: 1, .* image missing: 3\)"):
        recipe().build(Setup(missing_images="skip"))


def test_english_comes_from_flickr30ks_own_file_or_the_protocol_is_changed(recipe, tmp_path):
    five = {"sentences": ["A man.", "Man."], "id": "77", "img_path": "77.jpg"}
    english = write_lines(tmp_path / "test_ann.jsonl", [five])
    changed = recipe(english=english)
    assert [(id, references) for id, _, references, _, _ in asked(changed)][2:] == [("en/77", ("A man.", "Man."))]
    assert (changed.build(UNCHECKED).name, changed.build(UNCHECKED).changes) == ("xflickrco", ())
    assert recipe().build(UNCHECKED).changes == ("xFlickrCO's own English, not Flickr30k's",)
    assert recipe(languages=("de",)).build(UNCHECKED).changes == ()


def test_a_language_without_a_file_is_an_error(recipe):
    with pytest.raises(ValueError, match=r"There is no file .*annotations/tr/test\.jsonl"):
        recipe(languages=("tr",)).build(UNCHECKED)


def test_a_dataset_with_a_part_for_each_language_gives_the_same(recipe, tmp_path):
    parts = {language: datasets.Dataset.from_list(records) for language, records in RECORDS.items()}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "stored")
    location = DatasetLocation(str(tmp_path / "stored"), split="{language}")
    assert asked(recipe(captions=None, dataset=location)) == asked(recipe())
    with pytest.raises(ValueError, match=r"`dataset` names me/xflickrco for every language"):
        recipe(captions=None, dataset=DatasetLocation("me/xflickrco")).build(UNCHECKED)
    with pytest.raises(
        ValueError, match=r"row 1: found no image.*Name the folder of COCO_val2014.* with `coco_images`"
    ):
        recipe(captions=None, dataset=location, coco_images=None).build(UNCHECKED)


def test_a_record_that_is_not_as_published_is_named(recipe, tmp_path):
    write_lines(tmp_path / "annotations/en/test.jsonl", [{"sentences": "A man.", "img_path": "1013.jpg"}])
    with pytest.raises(ValueError, match=r"en/test\.jsonl, line 1: `sentences` is 'A man\.', text, expected a list"):
        recipe().build(UNCHECKED)


@needs_samples("xflickrco")
def test_the_published_captions_are_read_in_their_eight_languages():
    recipe = task_of(xflickrco, captions=FILES, images="flickr", coco_images="coco")
    task = recipe.build(UNCHECKED)
    languages = [example.language for example in task.examples]
    expected = dict.fromkeys(("de", "en", "es", "id", "ja", "ru", "tr", "zh"), 500) | {"de": 499}
    assert {code: languages.count(code) for code in set(languages)} == expected
    assert len({example.image_id for example in task.examples}) == 500
    assert task.skipped.counts == {"empty text": 1, "photo without a caption in the language": 1}


@needs_samples("xflickrco")
@needs_samples("coco")
def test_the_sampled_photos_of_coco_are_asked_about():
    locations = {"images": "flickr", "coco_images": str(SAMPLES / "coco/images")}
    recipe = task_of(xflickrco, captions=FILES, languages=("de", "zh"), **locations)
    task = recipe.build(Setup(missing_images="skip"))
    assert task.examples
    assert all(example.images[0].is_file() for example in task.examples)
    assert len(task.examples) + task.skipped.counts["image missing"] == 999
