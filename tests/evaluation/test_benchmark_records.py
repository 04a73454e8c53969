from pathlib import Path

import datasets
import pytest
from PIL import Image

from mblip.evaluation.records import DatasetPlace, check_one_place, image_of, pictures_in, records_of
from tests.data.sources.sample_data import write_lines

RECORDS = [{"image/key": "a", "en": {"caption": ["A dog."]}, "no": None}, {"image/key": "b", "en": None, "no": None}]
FEATURES = datasets.Features({"key": datasets.Value("string"), "image": datasets.Image()})


@pytest.fixture
def stored(tmp_path):
    """The records as a dataset on disk."""
    datasets.Dataset.from_list(RECORDS).save_to_disk(tmp_path / "stored")
    return str(tmp_path / "stored")


def with_pictures(folder, **columns):
    """A dataset on disk of one row, as it is read back."""
    datasets.Dataset.from_dict({column: [value] for column, value in columns.items()}).save_to_disk(folder)
    ((place, record),) = DatasetPlace(str(folder)).records()
    return record, place


def test_a_file_and_a_dataset_give_the_same_records_with_their_places(tmp_path, stored):
    file = write_lines(tmp_path / "captions.jsonl", RECORDS)
    places, records = zip(*records_of(file, None), strict=True)
    assert places == (f"{file}, line 1", f"{file}, line 2")
    places, rows = zip(*records_of(None, DatasetPlace(stored)), strict=True)
    assert places == (f"{stored} (test), row 0", f"{stored} (test), row 1")
    assert list(rows) == list(records) == RECORDS


def test_a_dataset_is_read_in_the_split_and_the_language_asked_for(tmp_path):
    parts = {split: datasets.Dataset.from_list([{"text": split}]) for split in ("sw_test", "de_test")}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "parts")
    place = DatasetPlace(str(tmp_path / "parts"), split="{language}_test")
    assert [record for _, record in place.records("sw")] == [{"text": "sw_test"}]
    with pytest.raises(ValueError, match=r"cannot be loaded: it has no split 'fr_test', but sw_test, de_test"):
        list(place.records("fr"))
    place.check_is_by_language()
    with pytest.raises(ValueError, match=r"`dataset` names me/xvnli for every language.*Write \{language\} into its"):
        DatasetPlace("me/xvnli").check_is_by_language()


def test_a_recipe_names_a_file_or_a_dataset_and_not_both(tmp_path, stored):
    with pytest.raises(ValueError, match="Found neither files nor a dataset, expected one of the two"):
        records_of(None, None)
    with pytest.raises(ValueError, match=r"Found both .*x\.jsonl and the dataset me/captions, expected one"):
        check_one_place(tmp_path / "x.jsonl", DatasetPlace("me/captions"))


def test_pictures_of_a_dataset_come_encoded_or_by_their_path(tmp_path):
    file, table = tmp_path / "red.png", tmp_path / "rows.parquet"
    Image.new("RGB", (2, 2), "red").save(file)
    for cell in (file.read_bytes(), str(file)):
        datasets.Dataset.from_dict({"key": ["a"], "image": [cell]}, features=FEATURES).to_parquet(table)
        ((place, record),) = DatasetPlace(str(table), split="train").records()
        assert pictures_in(record, place=place) == ((cell,) if isinstance(cell, bytes) else (file,))


def test_several_pictures_come_in_their_order(tmp_path):
    record, place = with_pictures(tmp_path / "stored", images=[b"left", b"right"], image="left.jpg")
    assert pictures_in(record, place=place) == (b"left", b"right")


def test_a_record_of_a_file_holds_no_pictures():
    assert pictures_in({"image": "COCO_val2014_000000000139.jpg"}, place="here") == ()
    assert pictures_in({"image/key": "a"}, place="here") == ()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"image": 5}, "here: `image` holds 5, a whole number, expected a picture"),
        ({"image": {"bytes": None, "path": None}}, "here: `image` holds an object of 2, expected a picture"),
        ({"images": "left.jpg"}, r"here: `images` is 'left\.jpg', text, expected a list of pictures"),
    ],
)
def test_a_cell_without_a_picture_is_named(record, message):
    with pytest.raises(ValueError, match=message):
        pictures_in(record, place="here")


def test_the_picture_of_a_record_is_inside_or_else_the_file():
    assert image_of({"image": b"inside"}, Path("a.jpg"), place="here", name="a.jpg") == b"inside"
    assert image_of({}, Path("a.jpg"), place="here", name="a.jpg") == Path("a.jpg")
    with pytest.raises(ValueError, match=r"here: there is no picture in the record\. Say with `coco_images` where a"):
        image_of({}, None, place="here", name="a.jpg", field="coco_images")
    with pytest.raises(ValueError, match="here: found 2 pictures, expected one"):
        image_of({"images": [b"left", b"right"]}, None, place="here", name="a.jpg")
