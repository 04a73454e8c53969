"""Atomic writes, and locks on folders.

A file or folder is written under another name and renamed once it is complete. A lock lets one process at a time work
in a folder.
"""

import errno
import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # disk, quota or file size
SQLITE_FULL = frozenset({"database or disk is full", "disk I/O error"})  # second: file may not grow


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8. Its folder is created if needed."""
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a path to write to. The file appears at `path` when the block ends without an error.

    Raises:
        StorageFullError: the disk is full. The message says that nothing is lost.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}{PARTIAL}")
    with full_disk_explained(path):
        yield partial
    partial.replace(path)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a folder to write to. It appears at `path` when the block ends without an error.

    What an earlier attempt left behind is removed.

    Raises:
        StorageFullError: the disk is full. The message says that nothing is lost.
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
    """Hold the folder's lock. The system releases it when the process ends, however it ends.

    Args:
        name: the name of the lock file. The file stays.
        doing: what the other process is doing, for the error: "fetching into".
    Raises:
        OSError: another process holds the lock.
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
    """There is no space left. Finished work stays; the same work can go on once there is space."""


@contextmanager
def full_disk_explained(path: Path) -> Iterator[None]:
    """Turn the system's error for a full disk, quota or file size limit into `StorageFullError`."""
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
