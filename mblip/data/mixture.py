"""From sources to a file of rows.

`mix` draws examples from several sources by weight. `write_rows` stores rows as parquet with the images inside;
`load_dataset("parquet")` and the Hub can read the file. `load_rows` reads rows back, whole or streaming.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import datasets
import pyarrow
import pyarrow.parquet

from mblip.atomic_write import atomic_file

from .example import (
    FEATURES,
    FEATURES_WITH_PROVENANCE,
    PROVENANCE,
    Example,
    features_of,
    missing_columns,
    rows_to_dataset,
)
from .images.locations import check_inside
from .interleaving import check_weights
from .sources.dataset_rows import checked_builder
from .stable_random import stable_random

logger = logging.getLogger(__name__)

HOW_TO_WRITE = "Write rows with `write_rows`, or build a mix from your data with the source `own_dataset`."
# The types of columns, as pyarrow writes them, that `datasets` can read as rows. Empty lists are lists of null.
TEXTS = r"(large_)?list<\w+: ((large_)?string|null)( not null)?>"
KINDS = {
    "image_id": ("text", r"(large_)?string"),
    "images": ("a list of images", r"(large_)?list<\w+: (struct<.*>|binary|null)( not null)?>"),
    PROVENANCE: ("a list of texts", f"{TEXTS}|null"),
}


@dataclass(frozen=True)
class WeightedSource:
    """A source of examples, and its weight relative to the others."""

    examples: Iterable[Example]
    weight: float

    def __post_init__(self) -> None:
        check_weights([self.weight])


def mix(sources: Mapping[str, WeightedSource], *, num_examples: int, seed: int) -> Iterator[Example]:
    """Draw `num_examples` examples. Each time, draw a source by its weight and take its next example.

    The order depends on (seed, weights) alone. Each source keeps its own order, so shuffle sorted sources first.

    Raises:
        ValueError: a source runs out before the mix is full. The message says how many examples it gave.
    """
    draw = stable_random(seed)
    iterators = {name: iter(source.examples) for name, source in sources.items()}
    names, weights = list(sources), [source.weight for source in sources.values()]
    drawn: Counter[str] = Counter()
    for _ in range(num_examples):
        name = draw.choices(names, weights)[0]
        try:
            example = next(iterators[name])
        except StopIteration:
            raise ValueError(
                f"The source {name!r} has {drawn[name]} examples, too few for a mix of {num_examples} with the weight "
                f"{sources[name].weight} of {sum(weights)}. Lower its weight or `num_examples`."
            ) from None
        drawn[name] += 1
        yield example
    logger.info("Mixed %d examples: %s.", num_examples, dict(drawn))


def write_rows(rows: Iterable[Mapping[str, Any]], path: str | Path) -> None:
    """Write rows to one parquet file with the images inside. The write is atomic.

    Raises:
        ValueError: there are no rows, or a row has a broken image or a bad target. The message names the row.
    """
    path, rows = Path(path), list(rows)
    if not rows:
        raise ValueError(f"There are no rows to write to {path}. Check that the source found its files.")
    dataset = rows_to_dataset(rows)
    with atomic_file(path) as partial:
        dataset.to_parquet(partial, use_content_defined_chunking=False)  # with it, a full disk aborts the process


@overload
def load_rows(
    path: str | Path, *, revision: str | None = None, streaming: Literal[False] = False
) -> datasets.Dataset: ...
@overload
def load_rows(
    path: str | Path, *, revision: str | None = None, streaming: Literal[True]
) -> datasets.IterableDataset: ...
def load_rows(
    path: str | Path, *, revision: str | None = None, streaming: bool = False
) -> datasets.Dataset | datasets.IterableDataset:
    """Rows of a parquet file, of all `*.parquet` files of a folder in order of their names, or of a dataset on the
    Hub.

    Images stay encoded until the collator. If a file has a column `provenance`, so has the result; it is None in the
    rows of other files.

    Args:
        path: the file or folder; with a `revision`, the dataset's name.
        revision: a commit, branch or tag of a dataset on the Hub. Its split `train` is read.
    Raises:
        OSError: there is no such file or dataset, or no parquet file in the folder.
        ValueError: the dataset has no split `train`, or a file is damaged, or lacks a column of rows or has others, or
            there are no rows.
    """
    if revision is not None:
        return _load_from_hub(str(path), revision, streaming)
    found = find_parquet(path)
    schemas, counts = zip(*map(_schema_and_count, found), strict=True)
    if not sum(counts):
        raise ValueError(f"{path} holds no rows. {HOW_TO_WRITE}")
    features = features_of({column for schema in schemas for column in schema.names})
    try:
        return datasets.load_dataset(
            "parquet", data_files=[str(file) for file in found], split="train", streaming=streaming, features=features
        )
    except datasets.exceptions.DatasetGenerationError as error:
        raise ValueError(f"{path} cannot be read as rows: {error.__cause__}. {HOW_TO_WRITE}") from error


def _schema_and_count(path: Path) -> tuple[pyarrow.Schema, int]:
    """The schema of a parquet file of rows, and their number. Raises as `load_rows`."""
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            schema, count = file.schema_arrow, file.metadata.num_rows
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path} is no parquet file, or is cut off: {error}. {HOW_TO_WRITE}") from error
    missing, others = missing_columns(schema.names), set(schema.names).difference(FEATURES_WITH_PROVENANCE)
    if missing or others:
        found = f"lacks the columns {missing}" if missing else f"has the columns {sorted(others)} as well"
        raise ValueError(f"{path} {found}, expected those of rows: {list(FEATURES)}. {HOW_TO_WRITE}")
    for column, kind in zip(schema.names, schema.types, strict=True):
        expected, pattern = KINDS.get(column, ("a list of texts", TEXTS))
        if not re.fullmatch(pattern, str(kind)):
            raise ValueError(f"{path} has the column `{column}` of type {kind}, expected {expected}. {HOW_TO_WRITE}")
    return schema, count


def find_parquet(path: str | Path) -> list[Path]:
    """The file, or the `*.parquet` files of the folder in order of their names. Raises as `load_rows`."""
    path = Path(path)
    found = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not found or not all(file.is_file() for file in found):
        raise FileNotFoundError(
            f"Found no parquet file at {path}. Write one with `write_rows`, or give the `revision` "
            "of a dataset on the Hub."
        )
    for file in found if path.is_dir() else ():
        check_inside(file, [path], row=str(path))
    return found


def _load_from_hub(name: str, revision: str, streaming: bool) -> datasets.Dataset | datasets.IterableDataset:
    checked_builder(name, None, revision)
    found = datasets.load_dataset(name, revision=revision, split="train", streaming=True).features or {}
    if missing := missing_columns(found):
        raise ValueError(
            f"The dataset {name} has the columns {list(found)}, but lacks {missing} of a mix's rows. "
            "Build a mix from it with `mblip build` and the source `own_dataset`."
        )
    # We set the features first: otherwise `datasets` rewrites all rows to close open images.
    features = datasets.Features(found | {"images": FEATURES["images"]})
    rows = datasets.load_dataset(name, revision=revision, split="train", streaming=streaming, features=features)
    return rows.select_columns([column for column in found if column in FEATURES_WITH_PROVENANCE])
