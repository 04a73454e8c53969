"""Records of published files. Each comes with its location, and all sources report wrong records in the same words.

    for location, record in read_json_lines(path):
        fields = check_record(record, {"sentence": str, "directory": int | None}, location=location)

A location names a record in errors: the file, and the line (counted from 1), the position (counted from 0) or the key.
Examples that a source skips on purpose are not errors; they go to `SkipReport`.
"""

import json
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from ..json_stream import DECODER, open_binary

# The names of the types of JSON values and of `datasets` columns.
KINDS: Mapping[Any, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
    bytes: "bytes",
    type(None): "nothing",
}
PLURALS: Mapping[Any, str] = {int: "whole numbers", float: "numbers", list: "lists", dict: "objects"}


class TextRow(dict[str, Any]):
    """A row of a table that has texts alone, such as CSV. `check_record` reads numbers from it where a field asks."""


def check_record(record: Any, fields: Mapping[str, Any], *, location: str) -> dict[str, Any]:
    """The values of `fields` in a record. The record may have other fields.

    Args:
        fields: name -> type. Types are str, int, float, bool, list, dict, list[X], dict[str, X] and X | Y. A field of
            type X | None may be missing; its value is then None. A float may be a whole number. Booleans are not
            numbers.
    Raises:
        ValueError: the record is not an object, or a field is missing or of another type. The message names the
            location, the field, what was found and what is expected.
    """
    if not isinstance(record, Mapping):
        raise ValueError(f"{location}: found {describe(record)}, expected an object with {_listing(fields)}.")
    values = {name: record.get(name) for name in fields}
    if isinstance(record, TextRow):
        values = {name: _from_text(value, fields[name]) for name, value in values.items()}
    missing = [name for name, expected in fields.items() if values[name] is None and not _fits(None, expected)]
    if missing:
        raise ValueError(
            f"{location}: {_listing(missing)} is missing or null, expected {_kind(fields[missing[0]])}. "
            f"Found the fields {_listing(record)}."
        )
    for name, expected in fields.items():
        check_value(values[name], expected, location=location, field=name)
    return values


def check_value(value: Any, expected: Any, *, location: str, field: str) -> None:
    """Raise ValueError for a value that is not of the type `expected`; see `check_record`."""
    if _fits(value, expected):
        return
    field, value, expected = _innermost(field, value, expected)
    raise ValueError(f"{location}: `{field}` is {describe(value)}, expected {_kind(expected)}.")


def check_choice(value: Any, choices: Mapping[Any, Any], *, location: str, field: str) -> Any:
    """The entry of `choices` for a value such as a label.

    Raises:
        ValueError: the value is not among the choices. The message names the location, the field and the choices.
    """
    if isinstance(value, list | dict) or value not in choices:
        expected = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{location}: `{field}` is {describe(value)}, expected one of {expected}.")
    return choices[value]


def read_json_lines(path: str | Path, *, decoder: json.JSONDecoder = DECODER) -> Iterator[tuple[str, Any]]:
    """The location and value of each line of a `.jsonl` or `.jsonl.gz` file, one by one.

    Raises:
        ValueError: the file is missing, damaged or has no lines, or a line is not JSON in UTF-8. The message names it.
    """
    location = None
    with open_binary(Path(path)) as file:
        for number, line in enumerate(file, start=1):  # only a line feed ends a line, texts may hold the others
            if line.strip():
                location = f"{path}, line {number}"
                yield location, _parse(line, location, decoder)
    if location is None:
        raise ValueError(f"{path} has no rows, expected JSON lines.")


def read_json(path: str | Path) -> Any:
    """The JSON value of a `.json` or `.json.gz` file, read as a whole.

    Raises:
        ValueError: the file is missing, or is not JSON in UTF-8. The message names it.
    """
    with open_binary(Path(path)) as file:
        return _parse(file.read(), str(path), DECODER)


def read_json_object(path: str | Path) -> dict[str, Any]:
    """The JSON object of a file. Raises ValueError as `read_json`, and for any other value."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: found {describe(content)}, expected an object.")
    return content


def describe(value: Any) -> str:
    """A found value in words, for errors."""
    kind = KINDS.get(type(value), f"a {type(value).__name__}")
    if isinstance(value, str | int | float):
        shown = repr(value)
        return f"{shown if len(shown) <= 60 else shown[:60] + '...'}, {kind}"
    return f"{kind} of {len(value)}" if isinstance(value, list | dict | bytes) else kind


def _parse(text: bytes, location: str, decoder: json.JSONDecoder) -> Any:
    try:
        return decoder.decode(text.decode("utf-8-sig"))
    except RecursionError as error:
        raise ValueError(f"{location} is nested too deeply.") from error
    except ValueError as error:
        raise ValueError(f"{location} is not JSON in UTF-8: {error}.") from error


def _from_text(text: Any, expected: Any) -> Any:
    """A text as the whole number that a field expects, or None if it is empty and may be missing; else unchanged."""
    if text == "" and _fits(None, expected):
        return None
    is_number = isinstance(text, str) and text.removeprefix("-").isdecimal()
    return int(text) if is_number and _fits(0, expected) and not _fits("", expected) else text


def _fits(value: Any, expected: Any) -> bool:
    """Whether a value is of a type."""
    origin, arguments = get_origin(expected), get_args(expected)
    if origin in (Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is list:
        return isinstance(value, list) and all(_fits(entry, arguments[0]) for entry in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(entry, arguments[1]) for entry in value.values())
    if isinstance(value, bool):
        return expected is bool
    return isinstance(value, int | float if expected is float else expected)


def _innermost(field: str, value: Any, expected: Any) -> tuple[str, Any, Any]:
    """The entry of a list or object that has the wrong type, or the value itself."""
    origin, arguments = get_origin(expected), get_args(expected)
    entries: list[tuple[Any, Any]] = []
    if origin is list and isinstance(value, list):
        entries = list(enumerate(value))
    elif origin is dict and isinstance(value, dict):
        entries = list(value.items())
    for key, entry in entries:
        if not _fits(entry, arguments[-1]):
            return _innermost(f"{field}[{key!r}]", entry, arguments[-1])
    return field, value, expected


def _kind(expected: Any) -> str:
    """A type in words, for errors."""
    origin, arguments = get_origin(expected), get_args(expected)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(argument) for argument in arguments if argument is not type(None))
    if origin in (list, dict):
        return f"{KINDS[origin]} of {PLURALS.get(arguments[-1], _kind(arguments[-1]))}"
    return KINDS[expected]


def _listing(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)
