"""Atomic writes, manifests that prove what was written, and locks on folders.

A file or folder is written under another name, synced to the disk, and renamed once it is complete. After a power loss
it is therefore whole or not there. A manifest lists the files of a folder with size and digest. A lock lets one
process at a time work in a folder.
"""

import errno
import fcntl
import hashlib
import json
import logging
import os
import shutil
import socket
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TextIO

logger = logging.getLogger(__name__)

PARTIAL = ".partial"
MANIFEST_FILE = "manifest.json"
LOCK_FILE = ".lock"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # disk, quota or file size
# What libraries say that raise no OSError for a full disk. The last three are torch's, which does not tell the cause.
FULL_TEXTS = (
    *map(os.strerror, sorted(FULL)),
    *("PytorchStreamWriter failed writing", "unexpected pos", "basic_ios::clear: iostream error"),
)
SQLITE_FULL = frozenset({"database or disk is full", "disk I/O error"})  # second: file may not grow
WITHOUT_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP})  # some network file systems


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8. Its folder is created if needed."""
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def read_json(path: Path, hint: str) -> dict[str, Any]:
    """Read a JSON object. Raises ValueError if the file holds none, with `hint`: what to do then."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}), expected a JSON object. {hint}") from error
    return found


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a path to write to. The file appears at `path` when the block ends without an error.

    Raises:
        StorageFullError: the disk is full. The message says that nothing is lost.
    """
    partial = path.with_name(f".{path.name}{PARTIAL}")
    with full_disk_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        _sync(partial)
        partial.replace(path)
        _sync(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a folder to write to. It appears at `path` when the block ends without an error.

    What this or an earlier attempt leaves behind is removed.

    Raises:
        StorageFullError: the disk is full. The message says that nothing is lost.
        OSError: another process is writing this folder.
    """
    partial = path.with_name(f".{path.name}{PARTIAL}")
    with locked(path.parent, f".{path.name}{LOCK_FILE}", f"writing {path.name} into"), full_disk_explained(path):
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir()
            yield partial
            sync_tree(partial)
            partial.replace(path)
            _sync(path.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def sync_tree(folder: Path) -> None:
    """Wait until a folder with all it holds is on the disk."""
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot sync folders
            raise
    finally:
        os.close(descriptor)


def write_manifest(folder: Path, *, without: str | None = None) -> None:
    """Declare a folder complete: once all of it is on the disk, write a manifest with size and digest of each file.

    The digests guard against accidents, not against forgery, so they are fast ones. The file `without` may change.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (MANIFEST_FILE, without))
    with ThreadPoolExecutor(max_workers=1) as pool:
        digests = pool.map(_digest, paths)  # while the disk writes
        sync_tree(folder)
    manifest = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "xxh3_128": digest}
        for path, digest in zip(paths, digests, strict=True)
    }
    write_text(folder / MANIFEST_FILE, json.dumps(manifest, indent=1) + "\n")


def find_damage(folder: Path) -> str | None:
    """What is wrong with the first file of a folder that differs from the manifest; None if all are as written."""
    try:
        manifest = read_json(folder / MANIFEST_FILE, "")
        expected = [(name, entry["bytes"], entry["xxh3_128"]) for name, entry in manifest.items()]
    except (OSError, ValueError, TypeError, KeyError):
        expected = []
    if not expected:
        return f"{MANIFEST_FILE} is missing, or does not list files with their sizes and digests"
    for name, size, digest in expected:
        path = folder / name
        try:
            found = path.stat()
            if found.st_size != size:
                return f"{name} has {found.st_size} bytes, expected {size}"
            if (other := _digest_once(path, found.st_ino, found.st_mtime_ns)) != digest:
                return f"{name} has the digest {other}, expected {digest}"
        except FileNotFoundError:
            return f"{name} is missing"
        except (OSError, ValueError) as error:
            return f"{name} cannot be read ({error})"
    return None


def _digest(path: Path) -> str:
    from xxhash import xxh3_128  # here, because whoever writes no manifest needs no extra

    with path.open("rb") as file:
        return hashlib.file_digest(file, xxh3_128).hexdigest()


@cache
def _digest_once(path: Path, inode: int, nanoseconds: int) -> str:
    """The digest of a file, which is read again if it was replaced or changed."""
    return _digest(path)


_held: set[TextIO] = set()
# A forked worker that outlives its killed parent must not keep the parent's locks.
os.register_at_fork(after_in_child=lambda: [_held.pop().close() for _ in range(len(_held))])


@contextmanager
def locked(folder: Path, name: str, doing: str) -> Iterator[None]:
    """Hold the lock of a folder, which is created if needed. The system releases it however the process ends.

    Args:
        name: the name of the lock file.
        doing: what the other process is doing, for the error: "fetching into".

    Raises:
        OSError: another process holds the lock, the folder cannot be written, or its disk is full.
    """
    with full_disk_explained(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = _lock(folder / name, f"{doing} {folder}")
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise type(error)(f"{folder} cannot be written: {error}. Give another folder.") from error
        _held.add(file)
        try:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            yield
        finally:
            if file in _held:  # not in a forked process
                _held.remove(file)
                (folder / name).unlink(missing_ok=True)  # before the lock is released: nobody else holds it
                file.close()


def _lock(path: Path, doing: str) -> TextIO:
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            with file:
                file.seek(0)
                holder = file.read() or "not known"
            raise OSError(
                f"Another process is {doing}. Wait for it, or give this one another folder. It is {holder}."
            ) from error
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                file.close()
                raise
            logger.warning("%s cannot be locked (%s). See to it that no other process writes there.", path, error)
            return file
        if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
            return file
        file.close()  # its last holder has removed it in the meantime


class StorageFullError(OSError):
    """There is no space left. Finished work stays; the same work can go on once there is space."""


@contextmanager
def full_disk_explained(path: Path) -> Iterator[None]:
    """Turn an error for a full disk, quota or file size limit into `StorageFullError`."""

    def explain(kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None and not isinstance(error, StorageFullError) and is_full(error):
            raise no_room(path, error) from error

    with ExitStack() as stack:  # no `except`: tokenizers raises a bare Exception
        stack.push(explain)
        yield


def is_full(error: BaseException) -> bool:
    """Whether the system or a library says that a disk, quota or file is full."""
    has_number = isinstance(error, OSError) and error.errno in FULL
    return has_number or (not isinstance(error, ValueError) and any(text in str(error) for text in FULL_TEXTS))


def no_room(path: Path, error: BaseException | None = None) -> StorageFullError:
    """The error for a full disk, of which `error` tells. It may name another file than `path`."""
    if isinstance(error, StorageFullError):
        return error
    number, said = errno.ENOSPC, os.strerror(errno.ENOSPC)
    if isinstance(error, OSError) and error.errno in FULL:
        number, said, path = error.errno, os.strerror(error.errno), Path(error.filename or path)
    elif error is not None:
        said = textwrap.shorten(str(error), 200)
    there = next(parent for parent in path.absolute().parents if parent.exists())
    return StorageFullError(
        number,
        f"There is no room for {path} ({said}; {shutil.disk_usage(there).free / 2**20:,.1f} MiB are free). What is "
        "finished stays: make room, and run the same command again",
    )
