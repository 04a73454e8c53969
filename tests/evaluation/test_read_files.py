"""What a task read, and what that lacks of the published benchmark."""

import hashlib

import datasets
import pytest

from mblip.evaluation import Setup
from mblip.evaluation.read_files import Published, ReadFiles
from mblip.evaluation.records import DatasetLocation, records_in, records_of
from mblip.evaluation.task import FileRead
from mblip.evaluation.tasks.nlvr2 import nlvr2
from mblip.evaluation.tasks.xflickrco import xflickrco
from mblip.evaluation.tasks.xm3600 import xm3600
from tests.data.sources.sample_data import write_lines

PUBLISHED = Published({"test": {"en": 3, "sw": 2}, "testdev": 5, "dev": 4, "train": None}, reported=("test",))


def lines(path, num):
    return write_lines(path, [{"number": number} for number in range(num)])


def marks_of(folder, **num_by_name):
    """The marks of files of so many records; a name with `_sw` is read as Swahili."""
    files = ReadFiles(PUBLISHED)
    for name, num in num_by_name.items():
        path = lines(folder / f"{name}.jsonl", num)
        list(records_in("sw" if name.endswith("_sw") else "en", path, None, files=files))
    return files.marks


def test_a_file_is_noted_with_its_split_its_digest_and_its_records(tmp_path):
    files = ReadFiles(PUBLISHED)
    path, synonyms = lines(tmp_path / "test1_en.jsonl", 3), lines(tmp_path / "synonyms.txt", 2)
    assert len(list(records_in("en", tmp_path / "test1_{language}.jsonl", None, files=files))) == 3
    files.add(synonyms, 2)
    files.add(None, 1)
    assert files.files == (
        FileRead(str(path), "test", 3, 3, hashlib.sha256(path.read_bytes()).hexdigest(), None),
        FileRead(str(synonyms), None, 2, None, hashlib.sha256(synonyms.read_bytes()).hexdigest(), None),
    )
    assert files.marks == ()


@pytest.mark.parametrize(
    ("num_by_name", "marks"),
    [
        ({"test_en": 3, "test_sw": 2}, ()),
        ({"test_en": 2}, ("2 of 3 records",)),
        ({"test_en": 4}, ("4 of 3 records",)),
        ({"test_en": 3, "test_sw": 1}, ("1 of 2 records in sw",)),
        ({"test_en": 2, "test_sw": 1}, ("3 of 5 records",)),
        ({"dev_en": 1, "dev_sw": 1}, ("split dev", "1 of 4 records in each file")),
        ({"dev_en": 4}, ("split dev",)),
        ({"validation_en": 1}, ("split dev", "1 of 4 records")),
        ({"testdev_balanced_en": 5}, ("split testdev",)),
        ({"train_100": 100}, ("split train",)),
        ({"mine": 3, "mine_sw": 2}, ()),
        ({"mine": 4}, ("split dev",)),
        ({"mine": 6, "mine_sw": 1}, ("7 records of an unknown split",)),
        ({"test_en": 3, "dev_sw": 4}, ("split dev",)),
    ],
)
def test_a_short_file_and_another_split_are_marked(tmp_path, num_by_name, marks):
    assert marks_of(tmp_path, **num_by_name) == marks


def test_a_dataset_tells_its_config_and_split_and_a_file_of_it_its_digest(tmp_path):
    rows, files = datasets.Dataset.from_list([{"a": 1}] * 4), ReadFiles(PUBLISHED)
    rows.to_parquet(tmp_path / "dev.parquet")
    datasets.DatasetDict({"test": rows}).save_to_disk(tmp_path / "stored")
    for path, split in ((tmp_path / "dev.parquet", "train"), (tmp_path / "stored", "test")):
        list(records_of(None, DatasetLocation(str(path), split=split), files=files))
    digest = hashlib.sha256((tmp_path / "dev.parquet").read_bytes()).hexdigest()
    assert files.files == (
        FileRead(f"{tmp_path / 'dev.parquet'}, split train", "dev", 4, 4, digest),
        FileRead(f"{tmp_path / 'stored'}, split test", "test", 4, None),
    )


def test_the_commit_of_a_dataset_is_what_the_hub_tells_or_else_what_the_recipe_says(monkeypatch):
    class Info:
        sha = "c0ffee"

    def told(api, name, *, revision):
        if revision is not None:
            raise OSError("the Hub is away")
        return Info

    monkeypatch.setattr("mblip.evaluation.records.HfApi.dataset_info", told)
    assert DatasetLocation("me/told").commit == "c0ffee"
    assert DatasetLocation("me/told", revision="v1").commit == "v1"


def test_a_benchmark_of_your_own_is_noted_but_never_marked(tmp_path):
    files = ReadFiles()
    list(records_of(lines(tmp_path / "dev.jsonl", 1), None, files=files))
    assert [file.num_records for file in files.files] == [1]
    assert files.marks == ()


UNCHECKED = Setup(missing_images="unchecked")


def test_a_truncated_xm3600_is_not_called_xm3600(tmp_path):
    records = [{"image/key": f"{n:04d}", "en": {"caption": ["A dog."]}} for n in range(30)]
    path = write_lines(tmp_path / "captions.jsonl", records)
    assert xm3600(UNCHECKED, captions=path, images=str(tmp_path)).marks == ("30 of 3,600 records", "1 of 36 languages")


@pytest.mark.slow
def test_a_whole_xm3600_has_no_mark(tmp_path):
    records = [{"image/key": f"{n:04d}", "en": {"caption": ["A dog."]}} for n in range(3600)]
    path = write_lines(tmp_path / "captions.jsonl", records)
    assert xm3600(UNCHECKED, captions=path, images=str(tmp_path)).marks == ("1 of 36 languages",)


def test_the_development_split_of_nlvr2_is_marked(tmp_path):
    record = {"sentence": "Two dogs.", "left_url": "", "right_url": "", "label": "True", "identifier": "dev-0-0-0"}
    task = nlvr2(UNCHECKED, statements=write_lines(tmp_path / "dev.jsonl", [record]), images=str(tmp_path))
    assert task.marks == ("split dev", "1 of 6,982 records")


def test_the_english_of_flickr30k_has_1000_photos_where_the_others_have_2000(tmp_path):
    photo = {"sentences": ["A dog."], "id": "1", "img_path": "1.jpg"}
    for language in ("de", "flickr30k"):
        (tmp_path / language).mkdir()
        write_lines(tmp_path / language / "test.jsonl", [photo])
    task = xflickrco(
        UNCHECKED,
        captions=tmp_path / "{language}" / "test.jsonl",
        english=tmp_path / "flickr30k" / "test.jsonl",
        images=str(tmp_path),
        languages=("de", "en"),
    )
    assert [file.num_expected for file in task.files] == [2000, 1000]
    assert task.marks == ("2 of 3,000 records", "2 of 8 languages")
