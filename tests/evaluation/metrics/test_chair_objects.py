"""What COCO's photos show: from lists, from outlines, from human captions."""

import json
import os
from pathlib import Path

import pytest

from mblip.evaluation.metrics.chair import read_synonyms
from mblip.evaluation.metrics.chair_objects import (
    add_objects,
    objects_of,
    read_captioned_objects,
    read_instances,
    read_object_lists,
)

REAL = Path(os.environ.get("MBLIP_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))
CATEGORY_OF = {"person": "person", "man": "person", "dog": "dog", "tv": "tv", "table": "dining table"}


def write(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


@pytest.fixture
def instances(tmp_path):
    return write(
        tmp_path / "instances_val2014.json",
        {
            "images": [{"id": 139}, {"id": 285}],
            "annotations": [
                {"id": 1, "image_id": 139, "category_id": 1, "bbox": [0, 0, 1, 1]},
                {"id": 2, "image_id": 139, "category_id": 72},
                {"id": 3, "image_id": 139, "category_id": 1},
            ],
            "categories": [{"id": 1, "name": "person"}, {"id": 72, "name": "tv"}],
        },
    )


def test_lists_name_photos_of_any_release(tmp_path):
    path = tmp_path / "coco_ground_truth_segmentation.json"
    path.write_text(
        '{"image": "COCO_val2014_000000000139.jpg", "objects": ["person", "tv", "tv"]}\n'
        '{"image": "000000000285.jpg", "objects": []}\n'
    )
    objects = read_object_lists(path)
    assert objects == {139: {"person", "tv"}, 285: frozenset()}
    assert objects_of(objects, ["000000000285.jpg", "COCO_train2014_000000000139.jpg"]) == [set(), {"person", "tv"}]


def test_outlined_objects_are_read_also_where_there_are_none(instances):
    assert read_instances(instances, CATEGORY_OF) == {139: {"person", "tv"}, 285: frozenset()}


def test_a_category_that_the_list_does_not_know_is_an_error(instances):
    with pytest.raises(ValueError, match=r"categories\[1\]: `name` is 'tv', text, expected one of 'person'"):
        read_instances(instances, {"person": "person"})


def test_an_outline_of_an_unknown_category_is_an_error(tmp_path):
    path = write(
        tmp_path / "instances.json",
        {"images": [], "annotations": [{"image_id": 1, "category_id": 9}], "categories": [{"id": 1, "name": "dog"}]},
    )
    with pytest.raises(ValueError, match=r"annotations\[0\]: `category_id` is 9, a whole number, expected one of 1"):
        read_instances(path, CATEGORY_OF)


def test_what_captions_name_is_added_to_what_is_outlined(tmp_path, instances):
    pytest.importorskip("nltk", reason="nltk is not installed: `pip install mblip[eval]`")
    captions = write(
        tmp_path / "captions_val2014.json",
        {
            "images": [{"id": 139}, {"id": 285}],
            "annotations": [
                {"id": 1, "image_id": 139, "caption": "Two men at a table"},
                {"id": 2, "image_id": 139, "caption": "A living room"},
                {"id": 3, "image_id": 285, "caption": "a dog"},
            ],
        },
    )
    captioned = read_captioned_objects(captions, CATEGORY_OF)
    assert captioned == {139: {"person", "dining table"}, 285: {"dog"}}
    both = add_objects(read_instances(instances, CATEGORY_OF), captioned)
    assert both == {139: {"person", "tv", "dining table"}, 285: {"dog"}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"image": "000000000139.jpg"}', r"line 1: `objects` is missing or null"),
        (
            '{"image": "000000000139.jpg", "objects": [1]}',
            r"line 1: `objects\[0\]` is 1, a whole number, expected text",
        ),
        ('{"image": "139.png", "objects": []}', r"line 1: found the image '139\.png', expected a photo of COCO"),
        (
            2 * '{"image": "000000000139.jpg", "objects": []}\n',
            r"line 2: found the photo 000000000139\.jpg a second time",
        ),
    ],
)
def test_a_list_in_another_layout_is_an_error(line, message, tmp_path):
    path = tmp_path / "objects.jsonl"
    path.write_text(line)
    with pytest.raises(ValueError, match=message):
        read_object_lists(path)


def test_a_caption_of_a_photo_without_objects_is_an_error():
    with pytest.raises(ValueError, match=r"caption 1: found no objects of 000000000285\.jpg among those of 1 photos"):
        objects_of({139: frozenset()}, ["000000000139.jpg", "000000000285.jpg"])


@pytest.mark.skipif(
    not (REAL / "chair").is_dir() or not (REAL / "coco").is_dir(),
    reason="no sample of chair and coco: set MBLIP_DATA to a folder with chair/ and coco/",
)
def test_real_outlines_give_the_lists_made_from_them():
    lists = read_object_lists(REAL / "chair" / "objects.jsonl")
    category_of = read_synonyms(REAL / "chair" / "synonyms.txt")
    folder = REAL / "coco" / "annotations"
    outlined = {
        number: shown
        for split in ("train2017", "val2017")
        for number, shown in read_instances(folder / f"instances_{split}.json", category_of).items()
    }
    assert len(outlined) > 50
    assert {number: lists[number] for number in outlined} == outlined
