"""Anybody's own data: folders with a table and datasets, what is taken from a row, and what is refused."""

import gzip
import io
import json
from pathlib import Path

import datasets
import pytest
from PIL import Image

from mblip.data.example import Example, rows_to_dataset, to_rows
from mblip.data.prompts import TASKS, apply_prompt
from mblip.data.skipped import SkipReport
from mblip.data.sources.dataset_rows import read_rows
from mblip.data.sources.image_names import url_image_id
from mblip.data.sources.own import own_dataset, own_folder
from mblip.data.sources.own_rows import ALL_INPUTS, Columns, OwnRows
from tests.data.sources.sample_data import write_lines

ROWS = [
    {"file_name": "a.png", "text": "ein Hund", "lang": "de"},
    {"file_name": "in/b.png", "text": "a dog ", "lang": "en"},
]
COLUMNS = Columns(target="text", language="lang")
FEATURES = datasets.Features({"photo": datasets.Image(), "text": datasets.Value("string")})


@pytest.fixture
def folder(tmp_path):
    """A folder with two photos, of which one lies in a folder in it."""
    photos = tmp_path / "photos"
    (photos / "in").mkdir(parents=True)
    Image.new("RGB", (8, 8), "red").save(photos / "a.png")
    Image.new("RGB", (8, 8), "blue").save(photos / "in" / "b.png")
    return photos


def png(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, format="PNG")
    return buffer.getvalue()


def write_table(folder, kind, rows):
    """Rows as metadata of a kind."""
    path = folder / f"metadata.{kind}"
    if kind == "jsonl":
        write_lines(path, rows)
    elif kind == "csv":
        lines = [",".join(rows[0]), *(",".join(f'"{value}"' for value in row.values()) for row in rows)]
        path.write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8")
    else:
        datasets.Dataset.from_list(rows).to_parquet(path)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_folder_with_a_table_becomes_examples(folder, kind):
    write_table(folder, kind, ROWS)
    shared = {"prompt": "", "task": "captioning", "source": "own/photos"}
    assert list(own_folder(0, path=folder, task="captioning", columns=COLUMNS)) == [
        Example(
            images=(folder / "a.png",),
            target="ein Hund",
            language="de",
            id="0",
            image_id="own/photos/a.png",
            **shared,
        ),
        Example(
            images=(folder / "in/b.png",),
            target="a dog",
            language="en",
            id="1",
            image_id="own/photos/in/b.png",
            **shared,
        ),
    ]


def test_a_folder_is_read_as_datasets_reads_it(folder):
    write_table(folder, "jsonl", ROWS)
    ours = list(own_folder(0, path=folder, task="captioning", columns=COLUMNS, name="mine"))
    theirs = list(own_dataset(0, path=folder, task="captioning", columns=COLUMNS, name="mine"))
    assert [(e.target, e.language, e.images, e.image_id) for e in ours] == [
        (e.target, e.language, tuple(map(Path, e.images)), e.image_id) for e in theirs
    ]


def test_ids_may_be_mapped_and_the_source_named(folder):
    write_table(folder, "jsonl", [row | {"key": key} for row, key in zip(ROWS, ("x", 7), strict=True)])
    columns = Columns(target="text", id="key")
    examples = list(own_folder(0, path=folder, task="captioning", columns=columns, language="de", name="mine"))
    assert [(e.source, e.id, e.language) for e in examples] == [("own/mine", "x", "de"), ("own/mine", "7", "de")]


def test_inputs_of_the_task_are_taken_from_the_columns_mapped(folder):
    write_table(folder, "jsonl", [{"file_name": "a.png", "q": "Was ist das? ", "a": "ein Hund"}])
    columns = Columns(target="a", question="q")
    (example,) = own_folder(0, path=folder, task="vqa", columns=columns, language="de")
    assert (example.inputs, example.target) == ({"question": "Was ist das?"}, "ein Hund")
    assert "Was ist das?" in apply_prompt(example, seed=0).prompt


def test_every_input_of_every_task_can_be_mapped():
    assert {name for task in TASKS.values() for name in task.inputs} == ALL_INPUTS


