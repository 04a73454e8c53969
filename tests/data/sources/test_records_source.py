"""Records of published files: what is taken, and how the error for anything else is worded."""

import gzip
from pathlib import Path

import pytest

from mblip.data.sources.image_names import coco_image_id, image_location, join_image_ids, url_image_id
from mblip.data.sources.records import TextRow, check_choice, check_record, read_json_lines, read_json_object

FIELDS = {"id": str | int, "label": dict[str, float], "sentences": list[str], "directory": int | None}
RECORD = {"id": 7, "label": {"red": 1}, "sentences": ["a", "b"], "directory": 3, "other": []}


def test_the_fields_asked_for_come_and_no_others():
    assert check_record(RECORD, FIELDS, location="here") == {
        "id": 7,
        "label": {"red": 1},
        "sentences": ["a", "b"],
        "directory": 3,
    }


def test_a_field_that_may_be_missing_comes_as_none():
    assert check_record({}, {"directory": int | None}, location="here") == {"directory": None}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([], r"here: found a list of 0, expected an object with `id`, `label`, `sentences`, `directory`"),
        ({"id": 1, "sentences": []}, r"here: `label` is missing or null, expected an object of numbers\. "
         r"Found the fields `id`, `sentences`"),
        (RECORD | {"id": None}, "here: `id` is missing or null, expected text or a whole number"),
        (RECORD | {"id": True}, "here: `id` is True, true or false, expected text or a whole number"),
        (RECORD | {"directory": "3"}, "here: `directory` is '3', text, expected a whole number"),
        (RECORD | {"sentences": "a"}, "here: `sentences` is 'a', text, expected a list of text"),
        (RECORD | {"sentences": ["a", 2]}, r"here: `sentences\[1\]` is 2, a whole number, expected text"),
        (RECORD | {"label": {"red": "1"}}, r"here: `label\['red'\]` is '1', text, expected a number"),
        (RECORD | {"label": ["red"]}, "here: `label` is a list of 1, expected an object of numbers"),
    ],
)  # fmt: skip
def test_a_wrong_record_is_named_with_location_field_found_and_expected(record, message):
    with pytest.raises(ValueError, match=message):
        check_record(record, FIELDS, location="here")


def test_numbers_come_from_texts_alone_where_a_field_asks_for_them():
    fields = {"id": int, "text": str, "size": int | None, "either": str | int}
    row = TextRow(id="-07", text="7", size="", either="7")
    assert check_record(row, fields, location="here") == {"id": -7, "text": "7", "size": None, "either": "7"}
    with pytest.raises(ValueError, match=r"here: `id` is '7\.0', text, expected a whole number"):
        check_record(TextRow(id="7.0"), {"id": int}, location="here")


def test_a_long_text_is_cut_in_the_error():
    with pytest.raises(ValueError, match=r"here: `id` is 'a{59}\.\.\., text, expected a whole number"):
        check_record({"id": "a" * 500}, {"id": int}, location="here")


@pytest.mark.parametrize("label", ["Yes", ["True"], True])
def test_a_label_is_one_of_the_choices(label):
    assert check_choice("True", {"True": "yes", "False": "no"}, location="here", field="label") == "yes"
    with pytest.raises(ValueError, match=r"here: `label` is .*, expected one of 'True', 'False'"):
        check_choice(label, {"True": "yes", "False": "no"}, location="here", field="label")


def test_lines_end_at_a_line_feed_alone_and_are_numbered_from_1(tmp_path):
    path = tmp_path / "some.jsonl"
    path.write_bytes('\ufeff{"a": "one\u2028line\x85"}\r\n\n["b"]'.encode())
    assert list(read_json_lines(path)) == [(f"{path}, line 1", {"a": "one\u2028line\x85"}), (f"{path}, line 3", ["b"])]


def test_packed_files_are_read_as_plain_ones(tmp_path):
    path = tmp_path / "some.jsonl.gz"
    path.write_bytes(gzip.compress(b"[1]\n[2]\n"))
    assert [value for _, value in read_json_lines(path)] == [[1], [2]]
    path = tmp_path / "some.json.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}'))
    assert read_json_object(path) == {"a": 1}


@pytest.mark.parametrize("line", [b'{"a": ', b'{"a": "\xff"}'])
def test_a_line_that_is_no_json_is_named(tmp_path, line):
    path = tmp_path / "some.jsonl"
    path.write_bytes(b"[1]\n" + line)
    with pytest.raises(ValueError, match=r"some\.jsonl, line 2 is not JSON in UTF-8: "):
        list(read_json_lines(path))
    with pytest.raises(ValueError, match=r"There is no file .*gone\.jsonl"):
        list(read_json_lines(tmp_path / "gone.jsonl"))


def test_a_file_that_holds_no_object_is_an_error(tmp_path):
    path = tmp_path / "some.json"
    path.write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"some\.json: found a list of 2, expected an object"):
        read_json_object(path)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (Path("/data"), Path("/data/52-火锅/a b.jpg")),
        ("data", Path("data/52-火锅/a b.jpg")),
        ("https://example.org/x/", "https://example.org/x/52-%E7%81%AB%E9%94%85/a%20b.jpg"),
        ("s3://bucket/x", "s3://bucket/x/52-火锅/a b.jpg"),
        ("zip://::/data/x.zip", "zip://52-火锅/a b.jpg::/data/x.zip"),
        ("tar://in/here::https://example.org/x.tar", "tar://in/here/52-火锅/a b.jpg::https://example.org/x.tar"),
    ],
)
def test_an_image_lies_in_a_folder_at_a_url_or_in_an_archive(images, expected):
    assert image_location(images, "52-火锅/a b.jpg", location="here") == expected


@pytest.mark.parametrize("name", ["", "/etc/passwd", "a/../../b.jpg"])
def test_a_name_that_leads_out_of_the_folder_is_an_error(name):
    with pytest.raises(ValueError, match=r"here: found the image name .*, expected the name of a file below data"):
        image_location("data", name, location="here")


def test_an_image_has_one_name_across_sources():
    assert coco_image_id(139) == "coco/000000000139"
    assert join_image_ids("a/1", "a/2") == "a/1+a/2"
    assert url_image_id("https://example.org/ä.jpg") == "url/a8bee7bb916fb13997ce38f10a16ee9936566696"
