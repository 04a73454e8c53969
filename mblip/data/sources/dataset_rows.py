"""Rows of a dataset that `datasets` loads, with their locations and with images as they are stored.

    for location, row in read_rows("me/my-captions", split="train"): ...

An image cell is {"bytes", "path"} and is never opened. A class label is given by name.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets

Row = Mapping[str, Any]

BUILDERS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv", ".arrow": "arrow"}


def read_rows(
    path: str | Path,
    *,
    split: str,
    config: str | None = None,
    revision: str | None = None,
    streaming: bool = False,
) -> Iterator[tuple[str, Row]]:
    """The rows of a dataset with their locations, counted from 0.

    Args:
        path: a name on the Hub, a folder that `load_dataset` or `load_from_disk` reads, or a file: parquet, JSON (an
            array or lines), csv, arrow.
        streaming: read rows as they come, without preparing them on disk first.
    Raises:
        ValueError: the dataset cannot be loaded. The message names it.
        OSError: there is no such dataset, or the Hub cannot be reached.
    """
    loaded = _load(path, split=split, config=config, revision=revision, streaming=streaming)
    return ((f"{path} ({split}), row {number}", row) for number, row in enumerate(_plain_rows(loaded)))


def _load(
    path: str | Path, *, split: str, config: str | None, revision: str | None, streaming: bool
) -> datasets.Dataset | datasets.IterableDataset:
    local = Path(path)
    try:
        if (local / "state.json").is_file():
            return datasets.load_from_disk(local)
        if (local / "dataset_dict.json").is_file():
            splits = datasets.load_from_disk(local)
            if split not in splits:
                raise ValueError(f"it has no split {split!r}, but {', '.join(splits)}")
            return splits[split]
        if local.is_file():
            builder = BUILDERS.get(local.suffix)
            if builder is None:
                raise ValueError(f"expected a file of one of the kinds {', '.join(BUILDERS)}")
            return datasets.load_dataset(builder, data_files=str(local), split=split, streaming=streaming)
        return datasets.load_dataset(str(path), config, split=split, revision=revision, streaming=streaming)
    except (ValueError, datasets.exceptions.DatasetsError) as error:
        raise ValueError(f"The dataset {path} cannot be loaded: {error}") from error


def _plain_rows(loaded: datasets.Dataset | datasets.IterableDataset) -> Iterator[Row]:
    """The rows with images encoded as stored and classes by name."""
    features: Mapping[str, Any] = loaded.features or {}
    for column, feature in features.items():
        if isinstance(feature, datasets.Image):
            loaded = loaded.cast_column(column, datasets.Image(decode=False))
        elif isinstance(feature, datasets.List) and isinstance(feature.feature, datasets.Image):
            loaded = loaded.cast_column(column, datasets.List(datasets.Image(decode=False)))
    classes = {column: feature for column, feature in features.items() if isinstance(feature, datasets.ClassLabel)}
    for row in loaded:
        yield row | {column: _class_name(row[column], feature) for column, feature in classes.items()}


def _class_name(value: int | None, feature: datasets.ClassLabel) -> str | None:
    """The name of a class. None for a row without one, which `datasets` may also write as -1."""
    return None if value is None or value < 0 else feature.names[value]