def test_two_images_come_from_two_columns_or_from_a_list(folder):
    row = {"left": "a.png", "right": "in/b.png", "both": ["a.png", "in/b.png"], "s": "Same?", "text": "no"}
    write_table(folder, "jsonl", [row])
    for columns in (
        Columns(target="text", image="left", second_image="right", statement="s"),
        Columns(target="text", image="both", statement="s"),
    ):
        (example,) = own_folder(0, path=folder, task="two_image_statement", columns=columns, language="en")
        assert example.images == (folder / "a.png", folder / "in/b.png")
        assert example.image_id == "own/photos/a.png+own/photos/in/b.png"


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            "a.png",
            r"mapped as `image`, holds 1 image\(s\) of the row, expected two, as two_image_statement requires",
        ),
        ([], "mapped as `image`, holds an empty list, expected an image or a list of them"),
    ],
)
def test_a_row_with_too_few_images_is_named(folder, image, message):
    write_table(folder, "jsonl", [{"file_name": image, "s": "Same?", "text": "no"}])
    columns = Columns(target="text", statement="s")
    with pytest.raises(ValueError, match=message):
        list(own_folder(0, path=folder, task="two_image_statement", columns=columns, language="en"))


def test_a_url_that_holds_half_a_character_is_skipped_by_name(folder):
    lines = (json.dumps({"file_name": name, "text": "a dog"}) for name in ("https://example.org/\ud800.png", "a.png"))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    skipped = SkipReport()
    columns = Columns(target="text")
    (example,) = own_folder(0, skipped, path=folder, task="captioning", columns=columns, language="en")
    assert example.images == (folder / "a.png",)
    assert skipped.names == {"half a character in the text": ["own/photos/0"]}


def test_no_id_tells_where_files_lie(folder, tmp_path):
    png_inside, png_elsewhere = folder / "in/b.png", tmp_path / "c.png"
    names = [str(png_inside), str(png_elsewhere), f"zip://a.png::{folder}/x.zip", f"zip://a.png::{tmp_path}/x.zip"]
    path = write_lines(tmp_path / "rows.jsonl", [{"image": name, "text": "a dog"} for name in names])
    columns = Columns(target="text")
    examples = list(own_dataset(0, path=path, task="captioning", columns=columns, language="en", images=str(folder)))
    assert [str(example.images[0]) for example in examples] == names
    image_ids = [example.image_id for example in examples]
    assert len(set(image_ids)) == 4
    assert not any(str(tmp_path) in image_id for image_id in image_ids)
    assert image_ids[::2] == ["own/rows.jsonl/in/b.png", "own/rows.jsonl/zip://a.png::x.zip"]


def test_empty_texts_are_skipped_by_name_and_move_no_id(folder):
    rows = [
        {"file_name": "a.png", "text": text, "q": q} for text, q in (("", "x"), (None, "x"), ("y", ""), ("y", "x"))
    ]
    write_table(folder, "jsonl", rows)
    skipped = SkipReport()
    columns = Columns(target="text", question="q")
    (example,) = own_folder(0, skipped, path=folder, task="vqa", columns=columns, language="en")
    assert example.id == "3"
    assert skipped.names == {"empty text": ["own/photos/0", "own/photos/1", "own/photos/2"]}


