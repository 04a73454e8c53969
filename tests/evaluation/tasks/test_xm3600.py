"""XM3600: languages and subsets, references, files that are not as published, and the same from a dataset."""

from pathlib import Path

import datasets
import pytest

from mblip.evaluation import Setup
from mblip.evaluation.languages import evaluation_language
from mblip.evaluation.recipe import read_evaluation_run
from mblip.evaluation.records import DatasetLocation
from mblip.evaluation.tasks.xm3600 import xm3600
from tests.data.sources.sample_data import SAMPLES, needs_samples, write_lines
from tests.evaluation.tasks.small_benchmarks import task_of

RECIPES = Path(__file__).parents[3] / "mblip" / "recipes"
UNCHECKED = Setup(missing_images="unchecked")


def said(*captions):
    return {"caption": list(captions), "caption/tokenized": ["..."], "caption/tokenized/lowercase": ["..."]}


RECORDS = [
    {"image/key": "a1", "en": said("A dog.", "A brown dog."), "he": said("כלב"), "hr": said("Pas")},
    {"image/key": "b2", "image/locale": "en", "en": said("A cat."), "he": said(), "hr": said("Mačka")},
    {"image/key": "c3", "image/locale": "en", "en": said("A train."), "he": said("רכבת", " ")},
]  # fmt: skip


@pytest.fixture
def recipe(tmp_path):
    """A recipe of the three photos, with other fields where they are given."""
    captions = write_lines(tmp_path / "captions.jsonl", RECORDS)
    return lambda **fields: task_of(xm3600, **{"captions": captions, "images": str(tmp_path / "images")} | fields)


def asked(recipe, setup=UNCHECKED):
    return [(e.id, e.prompt, e.references) for e in recipe.build(setup).examples]


def test_every_photo_is_captioned_in_every_language_of_the_file(recipe, tmp_path):
    task = recipe().build(UNCHECKED)
    assert [(example.id, example.prompt, example.references) for example in task.examples] == [
        ("en/a1", "Caption in English: ", ("A dog.", "A brown dog.")),
        ("iw/a1", "Caption in Hebrew: ", ("כלב",)),
        ("hr/a1", "Caption in Croatian: ", ("Pas",)),
        ("en/b2", "Caption in English: ", ("A cat.",)),
        ("hr/b2", "Caption in Croatian: ", ("Mačka",)),
        ("en/c3", "Caption in English: ", ("A train.",)),
        ("iw/c3", "Caption in Hebrew: ", ("רכבת",)),
    ]
    assert task.name == "xm3600"
    assert {(e.image_id, e.images) for e in task.examples if e.id.endswith("a1")} == {
        ("xm3600/a1", (tmp_path / "images/a1.jpg",))
    }
    assert task.skipped.names == {
        "photo without a caption in the language": ["xm3600/iw/b2", "xm3600/hr/c3"],
        "empty text": ["xm3600/iw/c3/1"],
    }


def test_languages_are_asked_for_by_our_codes_or_the_files_and_those_that_are_not_there_are_an_error(recipe):
    assert [id for id, _, _ in asked(recipe(languages=("iw", "en")))] == ["iw/a1", "en/a1", "en/b2", "iw/c3", "en/c3"]
    with pytest.raises(ValueError, match="xm3600: found no captions in hi, ru, expected languages among en, iw, hr"):
        recipe(languages=("hi", "en", "ru")).build(UNCHECKED)
    assert [id for id, _, _ in asked(recipe(languages=("he",)))] == ["iw/a1", "iw/c3"]
    with pytest.raises(ValueError, match="Found the language 'xx'"):
        recipe(languages=("xx",)).build(UNCHECKED)


def test_the_first_photos_may_be_taken_which_changes_the_protocol(recipe):
    task = recipe(num_images=2, languages=("en",)).build(UNCHECKED)
    assert [example.id for example in task.examples] == ["en/a1", "en/b2"]
    assert (task.name, task.changes) == ("xm3600", ("num_images 2",))
    assert task.skipped.names == {"photo not among the first 2": ["xm3600/c3"]}
    with pytest.raises(ValueError, match="`num_images` is 0, expected at least 1"):
        recipe(num_images=0).build(UNCHECKED)


def test_pangea_asks_for_no_language_where_it_is_english_and_calls_bangla_bengali(tmp_path):
    records = [{"image/key": "a1", "en": said("A dog."), "bn": said("কুকুর"), "fa": said("سگ")}]
    recipe = task_of(xm3600, captions=write_lines(tmp_path / "captions.jsonl", records), images="images")
    prompts = [prompt for _, prompt, _ in asked(recipe, Setup(protocol="pangea", missing_images="unchecked"))]
    assert prompts == [
        "Provide a one-sentence caption for the provided image.",
        "Provide a one-sentence caption for the provided image in Bengali.",
        "Provide a one-sentence caption for the provided image in Persian.",
    ]


