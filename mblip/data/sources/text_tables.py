"""Rows of CSV, TSV, JSON lines and JSON arrays: cells are the texts that the file says.

    for location, row in read_table("captions.csv"): ...

Nothing guesses types. `NA`, `None`, `001`, `1e5` and `2020-01-01` are texts. A cell of CSV is always text. A JSON
number with a point or an exponent is the text as written, other JSON values keep their types.
"""

import codecs
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from ..json_stream import iter_json_array, json_decoder, open_binary
from .records import TextRow, describe, read_json_lines

AS_WRITTEN = json_decoder(floats_as_written=True)
DELIMITERS = {".csv": ",", ".tsv": "\t"}
TEXT_KINDS = (*DELIMITERS, ".json", ".jsonl", ".ndjson")


def is_text_table(name: str) -> bool:
    """Whether a file of this name is a table of text. It may end in `.gz`."""
    return _kind(name) in TEXT_KINDS


def read_table(path: str | Path, *, decoder: json.JSONDecoder = AS_WRITTEN) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a table of text with their locations.

    Raises:
        ValueError: the file is missing, damaged, not in UTF-8, or has no rows; or a row has other cells than the first
            line says. The message names the file and the line.
    """
    path = Path(path)
    rows = _delimited_rows(path) if _kind(path.name) in DELIMITERS else _json_rows(path, decoder)
    is_empty = True
    try:
        for location, row in rows:
            if not isinstance(row, dict):
                raise ValueError(f"{location}: expected an object of column names and values, found {describe(row)}.")
            is_empty = False
            yield location, row
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is damaged or not a table of its kind: {error}") from error
    if is_empty:
        raise ValueError(f"{path} has no rows, expected at least one.")


def _kind(name: str) -> str:
    return PurePath(name.removesuffix(".gz")).suffix.lower()


def _delimited_rows(path: Path) -> Iterator[tuple[str, TextRow]]:
    with open_binary(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        reader = csv.reader(text, delimiter=DELIMITERS[_kind(path.name)], strict=True)
        try:
            header = next(reader, [])
            if repeated := sorted({column for column in header if header.count(column) > 1}):
                raise ValueError(f"{path}, line 1: the columns {repeated} are repeated. Give each its own name.")
            for cells in reader:
                location = f"{path}, line {reader.line_num}"
                if cells and len(cells) != len(header):
                    raise ValueError(
                        f"{location}: expected {len(header)} cells, as in the first line, found {len(cells)}. "
                        'Put "..." around texts that hold the delimiter or a line break.'
                    )
                if cells:
                    yield location, TextRow(zip(header, cells, strict=True))
        except csv.Error as error:
            raise ValueError(
                f"{path}, line {reader.line_num}: found no row of CSV ({error}). Check the quotes."
            ) from error


def _json_rows(path: Path, decoder: json.JSONDecoder) -> Iterator[tuple[str, Any]]:
    with open_binary(path) as file:
        start = file.read(1 << 10).removeprefix(codecs.BOM_UTF8).lstrip()
    if _kind(path.name) != ".json" or not start.startswith(b"["):
        yield from read_json_lines(path, decoder=decoder)
        return
    for number, row in enumerate(iter_json_array(path, decoder=decoder)):
        yield f"{path}, row {number}", row