@pytest.mark.parametrize(
    ("changes", "columns", "message"),
    [
        (
            {},
            Columns(target="caption", language="lang"),
            r"metadata\.jsonl, line 1: there is no column `caption`, mapped as `target`\. "
            r"The columns are `file_name`, `text`, `lang`",
        ),
        (
            {"text": ["a"]},
            COLUMNS,
            r"jsonl, line 2: the column `text`, mapped as `target`, holds a list of 1, expected text\. The c",
        ),
        ({"lang": "he"}, COLUMNS, r"line 2, column `lang`: Found the language 'he'.*Nearest: `iw` \(Hebrew\)"),
        ({"lang": False}, COLUMNS, r"line 2, column `lang`: Found the language False.*Norwegian"),
        (
            {"file_name": ""},
            COLUMNS,
            r"line 2: the column `file_name`, mapped as `image`, holds '', text, expected an i",
        ),
        (
            {"file_name": 5},
            COLUMNS,
            r"`file_name`, mapped as `image`, holds 5, a whole number, expected an image: PIL",
        ),
        (
            {"file_name": "gone.png"},
            COLUMNS,
            r"images are missing in 1 of 2 rows\. Example '1' of 'own/photos' shows .*gone\.png, but there is no such",
        ),
        (
            {"file_name": "../x.png"},
            COLUMNS,
            r"line 2: found the image name '\.\./x\.png', expected the name of a file",
        ),
        ({"text": "no"}, Columns(target="text", language="lang", id="n"), r"there is no column `n`, mapped as `id`"),
        (
            {"text": "ein Hund"},
            Columns(target="text", language="lang", id="text"),
            r"line 2: the column `text`, mapped as `id`, holds 'ein Hund' a second time, expected a unique id",
        ),
    ],
)
def test_a_row_that_cannot_be_used_is_named_with_its_columns(folder, changes, columns, message):
    write_table(folder, "jsonl", [ROWS[0], ROWS[1] | changes])
    with pytest.raises(ValueError, match=message):
        list(own_folder(0, path=folder, task="captioning", columns=columns))


@pytest.mark.parametrize(
    ("task", "columns", "language", "message"),
    [
        ("captions", COLUMNS, None, "Found the task 'captions', expected one of captioning, vqa"),
        ("vqa", COLUMNS, None, r"The task 'vqa' takes the inputs \['question'\], but the columns map none"),
        (
            "captioning",
            Columns(target="text", question="text"),
            "de",
            r"The task 'captioning' takes the inputs none, but the columns map \['question'\]",
        ),
        ("captioning", Columns(target="text"), None, "Found neither of `language` and a column of languages"),
        ("captioning", COLUMNS, "de", "Found both of `language` and a column of languages"),
        ("captioning", Columns(target="text"), "xx", "Found the language 'xx'"),
    ],
)
def test_columns_that_do_not_fit_the_task_are_an_error(folder, task, columns, language, message):
    write_table(folder, "jsonl", ROWS)
    with pytest.raises(ValueError, match=message):
        list(own_folder(0, path=folder, task=task, columns=columns, language=language))
    with pytest.raises(ValueError, match=message):
        own_dataset(0, path=folder, task=task, columns=columns, language=language)


def test_a_missing_folder_is_named(tmp_path):
    message = rf"^There is no folder {tmp_path}/gone\. Paths are relative to the working directory, "
    with pytest.raises(ValueError, match=message):
        list(own_folder(0, path=tmp_path / "gone", task="captioning", columns=COLUMNS))


