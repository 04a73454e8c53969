"""Run commands of `mblip` in processes of their own, which end or find the disk full at one of their file operations.

A file operation is what Python reports to audit hooks of the folder's files: opening for writing, renaming, removing,
making a folder, and `os.fsync`. What a library writes by native code is not seen; `most_bytes` stops that. Where a Hub
is given, each request to it and each answer count as well.
"""

import errno
import fcntl
import multiprocessing
import os
import random
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from mblip import cli
from tests.hub.client import Client

# Children of a server that has imported the commands already: they are killed at their work, not at their imports.
CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(
    ["mblip.train", "mblip.eval", "mblip.mix.build.command", "mblip.training.publish", "scenes.source", __name__]
)
FSYNC, REQUEST, ANSWER = "tests.fsync", "tests.request", "tests.answer"
TAKES_ROOM = frozenset({"open", "os.mkdir", "os.rename", FSYNC})
OPERATIONS = TAKES_ROOM | {"os.remove", "os.rmdir", "os.truncate", "os.link", REQUEST, ANSWER}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
SECONDS, PIPE_BYTES = 240, 2**20


@dataclass(frozen=True)
class Ending:
    """How a command ended.

    Attributes:
        status: its exit status; negative: the signal that ended it.
        output: what it printed.
        operations: the file operations that it did.
    """

    status: int
    output: str
    operations: tuple[str, ...]


def run(
    command: Sequence[str],
    folder: Path,
    *,
    killed_at: int | None = None,
    full_from: int | None = None,
    most_bytes: int | None = None,
    hub: str | None = None,
) -> Ending:
    """Run `mblip COMMAND` in a process of its own.

    Args:
        folder: whose file operations count, from 0.
        killed_at: the process kills itself instead of this operation.
        full_from: from this operation on, all that would take room find the disk full.
        most_bytes: no file may grow larger.
        hub: the URL of a loopback Hub.
    """
    pipes = [_Pipe(folder.with_name(f"{folder.name}.{name}")) for name in ("output", "operations")]
    child = CHILDREN.Process(
        target=_run,
        args=(list(command), folder, killed_at, full_from, most_bytes, hub, *[pipe.path for pipe in pipes]),
    )
    child.start()
    child.join(SECONDS)
    if is_stuck := child.exitcode is None:
        child.kill()
        child.join()
    output, operations = (pipe.read() for pipe in pipes)
    assert not is_stuck, f"{command[0]} did not end within {SECONDS} s: {output[-2000:]}"
    return Ending(child.exitcode, output, tuple(operations.splitlines()))


def chosen(num_operations: int, most: int) -> list[int]:
    """Operations to stop at, drawn with a seed; all of them if there are no more."""
    return sorted(random.Random(0).sample(range(num_operations), min(most, num_operations)))


def check_refusal(ending: Ending) -> None:
    """It ended with a message, not with a traceback."""
    assert ending.status in (1, 2), ending
    assert "Traceback (most recent call last)" not in ending.output, ending.output[-3000:]
    assert "error: " in ending.output, ending.output[-3000:]


class _Pipe:
    """A named pipe: what a process writes there outlives it, and no limit of file sizes concerns it."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        self.path, self.end = path, os.open(path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self.end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def read(self) -> str:
        """All that was written; closes the pipe."""
        try:
            return os.read(self.end, PIPE_BYTES).decode(errors="replace")
        except BlockingIOError:  # nothing
            return ""
        finally:
            os.close(self.end)


def _run(
    command: list[str],
    folder: Path,
    killed_at: int | None,
    full_from: int | None,
    most_bytes: int | None,
    hub: str | None,
    output: Path,
    operations: Path,
) -> None:
    sys.stdout = sys.stderr = output.open("w", buffering=1)
    log, number = operations.open("w", buffering=1), 0
    sync = os.fsync
    os.fsync = lambda fd: (sys.audit(FSYNC, fd), sync(fd))[1]  # it has no event of its own

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal number
        if event not in OPERATIONS or not _is_within(folder, event, arguments):
            return
        number += 1
        log.write(f"{event} {arguments[0]}\n")
        if number - 1 == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if full_from is not None and number > full_from and event in TAKES_ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))

    if hub is not None:
        Client(SimpleNamespace(url=hub), folder.parent / "home", pytest.MonkeyPatch())  # type: ignore[arg-type]
        send = httpx2.Client.send

        def audited(*arguments: Any, **named: Any) -> httpx2.Response:
            sys.audit(REQUEST, str(arguments[1].url))
            response = send(*arguments, **named)
            sys.audit(ANSWER, str(arguments[1].url))
            return response

        httpx2.Client.send = audited  # type: ignore[method-assign]
    if most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    sys.addaudithook(count)
    cli.main(command)


def _is_within(folder: Path, event: str, arguments: tuple[Any, ...]) -> bool:
    path, folder_of_path = arguments[0], None
    if event in (REQUEST, ANSWER):
        return True
    if event == "open":
        if isinstance(path, int) or not arguments[2] & WRITES:
            return False
    elif event == FSYNC:
        path = os.readlink(f"/proc/self/fd/{path}")
    elif isinstance(arguments[-1], int) and arguments[-1] >= 0 and not os.path.isabs(path):
        folder_of_path = os.readlink(f"/proc/self/fd/{arguments[-1]}")  # as shutil.rmtree removes files
    return Path(os.path.abspath(os.path.join(folder_of_path or "", os.fsdecode(path)))).is_relative_to(folder)
