"""JSON arrays as a stream: the values of `json.load`, wherever the pieces are cut, and errors that name a byte."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mblip.data import json_stream
from mblip.data.json_stream import iter_json_array

ELEMENTS = [
    {"caption": "ein Hündchen 🐶 \"quoted\" \\ \n", "id": -1234567, "nested": {"a": [], "b": [{}, [1.5e-7]]}},
    "texte",
    1234567890,
    -2.5,
    True,
    False,
    None,
    [],
    {},
]  # fmt: skip


def write(folder, text, name="some.json"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("num_bytes", [1, 2, 3, 5, 7, 64])
@pytest.mark.parametrize("options", [{}, {"ensure_ascii": False}, {"indent": 3, "ensure_ascii": False}])
def test_the_elements_are_those_of_the_whole_file_wherever_its_pieces_end(monkeypatch, tmp_path, num_bytes, options):
    monkeypatch.setattr(json_stream, "PIECE_BYTES", num_bytes)
    path = write(tmp_path, "\n " + json.dumps(ELEMENTS, **options) + " \n")
    assert list(iter_json_array(path)) == ELEMENTS


@pytest.mark.parametrize("num_bytes", [1, 4, 1000])
def test_the_array_may_stand_behind_a_key(monkeypatch, tmp_path, num_bytes):
    monkeypatch.setattr(json_stream, "PIECE_BYTES", num_bytes)
    content = {"info": {"annotations": [0]}, "images": ELEMENTS, "n": 7, "annotations": [1, 2], "licenses": []}
    path = write(tmp_path, json.dumps(content))
    assert list(iter_json_array(path, key="annotations")) == [1, 2]
    assert list(iter_json_array(path, key="images")) == ELEMENTS
    assert list(iter_json_array(path, key="licenses")) == []


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path):
    (tmp_path / "array.json").write_text("[1, 2]", encoding="utf-8-sig")
    assert list(iter_json_array(tmp_path / "array.json")) == [1, 2]


def test_a_packed_file_is_read_as_a_plain_one(tmp_path):
    path = write(tmp_path, gzip.compress(json.dumps(ELEMENTS).encode()), "some.json.gz")
    assert list(iter_json_array(path)) == ELEMENTS
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"some\.json\.gz is not a complete gzip file"):
        list(iter_json_array(path))
    write(tmp_path, b"[1]", "some.json.gz")
    with pytest.raises(ValueError, match=r"some\.json\.gz is not a complete gzip file"):
        list(iter_json_array(path))


@pytest.mark.parametrize("num_bytes", [1, 8, 1000])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"byte 0: found the end of the file, expected \["),
        (" {}", r"byte 1: found '{', expected \["),
        ("[1, 2", r"byte 5: found the end of the file, expected , or \]"),
        ("[1, 2 3]", r"byte 6: found '3', expected , or \]"),
        ("[1, 2,]", "byte 6: Expecting value"),
        ('["ü", {"a": tru}]', "byte 13: Expecting value"),
        ('["ü", {"a" 1}, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]', "byte 12: Expecting ':' delimiter"),
        ('["ü", "abc', "byte 7: Unterminated string"),
        ("[1, 2] [3]", r"byte 7: found '\[', expected the end of the file"),
        (b'["\xc3\xbc", "\xff"]', "byte 8: not UTF-8"),
        (b'["\xc3', "byte 2: not UTF-8 .unexpected end of data"),
        ("[" * 100_000, "byte 1: the value is nested too deeply"),
    ],
)
def test_an_error_names_the_byte(monkeypatch, tmp_path, num_bytes, text, message):
    monkeypatch.setattr(json_stream, "PIECE_BYTES", num_bytes)
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=rf"some\.json, {message}"):
        list(iter_json_array(path))


def test_what_comes_before_a_cut_off_end_is_read(tmp_path):
    elements = iter_json_array(write(tmp_path, '[{"a": 1}, {"a": '))
    assert next(elements) == {"a": 1}
    with pytest.raises(ValueError, match=r"some\.json, byte 17: "):
        next(elements)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"info": 1, "images": []}', "there is no key 'annotations', found 'info', 'images'. Is this the right"),
        ("{}", "there is no key 'annotations', found none"),
        ("[]", "byte 0: found '.', expected {"),
        ('{"annotations": {}}', r"byte 16: found '{', expected \["),
        ('{"info": 1 "annotations": []}', "byte 11: found '\"', expected ,"),
        ("{1: 2}", "byte 1: found '1', expected \""),
        ('{"info": 1', "byte 10: found the end of the file, expected ,"),
    ],
)
def test_a_file_without_the_key_says_what_it_has(tmp_path, text, message):
    with pytest.raises(ValueError, match=rf"some\.json[:,] {message}"):
        list(iter_json_array(write(tmp_path, text), key="annotations"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    for gone in (tmp_path / "gone.json", tmp_path / "gone.json.gz", tmp_path):
        with pytest.raises(ValueError, match=f"There is no file {gone}"):
            list(iter_json_array(gone))


MEASURE = """
import resource, sys
from mblip.data.json_stream import iter_json_array
next(iter_json_array(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(1 for _ in iter_json_array(sys.argv[1]))
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "large.json"
    record = json.dumps({"context": "Caption in German: ", "label": "ein Hündchen " * 10, "image_id": "1.jpg"})
    with path.open("w") as file:
        file.write("[" + record)
        for _ in range(999_999):
            file.write(", " + record)
        file.write("]")
    assert path.stat().st_size > 200_000_000
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", MEASURE, path], cwd=root, capture_output=True, text=True, check=True)
    count, growth_kilobytes = map(int, run.stdout.split())
    assert count == 1_000_000
    assert growth_kilobytes < 20_000