def test_a_folder_needs_one_table(folder):
    with pytest.raises(ValueError, match=r"photos: found none, expected one of metadata\.jsonl, metadata\.csv"):
        list(own_folder(0, path=folder, task="captioning", columns=COLUMNS))
    for kind in ("csv", "parquet"):
        write_table(folder, kind, ROWS)
    with pytest.raises(ValueError, match=r"photos: found metadata\.csv and metadata\.parquet, expected one"):
        list(own_folder(0, path=folder, task="captioning", columns=COLUMNS))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metadata.csv", b"file_name,text\na.png\n", r"metadata\.csv, line 2: expected 2 cells, as in the first line"),
        ("metadata.csv", b"file_name,text\na.png,x,y\n", r"metadata\.csv, line 2: expected 2 cells"),
        (
            "metadata.csv",
            b"file_name,text\na.png,\xff\n",
            r"metadata\.csv is damaged or not a table of its kind: .*0xff",
        ),
        ("metadata.parquet", b"PAR1", r"metadata\.parquet is damaged or not a table of its kind"),
        ("metadata.jsonl", b"[]\n", r"metadata\.jsonl, line 1: expected an object"),
    ],
)
def test_a_broken_table_is_named(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list(own_folder(0, path=folder, task="captioning", columns=Columns(target="text"), language="en"))


TEXTS = ["NA", "None", "null", "nan", "n/a", "1", "001", "1.0", "1e5", "1.50", "True", "false", "2020-01-01", "-inf"]
NUMBERS = ["1.0", "1e5", "1.50", "2", "-7", "123456789012345678901234567890"]


def read_by(source, path, columns):
    """The examples of a table by `own_folder`, or by `own_dataset`, whole or streaming."""
    arguments = {"task": "captioning", "columns": columns, "language": "en"}
    if source == "own_folder":
        return list(own_folder(0, path=path.parent, **arguments))
    return list(own_dataset(0, path=path, **arguments, streaming=source == "streaming"))


@pytest.mark.parametrize("source", ["own_folder", "own_dataset", "streaming"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_texts_that_look_like_numbers_dates_or_nothing_are_texts(folder, source, kind):
    path = write_table(folder, kind, [{"file_name": "a.png", "text": text, "key": text} for text in TEXTS])
    found = read_by(source, path, Columns(target="text", image="file_name", id="key"))
    prefix = "" if source == "own_folder" else "train/"
    assert [(e.target, e.id) for e in found] == [(text, prefix + text) for text in TEXTS]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "in split/metadata.csv"])
def test_the_texts_of_a_folder_are_those_of_its_table(folder, kind):
    name = kind if "/" in kind else f"metadata.{kind}"
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / "a.png").rename((folder / name).parent / "b.png")
    if kind == "jsonl":
        write_lines(folder / name, [{"file_name": "b.png", "text": text} for text in TEXTS])
    else:
        (folder / name).write_text("file_name,text\n" + "".join(f"b.png,{text}\n" for text in TEXTS))
    found = list(own_dataset(0, path=folder, task="captioning", columns=Columns(target="text"), language="en"))
    assert [example.target for example in found] == TEXTS
    assert {example.images for example in found} == {((folder / name).parent / "b.png",)}


def test_texts_of_a_folder_of_tables_and_of_parts_of_its_splits(tmp_path):
    for split in ("train", "test"):
        (tmp_path / f"{split}.csv").write_text("text,n\n" + "".join(f"{text},{split}\n" for text in TEXTS))
    records = list(read_rows(tmp_path, split="test"))
    assert records[0] == (f"{tmp_path}/test.csv, line 2", {"text": "NA", "n": "test"})
    assert [row["text"] for _, row in records] == TEXTS
    assert [row["text"] for _, row in read_rows(tmp_path, split="train[:2]+test[-1:]")] == ["NA", "None", "-inf"]
    with pytest.raises(ValueError, match=r'cannot be loaded: Unknown split "dev"\. Should be one of'):
        read_rows(tmp_path, split="dev")


