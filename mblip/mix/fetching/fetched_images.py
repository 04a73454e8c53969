"""The folder that `fetch_images` fills: the outcome of each URL, and the images as fetched.

    FOLDER/content/abc/abcdef...   complete files, named by the SHA-256 of their bytes, each stored once
    FOLDER/partial/                files being written, moved into place when they are complete
    FOLDER/fetched.sqlite          one table of URLs and records (flat JSON)

A partial file is therefore never found under a final name, whenever a process is killed. Files are not synced to disk
one by one, which would take milliseconds each. After a power failure a file may be empty or wrong; reading detects
that by the file's name. SQLite holds the records. A record is complete once `put` returns, and other processes of the
machine may read at the same time.
"""

import hashlib
import itertools
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mblip.atomic_write import SQLITE_FULL, full_disk_explained, no_room
from mblip.data.images import RefusedImageError, open_regular

from .settings import OPTED_OUT

Record = dict[str, str | int]

INDEX_FILE = "fetched.sqlite"
SECONDS_TO_WAIT_FOR_OTHERS = 120.0


class FetchedImages:
    """Reads fetched images by URL. Give `FetchedImages(folder).read` to `open_bytes`."""

    def __init__(self, folder: str | Path) -> None:
        self.content = ContentFolder(Path(folder))
        self.index = UrlIndex(Path(folder) / INDEX_FILE)

    def read(self, url: str) -> bytes:
        """The image of a URL.

        Raises:
            RefusedImageError: the image was not fetched, or fetching failed. The message says why.
        """
        record = self.index.get(url.strip())
        if record is None:
            raise RefusedImageError("missing", "it is not fetched yet: mblip fetch --help")
        if record.get("cause") == OPTED_OUT:
            raise RefusedImageError(
                "opted out", f"its server says {record['detail']}. `ignore_opt_outs` fetches it nevertheless."
            )
        if "cause" in record:
            raise RefusedImageError("missing", f"fetching failed: {_describe(record)}")
        return self.content.read(str(record["key"]))

    def is_there(self, record: Record) -> bool:
        """Whether the folder holds the complete image of a record."""
        return "key" in record and self.content.size(str(record["key"])) == record["num_bytes"]


class PartialFile:
    """A file being written and hashed, not yet moved to its final path."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.num_bytes = 0
        self.opt_out: str | None = None  # the header by which the server of these bytes opts out
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, part: bytes) -> None:
        rest = memoryview(part)
        with full_disk_explained(self.path):
            while rest:  # a disk that fills up may take a part without an error
                rest = rest[self._file.write(rest) :]
        self._hash.update(part)
        self.num_bytes += len(part)

    @property
    def key(self) -> str:
        return self._hash.hexdigest()


class ContentFolder:
    """Files by key. One process writes, any number may read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count()
        self._partial = folder / "partial"
        with full_disk_explained(folder):
            self._partial.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """The path of a key's file, which may not exist."""
        return self.folder / "content" / key[:3] / key

    def size(self, key: str) -> int | None:
        """The size of a file in bytes; None if there is none."""
        try:
            return self.path(key).stat().st_size
        except FileNotFoundError:
            return None

    @contextmanager
    def writing(self) -> Iterator[PartialFile]:
        """A file to write to, part by part. It is removed afterwards unless `finish` got it."""
        path = self._partial / str(next(self._numbers))
        with full_disk_explained(path):
            file = open(path, "xb", buffering=0)  # noqa: SIM115 - closed below
        try:
            with file:
                yield PartialFile(path, file)
        finally:
            path.unlink(missing_ok=True)

    def finish(self, file: PartialFile) -> str:
        """Move a written file into place, unless an equal one is there, and return its key."""
        key = file.key
        path = self.path(key)
        if self.size(key) != file.num_bytes:
            with full_disk_explained(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                file.path.replace(path)
        return key

    def read(self, key: str) -> bytes:
        """The bytes of a key.

        Raises:
            RefusedImageError: there is no file of that key, or it holds other bytes.
        """
        with open_regular(self.path(key)) as file:
            content = file.read()
        if hashlib.sha256(content).hexdigest() != key:
            raise RefusedImageError(
                "damaged", f"{self.path(key)} does not match the digest in its name. Remove it and fetch it again."
            )
        return content

    def remove_left_overs(self) -> None:
        """Remove the partial files of killed processes. No other process may be writing."""
        for path in self._partial.iterdir():
            path.unlink()


class UrlIndex:
    """Records by URL, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._process = 0

    def get(self, url: str) -> Record | None:
        """The record of a URL."""
        row = self._execute("SELECT record FROM records WHERE url = ?", url).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, url: str, record: Record) -> None:
        """Store a record, replacing the URL's last one.

        Raises:
            StorageFullError: the disk is full. Earlier records stay.
        """
        self._execute("INSERT OR REPLACE INTO records VALUES (?, ?)", url, json.dumps(record, ensure_ascii=False))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _execute(self, statement: str, *values: str) -> sqlite3.Cursor:
        try:
            return self._open().execute(statement, [readable(value) for value in values])
        except sqlite3.OperationalError as error:
            if str(error) not in SQLITE_FULL:
                raise
            raise no_room(self._path) from error

    def _open(self) -> sqlite3.Connection:
        """This process's connection. After a fork, a process must not use its parent's."""
        if self._connection is None or self._process != os.getpid():
            self._process = os.getpid()
            self._connection = sqlite3.connect(
                self._path, timeout=SECONDS_TO_WAIT_FOR_OTHERS, isolation_level=None, cached_statements=8
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("CREATE TABLE IF NOT EXISTS records (url TEXT PRIMARY KEY, record TEXT) STRICT")
        return self._connection


def readable(text: str) -> str:
    """The text as files and SQLite accept it.

    Python reads bytes in a list of URLs that are not UTF-8 as lone surrogates; these are escaped.
    """
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")


def _describe(record: Record) -> str:
    """The cause of a failure in words."""
    return f"{record['cause']} ({record['detail']})" if record["detail"] else str(record["cause"])
