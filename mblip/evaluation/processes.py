"""One process or several that answer together (torchrun)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

Value = TypeVar("Value")
WAIT = timedelta(days=7)  # for the slowest process: what one has to answer may take long


@contextmanager
def process_group() -> Iterator[torch.device]:
    """Join the processes that torchrun has started, if it has; gives this process's device."""
    has_cuda = torch.cuda.is_available()
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local_rank % torch.cuda.device_count()) if has_cuda else torch.device("cpu")
    if has_cuda:
        torch.cuda.set_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    dist.init_process_group("gloo", timeout=WAIT)  # what is sent are answers: text
    try:
        yield device
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if _is_group() else 0


def num_processes() -> int:
    """How many answer together."""
    return dist.get_world_size() if _is_group() else 1


def is_main_process() -> bool:
    """Whether this process writes."""
    return rank() == 0


def wait_for_all() -> None:
    """Go on when every process has come here."""
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