def test_numbers_of_json_are_the_texts_they_are_written_as(tmp_path):
    rows = ",".join(f'{{"image": "a.png", "text": {number}}}' for number in NUMBERS)
    (tmp_path / "rows.json").write_text(f"[{rows}]")
    found = read_by("own_dataset", tmp_path / "rows.json", Columns(target="text"))
    assert [example.target for example in found] == NUMBERS


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_true_and_false_of_json_are_the_texts_they_are_written_as(tmp_path, name):
    (tmp_path / name).write_text('{"image": "a.png", "text": true}\n{"image": "a.png", "text": false}\n')
    found = read_by("own_dataset", tmp_path / name, Columns(target="text"))
    assert [example.target for example in found] == ["true", "false"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", '\ufeffid,text\r\n1,"a ""b"",\nc"\r\n\r\n2,\u2028d\r\n'),
        ("rows.tsv", 'id\ttext\n1\t"a ""b"",\nc"\n2\t\u2028d\n'),
        ("rows.csv.gz", 'id,text\n1,"a ""b"",\nc"\n2,\u2028d\n'),
        ("rows.json", ' [{"id": "1", "text": "a \\"b\\",\\nc"}, {"id": "2", "text": "\u2028d"}]'),
        ("rows.json", '{"id": "1", "text": "a \\"b\\",\\nc"}\n{"id": "2", "text": "\u2028d"}'),
        ("rows.jsonl.gz", '{"id": "1", "text": "a \\"b\\",\\nc"}\n\n{"id": "2", "text": "\u2028d"}\n'),
    ],
)
def test_tables_of_text_are_read_in_all_their_forms(tmp_path, name, content):
    encoded = content.encode()
    (tmp_path / name).write_bytes(gzip.compress(encoded) if name.endswith("gz") else encoded)
    rows = [row for _, row in read_rows(tmp_path / name, split="train")]
    assert rows == [{"id": "1", "text": 'a "b",\nc'}, {"id": "2", "text": "\u2028d"}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"a,a\n1,2\n", r"t\.csv, line 1: the columns \['a'\] are repeated"),
        ("t.csv", b'a,b\n1,"2\n3,4\n', r"t\.csv, line 3: found no row of CSV \(unexpected end of data\)\. Check"),
        ("t.csv", b"a,b\n1,2\n3\n", r"t\.csv, line 3: expected 2 cells, as in the first line, found 1"),
        ("t.csv", b"a,b\n", r"t\.csv has no rows"),
        ("t.csv", b"", r"t\.csv has no rows"),
        ("t.csv", "a,b\n1,2".encode("utf-16"), r"t\.csv is damaged or not a table of its kind: 'utf-8' codec"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], r"t\.csv\.gz is not a complete gzip file"),
        ("t.jsonl.gz", b"a", r"t\.jsonl\.gz is not a complete gzip file"),
        ("t.jsonl", b"\n\n", r"t\.jsonl has no rows"),
        ("t.json", b"[]", r"t\.json has no rows"),
        ("t.json", b"[3]", r"t\.json, row 0: expected an object of column names and values, found 3"),
        ("t.jsonl", b'{"a": 1}\n{"a": 1, "a": 2}', r"t\.jsonl, line 2 is not JSON in UTF-8: the key 'a' is repeated"),
        ("t.json", b'[{"b": {"a": 1, "a": 2}}]', r"t\.json, byte 1: the key 'a' is repeated"),
        ("t.jsonl", b'{"a": NaN}', r"t\.jsonl, line 1 is not JSON in UTF-8: NaN is not a number of JSON"),
        ("t.json", b'[{"a": -Infinity}]', r"t\.json, byte 1: -Infinity is not a number of JSON"),
        ("t.jsonl", b"[" * 100_000, r"t\.jsonl, line 1 is nested too deeply"),
        ("t.xlsx", b"PK", r"t\.xlsx cannot be loaded: expected a file of one of the kinds \.parquet, \.arrow, \.csv"),
    ],
)  # fmt: skip
def test_a_damaged_table_of_text_is_named_with_its_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list(read_rows(tmp_path / name, split="train"))


@pytest.mark.parametrize("streaming", [False, True])
def test_images_in_a_parquet_file_come_as_they_are_stored(tmp_path, streaming):
    rows = [{"photo": {"bytes": png("red"), "path": "a.png"}, "text": text} for text in ("red", "rot")]
    datasets.Dataset.from_list(rows, features=FEATURES).to_parquet(tmp_path / "mine.parquet")
    columns = Columns(target="text", image="photo")
    path = tmp_path / "mine.parquet"
    examples = list(own_dataset(0, path=path, task="captioning", columns=columns, language="en", streaming=streaming))
    assert [(e.images, e.id, e.source) for e in examples] == [
        ((png("red"),), "train/0", "own/mine.parquet"),
        ((png("red"),), "train/1", "own/mine.parquet"),
    ]
    (row,) = to_rows(apply_prompt(example, seed=0) for example in examples)  # equal images are one
    assert row["targets"] == ["red", "rot"]


@pytest.mark.parametrize("streaming", [False, True])
def test_names_of_images_are_joined_to_the_folder_of_the_file_or_to_the_one_given(folder, streaming):
    rows = [{"image": "in/b.png", "text": "a"}, {"image": "https://example.org/c.png", "text": "b"}]
    path = write_lines(folder / "rows.jsonl", rows)
    arguments = {"task": "captioning", "columns": Columns(target="text"), "language": "en", "streaming": streaming}
    beside = list(own_dataset(0, path=path, **arguments))
    assert [example.images for example in beside] == [(folder / "in/b.png",), ("https://example.org/c.png",)]
    assert [e.image_id for e in beside] == ["own/rows.jsonl/in/b.png", url_image_id("https://example.org/c.png")]
    elsewhere, at_url = own_dataset(0, path=path, **arguments, images="zip://::photos.zip")
    assert elsewhere.images == ("zip://in/b.png::photos.zip",)
    assert (elsewhere.image_id, at_url.image_id) == (beside[0].image_id, beside[1].image_id)


