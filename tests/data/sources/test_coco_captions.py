"""COCO's captions, official and of Karpathy's split, and its photos by any of their names."""

import json
import os
from pathlib import Path

import pytest

from mblip.data.prompts import apply_prompt
from mblip.data.skipped import SkipReport
from mblip.data.sources.coco_captions import coco_captions, karpathy_captions
from mblip.data.sources.coco_files import CocoLocations, CocoPhotos, photo_number

REAL = Path(os.environ.get("MBLIP_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "coco"
needs_real_data = pytest.mark.skipif(
    not (REAL / "annotations").is_dir(), reason="no COCO sample: set MBLIP_DATA to a folder with coco/"
)

OFFICIAL = {
    "info": {"year": 2017},
    "images": [{"id": 139, "file_name": "000000000139.jpg"}, {"id": 71, "file_name": "000000000071.jpg"}],
    "annotations": [
        {"image_id": 139, "id": 5, "caption": "A room  with\na television. "},
        {"image_id": 71, "id": 6, "caption": "A train."},
        {"image_id": 139, "id": 7, "caption": "A room."},
    ],
}
KARPATHY = {
    "images": [
        {"filepath": "train2014", "sentids": [8, 9], "filename": "COCO_train2014_000000000071.jpg", "imgid": 0,
         "split": "train", "cocoid": 71, "sentences": [{"tokens": ["a"], "raw": "A train. ", "imgid": 0, "sentid": 8},
                                                       {"tokens": ["a"], "raw": "Trains.", "imgid": 0, "sentid": 9}]},
        {"filepath": "val2014", "sentids": [1], "filename": "COCO_val2014_000000000139.jpg", "imgid": 1,
         "split": "restval", "cocoid": 139, "sentences": [{"tokens": [], "raw": "A room", "imgid": 1, "sentid": 1}]},
        {"filepath": "val2014", "sentids": [2], "filename": "COCO_val2014_000000000140.jpg", "imgid": 2,
         "split": "test", "cocoid": 140, "sentences": [{"tokens": [], "raw": "A test", "imgid": 2, "sentid": 2}]},
    ],
    "dataset": "coco",
}  # fmt: skip


def write(folder, content, name="captions.json"):
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.fixture
def photos(tmp_path):
    return touch(tmp_path / "photos", "val2017/000000000139.jpg", "COCO_train2014_000000000071.jpg", "read me.txt")


def find(images, number, **options):
    return CocoPhotos(images, missing="error", skipped=SkipReport()).find(
        number, location="here", example="x", **options
    )


def test_official_captions_come_in_the_order_of_the_file(tmp_path, photos):
    examples = list(coco_captions(0, path=write(tmp_path, OFFICIAL), images=photos))
    assert [(example.id, example.image_id, example.images[0], example.target) for example in examples] == [
        ("000000000139/5", "coco/000000000139", photos / "val2017/000000000139.jpg", "A room with a television."),
        ("000000000071/6", "coco/000000000071", photos / "COCO_train2014_000000000071.jpg", "A train."),
        ("000000000139/7", "coco/000000000139", photos / "val2017/000000000139.jpg", "A room."),
    ]  # fmt: skip
    assert {(example.language, example.task, example.prompt) for example in examples} == {("en", "captioning", "")}
    assert "English" in apply_prompt(examples[0], seed=0).prompt


def test_karpathys_splits_are_chosen(tmp_path, photos):
    path = write(tmp_path, KARPATHY)
    train = list(karpathy_captions(0, path=path, images=photos))
    assert [(example.id, example.image_id, example.target) for example in train] == [
        ("000000000071/karpathy-8", "coco/000000000071", "A train."),
        ("000000000071/karpathy-9", "coco/000000000071", "Trains."),
    ]
    both = karpathy_captions(0, path=path, images=photos, splits=["train", "restval"])
    assert [example.target for example in both] == ["A train.", "Trains.", "A room"]
    with pytest.raises(ValueError, match=r"Found the splits \['dev'\], expected some of train, restval, val, test"):
        list(karpathy_captions(0, path=path, images=photos, splits=["dev"]))


def test_a_photo_is_found_by_any_name_of_the_releases_in_a_folder_listed_once(tmp_path, monkeypatch):
    folder = touch(
        tmp_path, "000000000001.jpg", "a/val2014/COCO_val2014_000000000002.jpg", "train2017/000000000003.jpg"
    )
    photos = CocoPhotos(folder, missing="error", skipped=SkipReport())
    monkeypatch.setattr(os, "walk", None)
    assert [photos.find(number, location="here", example="x") for number in (1, 2, 3)] == [
        folder / "000000000001.jpg",
        folder / "a/val2014/COCO_val2014_000000000002.jpg",
        folder / "train2017/000000000003.jpg",
    ]


def test_of_two_files_of_a_photo_always_the_same_is_taken(tmp_path):
    touch(tmp_path, "val2017/000000000139.jpg", "train2014/COCO_train2014_000000000139.jpg")
    assert find(tmp_path, 139) == tmp_path / "train2014/COCO_train2014_000000000139.jpg"


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ("https://example.org/train2017", "https://example.org/train2017/000000000139.jpg"),
        ("https://example.org/val2014/", "https://example.org/val2014/COCO_val2014_000000000139.jpg"),
        ("zip://train2014::/d/train2014.zip", "zip://train2014/COCO_train2014_000000000139.jpg::/d/train2014.zip"),
        ("https://example.org", "https://example.org/val2014/COCO_val2014_000000000139.jpg"),
        ("zip://::/d/coco.zip", "zip://val2014/COCO_val2014_000000000139.jpg::/d/coco.zip"),
    ],
)
def test_at_a_url_or_in_an_archive_the_name_is_that_of_the_release_or_of_the_record(images, expected):
    assert find(images, 139, file_name="val2014/COCO_val2014_000000000139.jpg") == expected


