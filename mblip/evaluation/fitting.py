"""Batches that fit into the memory of the device: found by halving, as accelerate's `find_executable_batch_size` does,
but within a batch, so that what is done stays done."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

logger = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


class Fitting:
    """Does work batch by batch, and in halves where the device's memory is too small, from then on too."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.limit: int | None = None

    def run(self, work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]) -> list[Result]:
        """`work` on all items, in their order.

        Raises:
            torch.OutOfMemoryError: there is no room for a single one.
        """
        size = len(items) if self.limit is None else min(len(items), self.limit)
        results: list[Result] = []
        while len(results) < len(items):
            part = items[len(results) : len(results) + size]
            try:
                results += work(part)
            except torch.OutOfMemoryError:
                if len(part) == 1:
                    raise
                torch.cuda.empty_cache()
                size = self.limit = len(part) // 2
                logger.warning("No room for %d %s at once; going on with %d.", len(part), self.what, size)
        return results