def test_a_subset_is_read_from_a_file_of_keys(recipe, tmp_path):
    subset = tmp_path / "centurio.txt"
    subset.write_text("c3\na1\n")
    task = recipe(subset=subset, languages=("en",)).build(UNCHECKED)
    assert [example.id for example in task.examples] == ["en/a1", "en/c3"]
    assert (task.name, task.changes) == ("xm3600_centurio", ("subset centurio.txt",))
    assert task.skipped.names == {"photo outside the subset centurio": ["xm3600/b2"]}
    subset.write_text("c3\nz9\n")
    with pytest.raises(ValueError, match=r"centurio\.txt: found the unknown key 'z9', expected keys of the 3 photos"):
        recipe(subset=subset).build(UNCHECKED)
    subset.write_text("\n")
    with pytest.raises(ValueError, match=r"centurio\.txt: found no key"):
        recipe(subset=subset).build(UNCHECKED)
    subset.write_bytes(b"\xef\xbb\xbfc3\r\na1\r\n")  # as Windows writes it
    assert len(recipe(subset=subset, languages=("en",)).build(UNCHECKED).examples) == 2
    subset.write_bytes(b"\xff\xfec\x003\x00")
    with pytest.raises(ValueError, match=r"centurio\.txt cannot be read: 'utf-8' codec can't decode"):
        recipe(subset=subset).build(UNCHECKED)
    with pytest.raises(ValueError, match=r"none cannot be read: .*No such file"):
        recipe(subset=subset.with_name("none")).build(UNCHECKED)
    with pytest.raises(ValueError, match="found `num_images` and the `subset`"):
        recipe(subset=subset, num_images=2).build(UNCHECKED)


def test_a_dataset_gives_the_examples_of_the_file_and_may_hold_the_photos(recipe, tmp_path):
    datasets.Dataset.from_list(RECORDS).save_to_disk(tmp_path / "stored")
    of_dataset = recipe(captions=None, dataset=DatasetLocation(str(tmp_path / "stored")))
    assert asked(of_dataset) == asked(recipe())
    rows = [record | {"image": {"bytes": record["image/key"].encode(), "path": None}} for record in RECORDS]
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "with_photos")
    with_photos = recipe(captions=None, images=None, dataset=DatasetLocation(str(tmp_path / "with_photos")))
    assert [example.images for example in with_photos.build(Setup()).examples][:4] == [(b"a1",)] * 3 + [(b"b2",)]
    no_photos = recipe(captions=None, images=None, dataset=DatasetLocation(str(tmp_path / "stored")))
    with pytest.raises(ValueError, match=r"row 0: found no image in the record\. Name the folder of a1"):
        no_photos.build(Setup())


def test_a_recipe_without_captions_is_an_error():
    with pytest.raises(ValueError, match="Found neither files nor a dataset"):
        xm3600(UNCHECKED, images="images")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image/key": None}, r"line 2: `image/key` is missing or null"),
        ({"image/key": "a1"}, r"line 2: found the `image/key` 'a1' a second time"),
        ({"en": ["A cat."]}, r"line 2: `en` is a list of 1, expected an object"),
        ({"en": {"captions": ["A cat."]}}, r"line 2, en: `caption` is missing or null, expected a list of text"),
        ({"en": {"caption": "A cat."}}, r"line 2, en: `caption` is 'A cat\.', text, expected a list of text"),
        ({"xx": said("?")}, r"line 2: the field 'xx' is not a language\. Found the language 'xx'"),
    ],
)
def test_a_record_that_is_not_as_published_is_named(recipe, tmp_path, changes, message):
    captions = write_lines(tmp_path / "changed.jsonl", [RECORDS[0], RECORDS[1] | changes])
    with pytest.raises(ValueError, match=rf"changed\.jsonl, {message}"):
        recipe(captions=captions).build(UNCHECKED)


@needs_samples("xm3600")
def test_the_published_captions_are_read_in_their_33_languages():
    recipe = task_of(xm3600, captions=SAMPLES / "xm3600/captions.jsonl", images="images")
    task = recipe.build(UNCHECKED)
    languages = [example.language for example in task.examples]
    assert len(set(languages)) == 33
    assert {code: languages.count(code) for code in set(languages)} == dict.fromkeys(set(languages), 300)
    assert {code for code in languages if not evaluation_language(code).is_seen} == {"hr", "quz"}
    num_references = [len(example.references) for example in task.examples if example.language == "bn"]
    assert num_references == [1] * 300
    assert not task.skipped.counts


@needs_samples("xm3600")
def test_the_published_captions_number_as_the_sample_says():
    captions = SAMPLES / "xm3600/captions.jsonl"
    examples = xm3600(UNCHECKED, captions=captions, images="images", languages=("en", "mi", "zh")).examples
    counts = {code: sum(len(e.references) for e in examples if e.language == code) for code in ("en", "mi", "zh")}
    assert counts == {"en": 600, "mi": 375, "zh": 599}


def test_only_centurio_takes_a_part_of_the_file_its_first_512_records():
    (recipe,) = read_evaluation_run(RECIPES / "eval_xm3600.yaml").evaluation.tasks
    assert "num_images" not in recipe.arguments
    assert {name: Setup(protocol=name).rules("xm3600").arguments for name in ("paper", "centurio", "pangea")} == {
        "paper": {},
        "centurio": {"num_images": 512},
        "pangea": {"num_photos": 100},
    }


def test_pangea_takes_100_photos_and_another_number_changes_it(recipe, tmp_path):
    pangea = Setup(protocol="pangea", missing_images="unchecked")
    assert recipe().build(pangea).changes == ("3 photos, not XM100's",)
    assert recipe(num_images=2).build(pangea).changes == ("num_images 2",)
    hundred = [{"image/key": f"{number:04d}", "en": said("A dog.")} for number in range(100)]
    written = write_lines(tmp_path / "hundred.jsonl", hundred)
    assert recipe(captions=written).build(pangea).changes == ()
