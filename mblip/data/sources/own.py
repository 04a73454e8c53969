"""Anybody's own data: a folder of images with a table, or any dataset that `datasets` loads.

    columns = Columns(image="file_name", target="text", language="lang")
    own_folder(7, path=Path("photos"), task="captioning", columns=columns)           # photos/metadata.jsonl
    own_dataset(7, path="me/my-captions", task="captioning", columns=Columns(target="caption"), language="sw")

Which column holds what is said in `Columns` (own_rows.py); the data stay as they are. A recipe says the same:

    - source: own_dataset
      path: me/my-captions
      task: captioning
      language: sw
      columns: {image: photo, target: caption}

Texts that are empty are skipped and counted; everything else that cannot be trained on is an error. Licence: whatever
the data have.
"""

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet

from ..example import Example
from ..languages import LanguageCode
from ..skipped import SkipReport
from .dataset_rows import Row, read_rows
from .image_names import Images
from .own_rows import Columns, OwnRows
from .records import read_json_lines

SOURCE = "own"
METADATA_NAMES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")  # as `datasets`' ImageFolder has them


def own_folder(
    seed: int,
    skipped: SkipReport | None = None,
    *,
    path: Path,
    task: str,
    columns: Columns,
    language: LanguageCode | None = None,
    name: str | None = None,
) -> Iterator[Example]:
    """The rows of a folder as `datasets`' ImageFolder documents it: metadata.jsonl, metadata.csv or metadata.parquet,
    with the names of images below the folder in the column `file_name`, or in one that `columns.image` names.

    Args:
        task: one of `TASKS`; its inputs must be mapped.
        language: of all rows, where no column says it.
        name: what the source is called, own/<name>, and thereby what draws depend on; None: the name of the folder.

    Raises:
        ValueError: there is no table in the folder or more than one, a column is missing, a cell has a wrong type, or
            an image is not there; the message names the line or row, and the columns.
    """
    columns = columns if columns.image is not None else dataclasses.replace(columns, image="file_name")
    rows = OwnRows(f"{SOURCE}/{name or path.resolve().name}", task, columns, language, path)
    table = _metadata_file(path)
    skipped = SkipReport() if skipped is None else skipped
    for example in rows.examples(_read_table(table), id_prefix="", skipped=skipped):
        for image in example.images:
            if isinstance(image, Path) and not image.is_file():
                raise ValueError(f"{table}: {example.name} shows {image}, but there is no such file.")
        yield example


def own_dataset(
    seed: int,
    skipped: SkipReport | None = None,
    *,
    path: str,
    task: str,
    columns: Columns,
    language: LanguageCode | None = None,
    split: str = "train",
    config: str | None = None,
    revision: str | None = None,
    images: Images | None = None,
    name: str | None = None,
    streaming: bool = False,
) -> Iterator[Example]:
    """The rows of a dataset; images are neither opened nor decoded.

    Args:
        path: a name on the Hub, a folder that `load_dataset` or `load_from_disk` reads, or a file: parquet, JSON (an
            array or lines), csv, arrow.
        task: one of `TASKS`; its inputs must be mapped.
        columns: the column of images is `image` unless said otherwise.
        language: of all rows, where no column says it.
        images: the folder, URL or archive (images/locations.py) that names of images are joined to; None: the folder
            that `path` is, or that the file is in.
        name: what the source is called, own/<name>, and thereby what draws depend on; None: the last part of `path`.
        streaming: read the rows as they come instead of preparing them on disk first.

    Raises:
        ValueError: the dataset cannot be loaded, a column is missing, or a cell has a wrong type; the message names
            the row, counted from 0, and the columns.
        OSError: there is no such dataset, or the Hub cannot be reached.
    """
    columns = columns if columns.image is not None else dataclasses.replace(columns, image="image")
    source = f"{SOURCE}/{name or Path(path).name}"
    rows = OwnRows(source, task, columns, language, _images_of(path) if images is None else images)
    placed = read_rows(path, split=split, config=config, revision=revision, streaming=streaming)
    return rows.examples(placed, id_prefix=f"{split}/", skipped=SkipReport() if skipped is None else skipped)


def _images_of(path: str | Path) -> Path:
    """The folder that a dataset is, or the one that its file is in."""
    local = Path(path).absolute()
    return local if local.is_dir() else local.parent


def _metadata_file(folder: Path) -> Path:
    found = [folder / name for name in METADATA_NAMES if (folder / name).is_file()]
    if len(found) != 1:
        shown = " and ".join(path.name for path in found) or "none"
        raise ValueError(f"{folder}: found {shown}, expected one of {', '.join(METADATA_NAMES)}.")
    return found[0]


def _read_table(path: Path) -> Iterator[tuple[str, Row]]:
    """The rows of a table with their locations."""
    if path.suffix == ".jsonl":
        for location, record in read_json_lines(path):
            if not isinstance(record, dict):
                raise ValueError(f"{location}: expected an object, from names of columns to values.")
            yield location, record
    else:
        rows = _csv_rows if path.suffix == ".csv" else _parquet_rows
        try:
            yield from rows(path)
        except (csv.Error, UnicodeDecodeError, pyarrow.ArrowInvalid) as error:
            raise ValueError(f"{path} is no whole table of its kind: {error}") from error


def _csv_rows(path: Path) -> Iterator[tuple[str, Row]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        for record in reader:
            location = f"{path}, line {reader.line_num}"
            if None in record or None in record.values():
                raise ValueError(f"{location}: expected {len(reader.fieldnames or ())} cells, as in the first line.")
            yield location, record


def _parquet_rows(path: Path) -> Iterator[tuple[str, Row]]:
    with pyarrow.parquet.ParquetFile(path) as file:
        records = (record for batch in file.iter_batches() for record in batch.to_pylist())
        for number, record in enumerate(records):
            yield f"{path}, row {number}", record
