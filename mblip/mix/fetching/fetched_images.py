"""The folder that `fetch_images` fills: what became of each URL, and the images as they were fetched.

    FOLDER/content/abc/abcdef...   each file whole, named by the SHA-256 of its bytes, once however often it is fetched
    FOLDER/partial/             files being written; they move into place in one step when they are complete
    FOLDER/fetched.sqlite          one table of URLs and records, which are flat JSON

So nothing half written is ever found under a name, in whatever moment a process is killed. Files are not forced to the
disk one by one, which would take milliseconds for each; a machine that loses power may leave an empty or wrong file,
which reading finds by its name. SQLite keeps the records: one is there whole once `put` returns, and other processes
of the machine may read meanwhile.
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

from mblip.data.atomic_write import SQLITE_FULL, full_disk_explained, no_room
from mblip.data.images.files import open_regular
from mblip.data.images.refusal import RefusedImageError

Record = dict[str, str | int]

INDEX_FILE = "fetched.sqlite"
SECONDS_TO_WAIT_FOR_OTHERS = 120.0


class FetchedImages:
    """Reads fetched images by URL; `FetchedImages(folder).read` is what `open_bytes` takes for URLs."""

    def __init__(self, folder: str | Path) -> None:
        self.content = ContentFolder(Path(folder))
        self.index = UrlIndex(Path(folder) / INDEX_FILE)

    def read(self, url: str) -> bytes:
        """The image of a URL.

        Raises:
            RefusedImageError: it was not fetched, or could not be; the message says why.
        """
        record = self.index.get(url.strip())
        if record is None:
            raise RefusedImageError("missing", "it is not fetched yet: mblip fetch --help")
        if "cause" in record:
            raise RefusedImageError("missing", f"fetching failed: {_describe(record)}")
        return self.content.read(str(record["key"]))

    def is_there(self, record: Record) -> bool:
        """Whether the image of a record lies in the folder whole."""
        return "key" in record and self.content.size(str(record["key"])) == record["num_bytes"]


class PartialFile:
    """A file being written and hashed, not yet moved to its final path."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.num_bytes = 0
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, part: bytes) -> None:
        rest = memoryview(part)
        with full_disk_explained(self.path):
            while rest:  # the last bytes that fit are written without an error
                rest = rest[self._file.write(rest) :]
        self._hash.update(part)
        self.num_bytes += len(part)

    @property
    def key(self) -> str:
        return self._hash.hexdigest()


class ContentFolder:
    """Files by key; one process writes, any number may read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count()
        self._partial = folder / "partial"
        with full_disk_explained(folder):
            self._partial.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Where the file of a key lies, or would."""
        return self.folder / "content" / key[:3] / key

    def size(self, key: str) -> int | None:
        """The bytes of a file, None if there is none."""
        try:
            return self.path(key).stat().st_size
        except FileNotFoundError:
            return None

    @contextmanager
    def writing(self) -> Iterator[PartialFile]:
        """A file to write to, part by part. It is gone afterwards unless it was given to `finish`."""
        path = self._partial / str(next(self._numbers))
        with full_disk_explained(path):
            file = open(path, "xb", buffering=0)  # noqa: SIM115 - closed below
        try:
            with file:
                yield PartialFile(path, file)
        finally:
            path.unlink(missing_ok=True)

    def finish(self, file: PartialFile) -> str:
        """Move a written file into place, unless an equal one is there already; returns its key."""
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
                "damaged", f"{self.path(key)} does not hold what its name says. Remove it and store it again."
            )
        return content

    def remove_left_overs(self) -> None:
        """Remove the partial files of killed processes; nobody else may be writing."""
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
        """Keep a record, in place of the URL's last one.

        Raises:
            StorageFullError: there is no room; what was kept before stays.
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
        """This process's connection: a fork must not use that of the process it came from."""
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
    """The text as files and SQLite take it: what is no UTF-8 in a list of URLs, which Python reads as lone surrogates,
    is written out."""
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")


def _describe(record: Record) -> str:
    """The cause of a failure in words."""
    return f"{record['cause']} ({record['detail']})" if record["detail"] else str(record["cause"])
