"""Mixing sources, and rows to parquet and back."""

from collections import Counter

import pyarrow
import pyarrow.parquet
import pytest
from datasets import load_dataset
from PIL import Image

from mblip.data.example import COLUMNS, Example, to_rows
from mblip.data.mixture import WeightedSource, load_rows, mix, write_rows
from mblip.data.training_rows import TrainingRows, TrainingStream


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def examples(source, count):
    return [Example((), "what", "ja", "de", "vqa", source, str(i), f"{source}{i}") for i in range(count)]


def rows():
    images = {name: Image.effect_noise((9, 7), 40).convert("RGB") for name in "ab"}
    asked = [
        Example((images[name],), f"<image> {i}?", f"antwoord {i}", "nl", "vqa", "test", str(i), name)
        for i, name in enumerate("abba")
    ]
    return list(to_rows(asked))


def test_a_mix_draws_by_weight_and_keeps_each_sources_order():
    sources = {"a": WeightedSource(examples("a", 1000), 3), "b": WeightedSource(examples("b", 1000), 1)}
    mixed = list(mix(sources, num_examples=1000, seed=0))
    assert 700 < Counter(example.source for example in mixed)["a"] < 800
    ids = [int(example.id) for example in mixed if example.source == "a"]
    assert ids == list(range(len(ids)))
    assert mixed == list(mix(sources, num_examples=1000, seed=0))
    assert mixed != list(mix(sources, num_examples=1000, seed=1))


def test_a_source_that_runs_out_says_what_it_gave():
    sources = {"a": WeightedSource(examples("a", 3), 1)}
    with pytest.raises(ValueError, match="The source 'a' has 3 examples, too few for a mix of 4"):
        list(mix(sources, num_examples=4, seed=0))


def test_a_source_that_is_never_drawn_is_an_error():
    with pytest.raises(ValueError, match="weight 0, expected a number above 0"):
        WeightedSource([], 0)


@pytest.mark.parametrize("streaming", [False, True])
def test_rows_come_back_as_they_were_written(tmp_path, streaming):
    written = rows()
    write_rows(written, tmp_path / "rows.parquet")
    read = list(load_rows(tmp_path / "rows.parquet", streaming=streaming))
    assert [set(row) for row in read] == [set(COLUMNS)] * 2
    for before, after in zip(written, read, strict=True):
        assert {**before, "images": None} == {**after, "images": None}
        assert [image["path"] for image in after["images"]] == [None]
        assert after["images"][0]["bytes"].startswith(b"\x89PNG")


@pytest.mark.parametrize("streaming", [False, True])
def test_the_file_is_read_by_datasets_alone(tmp_path, streaming):
    write_rows(rows(), tmp_path / "rows.parquet")
    plain = load_dataset("parquet", data_files=str(tmp_path / "rows.parquet"), split="train", streaming=streaming)
    assert list(plain) == list(load_rows(tmp_path / "rows.parquet", streaming=streaming))


def test_a_folder_of_files_is_read_in_order_of_their_names(tmp_path):
    first, second = rows()
    write_rows([second], tmp_path / "2.parquet")
    write_rows([first], tmp_path / "1.parquet")
    assert load_rows(tmp_path)["image_id"][:] == ["a", "b"]


def test_a_file_that_fails_half_way_leaves_nothing_behind(tmp_path):
    first, second = rows()
    with pytest.raises(ValueError, match="Row 'b'"):
        write_rows([first, second | {"images": [b"no image"]}], tmp_path / "rows.parquet")
    assert not list(tmp_path.glob("*.parquet"))


def rows_with_provenance():
    asked = [
        Example((), "what", "ja", "de", "vqa", "test", str(i), "c", provenance=provenance)
        for i, provenance in enumerate([{}, {"target.engine": "ü"}])
    ]
    return list(to_rows(asked))


PROVENANCE = ["{}", '{"target.engine": "ü"}']


