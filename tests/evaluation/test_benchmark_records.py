from pathlib import Path

import datasets
import pytest
from PIL import Image

from mblip.evaluation.records import DatasetLocation, check_one_location, image_of, images_in, records_of
from tests.data.sources.sample_data import write_lines

RECORDS = [{"image/key": "a", "en": {"caption": ["A dog."]}, "no": None}, {"image/key": "b", "en": None, "no": None}]
FEATURES = datasets.Features({"key": datasets.Value("string"), "image": datasets.Image()})


@pytest.fixture
def stored(tmp_path):
    """The records as a dataset on disk."""
    datasets.Dataset.from_list(RECORDS).save_to_disk(tmp_path / "stored")
    return str(tmp_path / "stored")


def with_images(folder, **columns):
    """A dataset on disk of one row, as it is read back."""
    datasets.Dataset.from_dict({column: [value] for column, value in columns.items()}).save_to_disk(folder)
    ((location, record),) = DatasetLocation(str(folder)).records()
    return record, location


def test_a_file_and_a_dataset_give_the_same_records_with_their_locations(tmp_path, stored):
    file = write_lines(tmp_path / "captions.jsonl", RECORDS)
    locations, records = zip(*records_of(file, None), strict=True)
    assert locations == (f"{file}, line 1", f"{file}, line 2")
    locations, rows = zip(*records_of(None, DatasetLocation(stored)), strict=True)
    assert locations == (f"{stored} (test), row 0", f"{stored} (test), row 1")
    assert list(rows) == list(records) == RECORDS


def test_a_dataset_is_read_in_the_split_and_the_language_asked_for(tmp_path):
    parts = {split: datasets.Dataset.from_list([{"text": split}]) for split in ("sw_test", "de_test")}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "parts")
    location = DatasetLocation(str(tmp_path / "parts"), split="{language}_test")
    assert [record for _, record in location.records("sw")] == [{"text": "sw_test"}]
    with pytest.raises(ValueError, match=r"cannot be loaded: it has no split 'fr_test', but sw_test, de_test"):
        list(location.records("fr"))
    location.check_is_by_language()
    with pytest.raises(ValueError, match=r"`dataset` names me/xvnli for every language.*Write \{language\} into its"):
        DatasetLocation("me/xvnli").check_is_by_language()


def test_a_recipe_names_a_file_or_a_dataset_and_not_both(tmp_path, stored):
    with pytest.raises(ValueError, match="Found neither files nor a dataset, expected one of the two"):
        records_of(None, None)
    with pytest.raises(ValueError, match=r"Found both .*x\.jsonl and the dataset me/captions, expected one"):
        check_one_location(tmp_path / "x.jsonl", DatasetLocation("me/captions"))


def test_images_of_a_dataset_come_encoded_or_by_their_path(tmp_path):
    file, table = tmp_path / "red.png", tmp_path / "rows.parquet"
    Image.new("RGB", (2, 2), "red").save(file)
    for cell in (file.read_bytes(), str(file)):
        datasets.Dataset.from_dict({"key": ["a"], "image": [cell]}, features=FEATURES).to_parquet(table)
        ((location, record),) = DatasetLocation(str(table), split="train").records()
        assert images_in(record, location=location) == ((cell,) if isinstance(cell, bytes) else (file,))


def test_several_images_come_in_their_order(tmp_path):
    record, location = with_images(tmp_path / "stored", images=[b"left", b"right"], image="left.jpg")
    assert images_in(record, location=location) == (b"left", b"right")


def test_a_record_of_a_file_holds_no_images():
    assert images_in({"image": "COCO_val2014_000000000139.jpg"}, location="here") == ()
    assert images_in({"image/key": "a"}, location="here") == ()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"image": 5}, "here: `image` holds 5, a whole number, expected an image"),
        ({"image": {"bytes": None, "path": None}}, "here: `image` holds an object of 2, expected an image"),
        ({"images": "left.jpg"}, r"here: `images` holds 'left\.jpg', text, expected an image"),
    ],
)
def test_a_cell_without_an_image_is_named(record, message):
    with pytest.raises(ValueError, match=message):
        images_in(record, location="here")


def test_the_image_of_a_record_is_inside_or_else_the_file():
    assert image_of({"image": b"inside"}, Path("a.jpg"), location="here", name="a.jpg") == b"inside"
    assert image_of({}, Path("a.jpg"), location="here", name="a.jpg") == Path("a.jpg")
    with pytest.raises(
        ValueError, match=r"here: found no image in the record\. Name the folder of .* with `coco_images`"
    ):
        image_of({}, None, location="here", name="a.jpg", field="coco_images")
    with pytest.raises(ValueError, match="here: found 2 images, expected one"):
        image_of({"images": [b"left", b"right"]}, None, location="here", name="a.jpg")
