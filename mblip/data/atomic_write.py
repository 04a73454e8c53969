"""Atomic writes: files and folders are written under another name and renamed when they are complete; and
one process at a time in a folder.
"""

import errno
import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # of the disk, a quota, or the size of a file
SQLITE_FULL = frozenset({"database or disk is full", "disk I/O error"})  # the second where a file may not grow


def write_text(path: Path, text: str) -> None:
    """Write a text file, in UTF-8, with the folder it lies in."""
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Where to write a file that appears at `path` when the block ends without an error.

    Raises:
        StorageFullError: the disk is full; the message says that nothing is lost.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}{PARTIAL}")
    with full_disk_explained(path):
        yield partial
    partial.replace(path)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Where to write the files of a folder that appears at `path` when the block ends without an error; what an
    earlier attempt has left is removed.

    Raises:
        StorageFullError: the disk is full; the message says that nothing is lost.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}{PARTIAL}")
    shutil.rmtree(partial, ignore_errors=True)
    with full_disk_explained(path):
        partial.mkdir()
        yield partial
    partial.replace(path)


@contextmanager
def locked(folder: Path, name: str, doing: str) -> Iterator[None]:
    """Hold the folder's lock; it goes with the process, however that ends.

    Args:
        name: of the file that is locked; it stays.
        doing: what the error says another process is doing: "fetching into".

    Raises:
        OSError: another process holds it.
    """
    with (folder / name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(
                f"Another process is {doing} {folder}. Wait for it, or give this one another folder."
            ) from error
        yield


class StorageFullError(OSError):
    """There is no more room. What is finished stays, and the same work can go on once there is."""


@contextmanager
def full_disk_explained(path: Path) -> Iterator[None]:
    """Turns the system's error of a full disk, quota or file size into `StorageFullError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise no_room(path, error.errno) from error


def no_room(path: Path, number: int | None = errno.ENOSPC) -> StorageFullError:
    """The error for a full disk."""
    return StorageFullError(
        number, f"There is no room for {path}. What is finished stays: make room, and run the same command again"
    )