@pytest.mark.parametrize("streaming", [False, True])
def test_provenance_comes_back_and_is_missing_where_there_is_none(tmp_path, streaming):
    write_rows(rows_with_provenance(), tmp_path / "told.parquet")
    (row,) = load_rows(tmp_path / "told.parquet", streaming=streaming)
    assert row["provenance"] == PROVENANCE
    write_rows(rows(), tmp_path / "untold.parquet")
    assert all("provenance" not in row for row in load_rows(tmp_path / "untold.parquet", streaming=streaming))


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("names", [("1", "2"), ("2", "1")])
def test_files_with_and_without_provenance_are_read_together(tmp_path, streaming, names):
    with_name, without_name = names
    write_rows(rows_with_provenance(), tmp_path / f"{with_name}.parquet")
    write_rows(rows(), tmp_path / f"{without_name}.parquet")
    read = load_rows(tmp_path, streaming=streaming)
    wrapped = TrainingStream(read) if streaming else TrainingRows(read)
    told = {row["image_id"]: row["provenance"] for row in wrapped}
    assert told == {"a": None, "b": None, "c": PROVENANCE}
    assert list(told) == (["c", "a", "b"] if with_name == "1" else ["a", "b", "c"])


def test_no_rows_are_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"no rows to write to .*rows\.parquet"):
        write_rows([], tmp_path / "rows.parquet")


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Found no parquet file at .*gone"):
        load_rows(tmp_path / "gone.parquet")
    with pytest.raises(FileNotFoundError, match="Found no parquet file"):
        load_rows(tmp_path)


TEXTS = pyarrow.array([["a"]])


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda table: table.drop_columns("prompts"), r"bad\.parquet lacks the columns \['prompts'\], expected those"),
        (lambda table: table.append_column("length", TEXTS), r"bad\.parquet has the columns \['length'\] as well"),
        (lambda table: table.slice(0, 0), r"bad\.parquet holds no rows"),
        (
            lambda table: table.set_column(2, "prompts", pyarrow.array(["a"])),
            r"bad\.parquet has the column `prompts` of type string, expected a list",
        ),
        (
            lambda table: table.set_column(1, "image_id", TEXTS),
            r"bad\.parquet has the column `image_id` of type list<.*>, expected text",
        ),
        (
            lambda table: table.set_column(2, "prompts", pyarrow.array([[1]])),
            r"bad\.parquet has the column `prompts` of type list<.*int64>, expected a list of texts",
        ),
        (
            lambda table: table.set_column(0, "images", pyarrow.array([[1]])),
            r"bad\.parquet has the column `images` of type list<.*int64>, expected a list of images",
        ),
        (
            lambda table: table.append_column("provenance", pyarrow.array([5])),
            r"bad\.parquet has the column `provenance` of type int64, expected a list of texts",
        ),
    ],
)
def test_a_file_of_other_columns_is_named(tmp_path, change, match, streaming):
    write_rows(rows()[:1], tmp_path / "bad.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "bad.parquet")
    pyarrow.parquet.write_table(change(table), tmp_path / "bad.parquet")
    with pytest.raises(ValueError, match=match):
        load_rows(tmp_path / "bad.parquet", streaming=streaming)


@pytest.mark.parametrize("cut", [0, 3, 400])
def test_a_file_that_is_cut_off_is_named(tmp_path, cut):
    write_rows(rows(), tmp_path / "rows.parquet")
    whole = (tmp_path / "rows.parquet").read_bytes()
    (tmp_path / "rows.parquet").write_bytes(whole[:cut])
    with pytest.raises(ValueError, match=r"rows\.parquet is no parquet file, or is cut off"):
        load_rows(tmp_path / "rows.parquet")
    (tmp_path / "rows.parquet").write_bytes(bytes(cut + 8) + whole[cut + 8 :])
    with pytest.raises(ValueError, match=r"rows\.parquet (cannot be read as rows|is no parquet file)"):
        load_rows(tmp_path / "rows.parquet")
