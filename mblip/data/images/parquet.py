"""Images in the rows of parquet files, as `datasets` and the Hub store them.

Parquet is read by row groups. We keep the last two, so rows in order are read once. In any other order, each row may
read its group again. If that matters, write files with small row groups.
"""

import bisect
import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from processing_mblip.image_refusal import RefusedImageError, check_size

NUM_FILES_KEPT = 64
NUM_GROUPS_KEPT = 2
DAMAGE = (pa.ArrowException, OSError, ValueError, LookupError)


@dataclass(frozen=True)
class _Layout:
    """The first row of every row group, then the number of all rows; and the columns with images."""

    first_rows: tuple[int, ...]
    image_columns: tuple[str, ...]
    columns: tuple[str, ...]


def read_cell(path: Path, cell: str, *, max_bytes: int) -> bytes:
    """The image in a cell, "ROW", "ROW/COLUMN" or "ROW/COLUMN/POSITION".

    A cell holds bytes, {"bytes", "path"}, or a list of these.

    Raises:
        RefusedImageError: there is no such cell, or it holds no bytes.
    """
    status = os.stat(path)
    version = (status.st_size, status.st_mtime_ns)
    layout = _layout(path, version)
    if isinstance(layout, RefusedImageError):
        raise RefusedImageError(layout.refused.reason, layout.refused.detail)
    row, column, position = _parse(cell, layout)
    group = bisect.bisect_right(layout.first_rows, row) - 1
    try:
        found = _column_of_group(path, version, group, column)[row - layout.first_rows[group]].as_py()
    except DAMAGE as error:
        raise RefusedImageError("unreadable", f"{path} is damaged: {error}") from error
    encoded = _encoded(found, position)
    check_size(len(encoded), max_bytes)
    return encoded


def _parse(cell: str, layout: _Layout) -> tuple[int, str, int | None]:
    row, _, rest = cell.partition("/")
    column, _, position = rest.rpartition("/") if rest.rpartition("/")[2].isdecimal() else (rest, "", "")
    num_rows = layout.first_rows[-1]
    if not row.isdecimal() or int(row) >= num_rows:
        raise RefusedImageError("missing", f"found the row {row!r}, expected a number below {num_rows:,}")
    if not column and len(layout.image_columns) != 1:
        raise RefusedImageError(
            "missing", f"its columns of images are {list(layout.image_columns)}. Name one: parquet://{row}/COLUMN::..."
        )
    column = column or layout.image_columns[0]
    if column not in layout.columns:
        raise RefusedImageError("missing", f"there is no column {column!r}, only {list(layout.columns)}")
    return int(row), column, int(position) if position else None


@functools.lru_cache(maxsize=NUM_FILES_KEPT)
def _layout(path: Path, version: tuple[int, int]) -> _Layout | RefusedImageError:
    try:
        with pq.ParquetFile(path) as file:
            groups = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
            schema = file.schema_arrow
    except DAMAGE as error:
        return RefusedImageError(
            "unreadable", f"{path} is not a parquet file, or is cut off ({error}). Fetch it again."
        )
    first_rows = tuple(sum(groups[:number]) for number in range(len(groups) + 1))
    images = tuple(field.name for field in schema if _holds_images(field.type))
    return _Layout(first_rows, images, tuple(schema.names))


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _holds_images(kind.value_type)
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


@functools.lru_cache(maxsize=NUM_GROUPS_KEPT)
def _column_of_group(path: Path, version: tuple[int, int], group: int, column: str) -> pa.ChunkedArray:
    with pq.ParquetFile(path) as file:  # without threads, which a fork would lose
        return file.read_row_group(group, columns=[column], use_threads=False).column(column)


def _encoded(found: Any, position: int | None) -> bytes:
    if isinstance(found, list):
        if position is None or position >= len(found):
            raise RefusedImageError("missing", f"the cell is a list of {len(found)}. Name one: ROW/COLUMN/POSITION.")
        found = found[position]
    elif position is not None:
        raise RefusedImageError("missing", f"the cell is not a list, so it has no position {position}")
    if isinstance(found, dict):
        found = found.get("bytes")
    if not isinstance(found, bytes):
        raise RefusedImageError("missing", f"the cell holds {type(found).__name__} where bytes are expected")
    return found