def test_a_dataset_saved_to_disk_is_loaded_with_its_split_and_classes_by_name(tmp_path):
    features = FEATURES | {"kind": datasets.ClassLabel(names=["cat", "dog"])}
    rows = [{"photo": png("red"), "text": "?", "kind": kind} for kind in (1, 0, -1)]
    saved = datasets.Dataset.from_list(rows, features=datasets.Features(features))
    datasets.DatasetDict({"test": saved}).save_to_disk(tmp_path / "pets")
    arguments = {"task": "image_naming", "columns": Columns(target="kind", image="photo"), "language": "en"}
    skipped = SkipReport()
    examples = list(own_dataset(0, skipped, path=tmp_path / "pets", **arguments, split="test"))
    assert [(e.id, e.target) for e in examples] == [("test/0", "dog"), ("test/1", "cat")]
    assert skipped.names == {"empty text": ["own/pets/test/2"]}
    with pytest.raises(ValueError, match=r"pets cannot be loaded: it has no split 'train', but test"):
        list(own_dataset(0, path=tmp_path / "pets", **arguments))


def test_lists_of_images_are_several_images(tmp_path):
    features = datasets.Features({"image": datasets.List(datasets.Image()), "text": datasets.Value("string")})
    rows = [{"image": [{"bytes": png(c), "path": None} for c in ("red", "blue")], "text": "both"}]
    datasets.Dataset.from_list(rows, features=features).to_parquet(tmp_path / "pairs.parquet")
    (example,) = own_dataset(
        0, path=tmp_path / "pairs.parquet", task="captioning", columns=Columns(target="text"), language="en"
    )
    assert example.images == (png("red"), png("blue"))
    assert len(set(example.image_id.split("+"))) == 2


def test_decoded_images_are_called_by_their_pixels(tmp_path):
    rows = OwnRows("own/drawn", "captioning", Columns(target="text", image="image"), "en", tmp_path)
    images = [Image.new("RGB", size, colour) for size, colour in (((4, 2), "red"), ((4, 2), "red"), ((2, 4), "red"))]
    table = [(f"row {number}", {"image": image, "text": "?"}) for number, image in enumerate(images)]
    examples = list(rows.examples(table, id_prefix="", skipped=SkipReport()))
    assert [example.images for example in examples] == [(image,) for image in images]
    assert examples[0].image_id == examples[1].image_id != examples[2].image_id


def test_a_file_that_stays_on_the_hub_is_an_error_that_says_what_to_do(tmp_path):
    rows = OwnRows("own/mine", "captioning", Columns(target="text", image="image"), "en", tmp_path)
    table = [("row 0", {"image": {"bytes": None, "path": "hf://datasets/me/mine@main/a.png"}, "text": "?"})]
    with pytest.raises(
        ValueError, match=r"row 0: .*/a\.png stays on the Hub while streaming\. Set `streaming` to false"
    ):
        list(rows.examples(table, id_prefix="", skipped=SkipReport()))


def test_examples_become_rows_with_the_images_inside(folder):
    write_table(folder, "jsonl", ROWS)
    examples = own_folder(0, path=folder, task="captioning", columns=COLUMNS)
    stored = rows_to_dataset(to_rows(apply_prompt(example, seed=0) for example in examples))
    assert [row["images"][0]["bytes"] for row in stored] == [
        (folder / name).read_bytes() for name in ("a.png", "in/b.png")
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [("rows.txt", r"rows\.txt cannot be loaded: expected a file of"), ("rows.jsonl", "no split|nknown split")],
)
def test_a_dataset_that_cannot_be_loaded_is_named(folder, name, message):
    write_lines(folder / name, ROWS)
    with pytest.raises(ValueError, match=message):
        list(own_dataset(0, path=folder / name, task="captioning", columns=COLUMNS, split="test"))
