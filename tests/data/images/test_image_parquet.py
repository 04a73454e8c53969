"""Images in the rows of parquet files."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mblip.data.images import RefusedImageError
from mblip.data.images.locations import open_bytes


def write_parquet(path: Path, columns: dict, row_group_size: int = 2) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return path


def test_rows_of_parquet_are_read_from_bytes_records_and_lists(tmp_path):
    images = [f"image {number}".encode() for number in range(5)]
    records = [{"bytes": image, "path": None} for image in images]
    one = write_parquet(tmp_path / "one.parquet", {"image": records, "label": list(range(5))})
    lists = write_parquet(
        tmp_path / "lists.parquet", {"images": [[record, record] for record in records], "b": images}
    )
    for row in (4, 0, 3, 1, 2):
        assert open_bytes(f"parquet://{row}::{one}") == images[row]
        assert open_bytes(f"parquet://{row}/image::{one}") == images[row]
        assert open_bytes(f"parquet://{row}/images/1::{lists}") == images[row]
        assert open_bytes(f"parquet://{row}/b::{lists}") == images[row]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("5", "found the row '5', expected a number below 3"),
        ("x", "found the row 'x', expected a number below 3"),
        ("0", r"its columns of images are \['a', 'l'\]"),
        ("0/c", r"there is no column 'c', only \['a', 'l', 'n'\]"),
        ("0/n", "the cell holds int where bytes are expected"),
        ("1/a", "the cell holds NoneType where bytes are expected"),
        ("0/l", "the cell is a list of 1"),
        ("0/l/1", "the cell is a list of 1"),
        ("0/a/0", "the cell is not a list"),
    ],
)
def test_a_cell_that_holds_no_image_is_named(tmp_path, cell, message):
    columns = {"a": [b"a", None, b"b"], "l": [[b"a"], [], [b"b"]], "n": [1, 2, 3]}
    path = write_parquet(tmp_path / "a.parquet", columns)
    with pytest.raises(RefusedImageError, match=f"missing: parquet://{cell}::.*{message}"):
        open_bytes(f"parquet://{cell}::{path}")


def test_a_parquet_file_that_is_cut_off_is_named(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", {"a": [b"a"] * 10})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(RefusedImageError, match="is not a parquet file, or is cut off"):
        open_bytes(f"parquet://0::{path}")
