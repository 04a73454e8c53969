"""Files on disk named by what they hold: the SHA-256 of their bytes.

    FOLDER/content/abc/abcdef...   each file whole, never changed, once however often it is fetched
    FOLDER/unfinished/             files being written; they move into place in one step when they are whole

So nothing half written is ever found under a name, in whatever moment a process is killed. Files are not forced to the
disk one by one, which would take milliseconds for each; a machine that loses power may leave an empty or wrong file,
which reading finds by its name.
"""

import hashlib
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mblip.data.images.files import open_regular
from mblip.data.images.refusal import RefusedImageError
from mblip.data.whole_files import FULL


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
    """Files by key; one process writes, any number may read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count()
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

    @contextmanager
    def writing(self) -> Iterator[UnfinishedFile]:
        """A file to write to, part by part. It is gone afterwards unless it was given to `finish`."""
        path = self._unfinished / str(next(self._numbers))
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

    def remove_left_overs(self) -> None:
        """Remove what killed processes left unfinished; nobody else may be writing."""
        for path in self._unfinished.iterdir():
            path.unlink()
