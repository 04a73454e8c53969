"""Large JSON arrays, one element after another in constant memory.

Corpora are published as one JSON array of up to a gigabyte, either the whole file or the value of a key:

    iter_json_array("ccs_filtered.json")                            # [{...}, {...}]
    iter_json_array("captions_train2017.json", key="annotations")   # {"info": {...}, "annotations": [{...}, {...}]}

Memory holds one piece of the file and one element. Errors give the byte offset of the fault. All JSON of users is
decoded by `json_decoder`, which refuses what other decoders drop: a repeated key, NaN and infinities.
"""

import codecs
import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

PIECE_BYTES = 1 << 20
WHITESPACE = re.compile(r"[ \t\r\n]*")
# A value cut off by the end of a piece fails to parse at most this many characters before that end, unless it is cut
# inside a string. The longest token, -Infinity, has 9 characters.
LONGEST_TOKEN = 12


def json_decoder(*, floats_as_written: bool = False) -> json.JSONDecoder:
    """A decoder that raises ValueError for a repeated key, NaN and infinities. With `floats_as_written`, numbers with
    a point or an exponent come as their text."""
    return json.JSONDecoder(
        object_pairs_hook=_unique_keys, parse_constant=_refuse, parse_float=str if floats_as_written else None
    )


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {repeated!r} is repeated")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of JSON")


DECODER = json_decoder()


@contextmanager
def open_binary(path: Path) -> Iterator[io.BufferedReader | gzip.GzipFile]:
    """The bytes of a file, unpacked if its name ends in `.gz`. Raises ValueError if it is missing or not whole."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield file
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ValueError(f"There is no file {path}.") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a complete gzip file ({error}). Fetch it again.") from error


def iter_json_array(path: str | Path, *, key: str | None = None, decoder: json.JSONDecoder = DECODER) -> Iterator[Any]:
    """The elements of the JSON array in a `.json` or `.json.gz` file.

    Args:
        key: take the array at this key of the file's object. Earlier keys are skipped, later ones are not read.
    Raises:
        ValueError: the file is missing, cut off, damaged, or not JSON in UTF-8; it holds no array; or its object lacks
            the key. The message names the file and the offset in bytes.
    """
    path = Path(path)
    with open_binary(path) as file:
        text = _Text(file, path, decoder)
        if key is not None:
            _go_to_key(text, key)
        yield from _elements(text)
        if key is None and text.next_character():
            raise text.error(f"found {text.next_character()!r}, expected the end of the file")


class _Text:
    """The text of a file, read piece by piece. `position` is the offset of the next value in the current piece."""

    def __init__(self, file: io.BufferedIOBase, path: Path, decoder: json.JSONDecoder) -> None:
        self.path = path
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._parse = decoder.raw_decode
        self._text = ""
        self._position = 0
        self._bytes_passed = 0  # the bytes before `_text`
        self._bytes_read = 0
        self._is_at_end = False

    def next_character(self) -> str:
        """The next character that is not white space, without moving past it; "" at the end of the file."""
        while True:
            self._position = self._end_of_whitespace(self._position)
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._read_more():
                return ""

    def skip(self, *expected: str) -> str:
        """Move past one of these characters and return it."""
        character = self.next_character()
        if not character or character not in expected:
            found = repr(character) if character else "the end of the file"
            raise self.error(f"found {found}, expected {' or '.join(expected)}")
        self._position += 1
        return character

    def value(self) -> Any:
        """Move past a JSON value and return it."""
        self.next_character()
        while True:
            try:
                value, end = self._parse(self._text, self._position)
            except json.JSONDecodeError as error:
                is_cut_off = error.msg.startswith("Unterminated string") or error.pos > len(self._text) - LONGEST_TOKEN
                if not is_cut_off or not self._read_more():
                    raise self.error(error.msg, error.pos) from error
            except RecursionError as error:
                raise self.error("the value is nested too deeply") from error
            except ValueError as error:  # of the decoder's own rules
                raise self.error(str(error)) from error
            else:
                # A number at the end of a piece may continue in the next one.
                if end < len(self._text) or not self._read_more():
                    self._position = end
                    return value

    def error(self, message: str, position: int | None = None) -> ValueError:
        """The error for this file at a position of the current piece; by default at the next character."""
        position = self._position if position is None else position
        offset = self._bytes_passed + len(self._text[:position].encode())
        return ValueError(
            f"{self.path}, byte {offset}: {message}. The file is cut off, or is not the published JSON. "
            "Fetch it again."
        )

    def _read_more(self) -> bool:
        """Drop the text already read and read a piece, twice as large while one value needs it. False at the end."""
        if self._is_at_end:
            return False
        self._bytes_passed += len(self._text[: self._position].encode())
        self._text = self._text[self._position :]
        self._position = 0
        piece = self._file.read(max(PIECE_BYTES, len(self._text)))
        self._is_at_end = not piece
        self._bytes_read += len(piece)
        try:
            self._text += self._decoder.decode(piece, final=self._is_at_end)
        except UnicodeDecodeError as error:
            offset = self._bytes_read - len(error.object) + error.start
            raise ValueError(f"{self.path}, byte {offset}: not UTF-8 ({error.reason}). Fetch it again.") from error
        return True

    def _end_of_whitespace(self, position: int) -> int:
        match = WHITESPACE.match(self._text, position)
        assert match is not None  # it also matches the empty string
        return match.end()


def _elements(text: _Text) -> Iterator[Any]:
    """The elements of the array that comes next."""
    text.skip("[")
    if text.next_character() == "]":
        text.skip("]")
        return
    while True:
        yield text.value()
        if text.skip(",", "]") == "]":
            return


def _go_to_key(text: _Text, key: str) -> None:
    """Move through the next object to the value of a key."""
    text.skip("{")
    keys: list[str] = []
    while text.next_character() != "}":
        if keys:
            text.skip(",")
        if text.next_character() != '"':
            text.skip('"')
        keys.append(text.value())
        text.skip(":")
        if keys[-1] == key:
            return
        _pass_value(text)
    found = ", ".join(repr(name) for name in keys) or "none"
    raise ValueError(f"{text.path}: there is no key {key!r}, found {found}. Is this the right release?")


def _pass_value(text: _Text) -> None:
    """Move past the next value; an array is passed element by element."""
    if text.next_character() == "[":
        for _ in _elements(text):
            pass
    else:
        text.value()
