"""Files on disk named by what they hold: the SHA-256 of their bytes.

    FOLDER/content/abc/abcdef...   each file whole, never changed, once however often it is added
    FOLDER/unfinished/             files being written; they move into place in one step when they are whole

So nothing half written is ever found under a name, in whatever moment a process is killed. Files are not forced to the
disk one by one, which would take milliseconds for each; a machine that loses power may leave an empty or wrong file,
which reading finds by its name.
"""

import contextlib
import hashlib
import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..whole_files import FULL
from .files import open_regular
from .refusal import RefusedImageError

SECONDS_OF_LEFT_OVERS = 24 * 3600  # no write takes so long


class StorageFullError(OSError):
    """There is no more room. What is stored stays, and the same work can go on once there is."""

    def __init__(self, place: Path, error: BaseException) -> None:
        super().__init__(
            f"There is no room to write {place} ({error}). All that is stored already is whole: make room, and run "
            "the same again; it goes on where it stopped."
        )


@contextmanager
def storage_full_named(place: Path) -> Iterator[None]:
    """Turns the system's error of a full disk, quota or file size into `StorageFullError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise StorageFullError(place, error) from error


class UnfinishedFile:
    """A file being written and hashed, not yet in its place."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.num_bytes = 0
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, part: bytes) -> None:
        rest = memoryview(part)
        with storage_full_named(self.path):
            while rest:  # the last bytes that fit are written without an error
                rest = rest[self._file.write(rest) :]
        self._hash.update(part)
        self.num_bytes += len(part)

    @property
    def key(self) -> str:
        return self._hash.hexdigest()


class ContentFolder:
    """Any number of processes may add to one folder at the same time."""

    _numbers = itertools.count()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._unfinished = folder / "unfinished"
        with storage_full_named(folder):
            self._unfinished.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Where the file of a key lies, or would."""
        return self.folder / "content" / key[:3] / key

    def size(self, key: str) -> int | None:
        """The bytes of a file, None if there is none."""
        try:
            return self.path(key).stat().st_size
        except FileNotFoundError:
            return None

    def add(self, content: bytes) -> str:
        """Store bytes; returns their key.

        Raises:
            StorageFullError: there is no room; nothing was stored.
        """
        key = hashlib.sha256(content).hexdigest()
        if self.size(key) != len(content):
            with self.writing() as file:
                file.write(content)
                self.finish(file)
        return key

    @contextmanager
    def writing(self) -> Iterator[UnfinishedFile]:
        """A file to write to, part by part. It is gone afterwards unless it was given to `finish`."""
        path = self._unfinished / f"{os.uname().nodename}-{os.getpid()}-{next(self._numbers)}"
        with storage_full_named(path):
            file = open(path, "xb", buffering=0)  # noqa: SIM115 - closed below
        try:
            with file:
                yield UnfinishedFile(path, file)
        finally:
            path.unlink(missing_ok=True)

    def finish(self, file: UnfinishedFile) -> str:
        """Move a written file to its place, unless an equal one is there already; returns its key."""
        key = file.key
        path = self.path(key)
        if self.size(key) != file.num_bytes:
            with storage_full_named(path):
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

    def remove_left_overs(self, older_than_seconds: float = SECONDS_OF_LEFT_OVERS) -> None:
        """Remove what killed processes left unfinished."""
        for path in self._unfinished.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                if time.time() - path.stat().st_mtime >= older_than_seconds:
                    path.unlink()
