"""Rows of a dataset that `datasets` loads, with their locations and with images as they are stored.

    for location, row in read_rows("me/my-captions", split="train"): ...

An image cell is {"bytes", "path"} and is never opened. A class label is given by name. `datasets` would guess types in
tables of text, and take the text `NA` for nothing, so it only tells where they are; `read_table` reads them.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

import datasets
from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder
from huggingface_hub.constants import HF_HUB_CACHE

from ..images.locations import check_inside
from .image_names import image_location
from .records import check_record, read_json
from .text_tables import TEXT_KINDS, is_text_table, read_table

Row = Mapping[str, Any]
LocatedRow = tuple[str, Row]

LISTS = (datasets.List, datasets.LargeList)
BUILDERS = {".parquet": "parquet", ".arrow": "arrow"}
IMAGE_SUFFIXES = frozenset(ImageFolder.EXTENSIONS)
METADATA_TEXTS = ("metadata.csv", "metadata.jsonl")  # of ImageFolder
IMAGE_COLUMN = re.compile(r"(?:(.+)_)?file_name(s?)")
Tables = Mapping[str, Sequence[Callable[[], Iterator[LocatedRow]]]]


def read_rows(
    path: str | Path,
    *,
    split: str,
    config: str | None = None,
    revision: str | None = None,
    streaming: bool = False,
) -> Iterator[LocatedRow]:
    """The rows of a dataset with their locations.

    Args:
        path: a name on the Hub, a folder that `load_dataset` or `load_from_disk` reads, or a file: parquet, arrow,
            JSON (an array or lines), CSV or TSV. The last three may be packed (`.gz`).
        streaming: read rows as they come, without preparing them on disk first. Tables of text are fetched whole.
    Raises:
        ValueError: the dataset cannot be loaded, or names a table elsewhere. The message names it.
        OSError: there is no such dataset, or the Hub cannot be reached.
    """
    try:
        tables = _text_tables(Path(path), config, revision)
        if tables is not None:
            return _rows_of_split(tables, split)
        loaded = _load(path, split=split, config=config, revision=revision, streaming=streaming)
        if isinstance(loaded, datasets.Dataset) and not len(loaded):
            raise ValueError("it has no rows")
    except (ValueError, datasets.exceptions.DatasetsError) as error:
        reason = error.__cause__ if isinstance(error, datasets.exceptions.DatasetGenerationError) else error
        raise ValueError(f"The dataset {path} cannot be loaded: {reason}") from error
    return ((f"{path} ({split}), row {number}", row) for number, row in enumerate(_plain_rows(loaded)))


def local_dataset(path: str) -> Path | None:
    """The folder or file of a dataset, or None for what may be a name on the Hub, such as me/mine.

    me/mine is a folder or file if there is a folder `me`, unless the dataset is in the Hub's cache.
    """
    is_beside = path.count("/") == 1 and Path(path).parent.is_dir() and not dataset_folders(path)[0].is_dir()
    return Path(path) if path.startswith((".", "/", "~")) or path.count("/") > 1 or is_beside else None


def dataset_folders(path: str | Path) -> tuple[Path, ...]:
    """The folders of this machine that the rows of a dataset may name files of.

    The first is its own: the folder, the folder of the file, or the Hub's cache of it. The second is where `datasets`
    unpacks archives.
    """
    own = Path(path).absolute() if Path(path).is_dir() else Path(path).absolute().parent
    if not Path(path).exists():
        own = Path(HF_HUB_CACHE, f"datasets--{str(path).replace('/', '--')}")
    return own, Path(datasets.config.EXTRACTED_DATASETS_PATH)


def _text_tables(path: Path, config: str | None, revision: str | None) -> Tables | None:
    """The tables of text of a dataset by split, each as a function that reads it. None if the dataset has none."""
    if path.is_file():
        return {"train": [partial(read_table, path)]} if is_text_table(path.name) else None
    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        return None
    builder = checked_builder(path, config, revision)
    files: Mapping[str, Sequence[str]] = builder.config.data_files or {}
    if builder.name in ("csv", "json"):
        return {split: [partial(_read_fetched, file) for file in of] for split, of in files.items()}
    metadata = {
        split: [partial(_read_with_images, file, of) for file in of if PurePath(file).name in METADATA_TEXTS]
        for split, of in files.items()
    }
    return metadata if builder.name == "imagefolder" and any(metadata.values()) else None


def checked_builder(path: str | Path, config: str | None, revision: str | None) -> datasets.DatasetBuilder:
    """The builder of a folder or of a dataset on the Hub.

    Raises:
        ValueError: its card names files of this machine that are not in its folder, or a link leads to them.
    """
    builder = datasets.load_dataset_builder(str(path), config, revision=revision)
    for file in chain.from_iterable((builder.config.data_files or {}).values()):
        if not file.startswith("hf://") and PurePath(file).suffix.lower() not in IMAGE_SUFFIXES:  # rows are checked
            check_inside(file, dataset_folders(path), row=str(path))
    return builder


def _read_fetched(file: str) -> Iterator[LocatedRow]:
    return read_table(datasets.DownloadManager().download(file))  # a file of this machine stays where it is


def _read_with_images(file: str, files: Sequence[str]) -> Iterator[LocatedRow]:
    """The rows of an ImageFolder's metadata. As there, `file_name` becomes the image `image`, `x_file_name` `x`, and
    `file_names` the list `images`."""
    manager = datasets.DownloadManager()
    if "://" in file:
        manager.download(list(files))  # into one folder, where each keeps its name
    table = Path(manager.download(file))

    def stored(name: Any, location: str) -> Any:
        path = str(image_location(table.parent, name, location=location)) if isinstance(name, str) else None
        return {"bytes": None, "path": path}

    for location, row in read_table(table):
        cells: dict[str, Any] = {}
        for column, value in row.items():
            if named := IMAGE_COLUMN.fullmatch(column):
                images = [stored(name, location) for name in (value if isinstance(value, list) else [value])]
                cells[named[1] or f"image{named[2]}"] = images if isinstance(value, list) else images[0]
            else:
                cells[column] = value
        yield location, cells


def _rows_of_split(tables: Tables, split: str) -> Iterator[LocatedRow]:
    """The rows of a split, or of parts of splits such as `train[:100]`."""
    if split in tables:
        return chain.from_iterable(read() for read in tables[split])
    rows = {str(name): list(chain.from_iterable(read() for read in of)) for name, of in tables.items()}
    parts = datasets.ReadInstruction.from_spec(split).to_absolute({name: len(of) for name, of in rows.items()})
    return chain.from_iterable(rows[part.splitname][part.from_ : part.to] for part in parts)


def _load(
    path: str | Path, *, split: str, config: str | None, revision: str | None, streaming: bool
) -> datasets.Dataset | datasets.IterableDataset:
    local = Path(path)
    if (local / "dataset_dict.json").is_file():
        splits = _fields(local / "dataset_dict.json", {"splits": list[str]})["splits"]
        if split not in splits:
            raise ValueError(f"it has no split {split!r}, but {', '.join(splits)}")
        local = local / split
    if (local / "state.json").is_file():
        for file in _fields(local / "state.json", {"_data_files": list[dict[str, str]]})["_data_files"]:
            check_inside(local / file.get("filename", ""), [path], row=str(path))
        return datasets.load_from_disk(local)
    if local.is_file():
        builder = BUILDERS.get(local.suffix)
        if builder is None:
            raise ValueError(f"expected a file of one of the kinds {', '.join((*BUILDERS, *TEXT_KINDS))}")
        return datasets.load_dataset(builder, data_files=str(local), split=split, streaming=streaming)
    return datasets.load_dataset(str(path), config, split=split, revision=revision, streaming=streaming)


def _fields(file: Path, fields: Mapping[str, Any]) -> dict[str, Any]:
    return check_record(read_json(file), fields, location=str(file))


def _plain_rows(loaded: datasets.Dataset | datasets.IterableDataset) -> Iterator[Row]:
    """The rows with images encoded as stored and classes by name."""
    features: Mapping[str, Any] = loaded.features or {}
    for column, feature in features.items():
        if isinstance(feature, datasets.Image):
            loaded = loaded.cast_column(column, datasets.Image(decode=False))
        elif isinstance(feature, LISTS) and isinstance(feature.feature, datasets.Image):
            loaded = loaded.cast_column(column, type(feature)(datasets.Image(decode=False)))
    classes = {column: feature for column, feature in features.items() if isinstance(feature, datasets.ClassLabel)}
    for row in loaded:
        yield row | {column: _class_name(row[column], feature) for column, feature in classes.items()}


def _class_name(value: int | None, feature: datasets.ClassLabel) -> str | None:
    """The name of a class. None for a row without one, which `datasets` may also write as -1."""
    return None if value is None or value < 0 else feature.names[value]
