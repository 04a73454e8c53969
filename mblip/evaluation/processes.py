"""Evaluation with one process, or with several (torchrun)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist

from mblip.atomic_write import LOCK_FILE, locked

Value = TypeVar("Value")
WAIT = timedelta(days=7)  # the timeout while others wait for the slowest process


@contextmanager
def process_group() -> Iterator[torch.device]:
    """Join the process group if torchrun started this process. Yields the device of this process."""
    has_cuda = torch.cuda.is_available()
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local_rank % torch.cuda.device_count()) if has_cuda else torch.device("cpu")
    if has_cuda:
        torch.cuda.set_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    dist.init_process_group("gloo", timeout=WAIT)  # we send answers only, which are text
    try:
        yield device
    finally:
        dist.destroy_process_group()


def starts_as_main() -> bool:
    """Whether torchrun started this process as its first, or did not start it. No process group need exist."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Lock the output folder of a training or an evaluation. The main process does, for all.

    Raises:
        OSError: another training or evaluation is under way there.
    """
    with locked(folder, LOCK_FILE, "training or evaluating into") if starts_as_main() else nullcontext():
        yield


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if _is_group() else 0


def num_processes() -> int:
    """The number of processes."""
    return dist.get_world_size() if _is_group() else 1


def is_main_process() -> bool:
    """Whether this process writes the files."""
    return rank() == 0


def wait_for_all() -> None:
    """Wait until every process has called this."""
    if _is_group():
        dist.barrier()


def gather(value: Value) -> list[Value]:
    """The values of all processes, on each of them."""
    if not _is_group():
        return [value]
    values: list[Value | None] = [None] * num_processes()
    dist.all_gather_object(values, value)
    return [found for found in values if found is not None]


def _is_group() -> bool:
    return dist.is_available() and dist.is_initialized()