def test_a_number_alone_does_not_tell_the_name_at_a_url_that_is_no_release():
    with pytest.raises(ValueError, match=r"here names a photo by the image id 139 alone, and https://example\.org"):
        find("https://example.org", 139)


def test_a_missing_photo_would_lie_in_the_folder_under_the_name_of_its_record(tmp_path, photos):
    locations = CocoLocations(photos)
    assert (locations.holds(139), locations.holds(140)) == (True, False)
    assert locations.find(139, location="here", file_name="x.jpg") == photos / "val2017/000000000139.jpg"
    assert locations.find(140, location="here", file_name="val2014/x.jpg") == photos / "val2014/x.jpg"
    assert locations.find(140, location="here") == photos / "000000000140.jpg"
    assert CocoLocations(tmp_path / "none").find(7, location="here") == tmp_path / "none/000000000007.jpg"
    assert (
        CocoLocations("https://example.org/val2017").find(7, location="")
        == "https://example.org/val2017/000000000007.jpg"
    )


def test_a_missing_photo_is_an_error_that_names_id_and_folder_or_is_counted(tmp_path, photos):
    (photos / "val2017/000000000139.jpg").unlink()
    path = write(tmp_path, OFFICIAL)
    with pytest.raises(
        ValueError, match=rf"captions\.json, annotations\[0\]: there is no photo of the image id 139 in {photos}, such"
    ):
        list(coco_captions(0, path=path, images=photos))
    skipped = SkipReport()
    assert [example.id for example in coco_captions(0, skipped, path=path, images=photos, missing="count")] == [
        "000000000071/6"
    ]
    assert skipped.counts == {"no photo of the image id": 2}
    assert skipped.names["no photo of the image id"][0] == "coco_captions/000000000139/5"
    with pytest.raises(ValueError, match="Found missing='skip', expected 'error' or 'count'"):
        list(coco_captions(0, path=path, images=photos, missing="skip"))


def test_a_folder_without_photos_of_coco_is_an_error(tmp_path):
    touch(tmp_path / "photos", "dog.jpg", "1.jpg")
    for folder in ("photos", "gone"):
        with pytest.raises(ValueError, match=rf"{folder} is not a folder with photos of COCO, expected files such as"):
            find(tmp_path / folder, 139)


def test_an_empty_caption_is_counted(tmp_path, photos):
    skipped = SkipReport()
    empty = OFFICIAL | {"annotations": [{"image_id": 139, "id": 5, "caption": "\n"}]}
    assert list(coco_captions(0, skipped, path=write(tmp_path, empty), images=photos)) == []
    assert skipped.names == {"empty text": ["coco_captions/000000000139/5"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (OFFICIAL | {"images": [{"id": 71, "file_name": "x"}]},
         r"annotations\[0\]: found the image id 139, which is not among the 1 "),
        (OFFICIAL | {"annotations": [{"image_id": "139", "id": 5, "caption": "A room."}]},
         r"annotations\[0\]: `image_id` is '139', text, expected a whole number"),
        (OFFICIAL | {"images": [{"id": 139}]}, r"images\[0\]: `file_name` is missing"),
        ({"images": []}, "there is no key 'annotations', found 'images'"),
    ],
)  # fmt: skip
def test_an_official_file_that_is_not_as_published_names_the_record(tmp_path, photos, content, message):
    with pytest.raises(ValueError, match=rf"captions\.json[:,] {message}"):
        list(coco_captions(0, path=write(tmp_path, content), images=photos))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("split", "trian", r"images\[0\]: `split` is 'trian', text, expected one of 'train', 'restval'"),
        ("sentences", [{"raw": "A train"}], r"images\[0\], sentences\[0\]: `sentid` is missing"),
        ("sentences", "A train", r"images\[0\]: `sentences` is 'A train', text, expected a list of objects"),
        ("cocoid", None, r"images\[0\]: `cocoid` is missing"),
    ],
)
def test_a_karpathy_file_that_is_not_as_published_names_the_record(tmp_path, photos, field, value, message):
    content = {"images": [KARPATHY["images"][0] | {field: value}]}
    with pytest.raises(ValueError, match=rf"captions\.json, {message}"):
        list(karpathy_captions(0, path=write(tmp_path, content), images=photos))


@pytest.mark.parametrize(
    "name", ["000000000139.jpg", "COCO_val2014_000000000139.jpg", "coco/train2017/000000000139.jpg"]
)
def test_a_photo_has_a_number_in_its_name(name):
    assert photo_number(name, location="here") == 139
    with pytest.raises(ValueError, match=r"here: found the image '2375429\.jpg', expected a photo of COCO such as"):
        photo_number("2375429.jpg", location="here")


@needs_real_data
@pytest.mark.parametrize(("name", "num_captions", "num_photos"), [("val2017", 2036, 107), ("train2017", 125, 25)])
def test_published_captions_have_their_photos(name, num_captions, num_photos):
    skipped = SkipReport()
    path = REAL / "annotations" / f"captions_{name}.json"
    examples = list(coco_captions(0, skipped, path=path, images=REAL / "images", missing="count"))
    assert len(examples) + skipped.counts["no photo of the image id"] == num_captions
    assert len({example.image_id for example in examples}) == num_photos
    assert len({example.id for example in examples}) == len(examples)
    assert all(example.images[0].is_file() for example in examples)
