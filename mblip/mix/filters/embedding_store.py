"""Embeddings on disk: a folder that `datasets.load_from_disk` reads, one row for each caption or image.

Its columns are text, but for "embedding"; "model" and "revision" say what made it. Memory holds a batch at a time, and
a folder that is there is whole.
"""

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
from datasets.arrow_writer import ArrowWriter

EMBEDDING = "embedding"


@dataclass(frozen=True)
class EmbeddedBatch:
    """Text columns and embeddings (B, D), float32, of some rows."""

    columns: Mapping[str, list[str]]
    embeddings: np.ndarray


def store_embeddings(batches: Iterable[EmbeddedBatch], folder: str | Path) -> datasets.Dataset:
    """Write batches to a folder and open it.

    Raises:
        ValueError: the folder is there already, or there is no batch.
    """
    folder = Path(folder)
    if folder.exists():
        raise ValueError(f"{folder} is there already. Read it with `datasets.load_from_disk`, or take it away.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as unfinished:
        rows = Path(unfinished) / "rows.arrow"
        _write(batches, rows, folder)
        whole = Path(unfinished) / folder.name
        datasets.Dataset.from_file(str(rows)).save_to_disk(whole)
        whole.rename(folder)
    return datasets.load_from_disk(folder)


def _write(batches: Iterable[EmbeddedBatch], path: Path, folder: Path) -> None:
    waiting = iter(batches)
    batch = next(waiting, None)
    if batch is None:
        raise ValueError(f"There is nothing to write to {folder}, expected at least one embedding.")
    width = batch.embeddings.shape[1]
    features = {column: datasets.Value("string") for column in batch.columns}
    embedding = datasets.List(datasets.Value("float32"), length=width)
    with ArrowWriter(path=str(path), features=datasets.Features(features | {EMBEDDING: embedding})) as writer:
        while batch is not None:
            writer.write_batch({**batch.columns, EMBEDDING: list(batch.embeddings)})
            batch = next(waiting, None)
        writer.finalize()


def embeddings_of(rows: datasets.Dataset) -> np.ndarray:
    """All embeddings in memory, (N, D), float32."""
    column = rows.with_format("arrow")[:][EMBEDDING].combine_chunks()
    return column.flatten().to_numpy().reshape(len(rows), -1)
