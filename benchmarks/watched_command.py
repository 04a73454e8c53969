"""Runs a command in a separate process and records its time, its memory, and the files it opens.

We read memory from /proc every few milliseconds, and the kernel's inotify reports every opened file, so this needs
Linux. Two sizes differ if files are mapped into memory. Resident memory is everything that the process touched.
Anonymous memory excludes views of files, which the kernel can reclaim. A machine must have the anonymous memory.
"""

import ctypes
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SECONDS_BETWEEN_LOOKS = 0.005
ANONYMOUS_SIZE, HIGHEST_SIZE = "RssAnon", "VmHWM"
OPENED = 0x20  # IN_OPEN of inotify
EVENT = struct.Struct("iIII")  # watch, kind, cookie, length of the name that follows


@dataclass(frozen=True)
class Watched:
    """The record of a command. `opened` holds the names of files that were opened in the watched folders."""

    seconds: float
    peak_anonymous_bytes: int
    peak_resident_bytes: int
    opened: frozenset[Path]


def run_watched(arguments: Sequence[str], folders: Sequence[Path]) -> Watched:
    """Run Python with these arguments and watch the process and the folders until it ends.

    Raises:
        RuntimeError: the command failed; the error holds the end of what it printed.
    """
    anonymous = resident = 0
    opened: set[Path] = set()
    with _watch(folders) as watches, tempfile.TemporaryFile() as printed:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        while process.poll() is None:
            sizes = _sizes(process.pid)
            anonymous = max(anonymous, sizes.get(ANONYMOUS_SIZE, 0))
            resident = max(resident, sizes.get(HIGHEST_SIZE, 0))
            opened |= _opened(watches)
            time.sleep(SECONDS_BETWEEN_LOOKS)
        seconds = time.perf_counter() - began
        opened |= _opened(watches)
        if process.returncode:
            printed.seek(0)
            end = printed.read()[-2000:].decode(errors="replace")
            raise RuntimeError(f"`python {' '.join(arguments)}` ended with {process.returncode}:\n{end}")
    return Watched(seconds, anonymous, resident, frozenset(opened))


def _sizes(process_id: int) -> dict[str, int]:
    """The sizes in bytes that the kernel tells; none once the process is at its end."""
    fields = (line.split() for line in Path(f"/proc/{process_id}/status").read_text().splitlines())
    return {field[0].rstrip(":"): int(field[1]) * 1024 for field in fields if field[-1] == "kB"}


@dataclass(frozen=True)
class _Watches:
    descriptor: int
    folders: dict[int, Path]


@contextmanager
def _watch(folders: Sequence[Path]) -> Iterator[_Watches]:
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "inotify, which reports opened files, is not available")
    try:
        numbers = {library.inotify_add_watch(descriptor, os.fsencode(folder), OPENED): folder for folder in folders}
        if -1 in numbers:
            raise OSError(ctypes.get_errno(), "inotify cannot watch this folder", str(numbers[-1]))
        yield _Watches(descriptor, numbers)
    finally:
        os.close(descriptor)


def _opened(watches: _Watches) -> set[Path]:
    """The files opened since the last call."""
    try:
        events = os.read(watches.descriptor, 1 << 20)
    except BlockingIOError:  # nothing was
        return set()
    found, position = set(), 0
    while position < len(events):
        number, _, _, length = EVENT.unpack_from(events, position)
        name = events[position + EVENT.size : position + EVENT.size + length].rstrip(b"\0")
        if name:  # none where the folder itself is opened
            found.add(watches.folders[number] / os.fsdecode(name))
        position += EVENT.size + length
    return found
