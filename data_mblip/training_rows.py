"""Rows that know their epoch.

Augmentation and the choice of prompts differ from epoch to epoch, and must come out the same after a resume and
however many workers load the data. So the epoch travels inside the row. `TrainingRows` (map-style) and
`TrainingStream` (streaming) write it there, and thereby also tell the collator that a row is for training: evaluation
rows, which the Trainer sends through the same collator, come without and are left as they are.

Who sets the epoch: the Trainer's data loader calls `set_epoch` on a dataset that has it, but with accelerate 1.15 not
on a map-style one in the first epoch after a resume, nor with several processes (`DataLoaderShard.set_epoch` stops at
the sampler). `EpochCallback` closes that gap.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import datasets
import torch
from torch.utils.data import IterableDataset


class SharedEpoch:
    """An epoch number in shared memory, so that persistent data loader workers see it change."""

    def __init__(self) -> None:
        self._value = torch.zeros((), dtype=torch.int64).share_memory_()

    def set(self, epoch: int) -> None:
        self._value.fill_(epoch)

    def get(self) -> int:
        return int(self._value)


class TrainingRows(datasets.Dataset):
    """The rows of a `datasets.Dataset`, each with its epoch in `epoch`.

    It stays a `datasets.Dataset`, which the Trainer's `train_sampling_strategy="group_by_length"` asks for.
    """

    def __init__(self, rows: datasets.Dataset) -> None:
        super().__init__(rows.data, rows.info, rows.split, rows._indices, rows._fingerprint)
        self._epoch = SharedEpoch()

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the rows read from here on."""
        self._epoch.set(epoch)

    def __getitem__(self, key: Any) -> Any:
        """A row for an index; columns come without epoch."""
        item = super().__getitem__(key)
        return {**item, "epoch": self._epoch.get()} if isinstance(key, int) else item

    def __getitems__(self, keys: list[int]) -> list[dict[str, Any]]:
        """The rows of a batch, as the data loader asks for them."""
        return [{**row, "epoch": self._epoch.get()} for row in super().__getitems__(keys)]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in super().__iter__():
            yield {**row, "epoch": self._epoch.get()}


class TrainingStream(IterableDataset):
    """The rows of a stream, each with its epoch in `epoch`.

    A stream of `datasets` is shuffled before it is wrapped (`stream.shuffle(seed=..., buffer_size=...)`) and hears of
    the epoch too. With several processes every one reads the whole stream and takes its part of each batch.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._rows = rows
        self._epoch = SharedEpoch()

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next pass, of a stream of `datasets` too."""
        self._epoch.set(epoch)
        if isinstance(self._rows, datasets.IterableDataset):
            self._rows.set_epoch(epoch)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self._rows:
            yield {**row, "epoch": self._epoch.get()}


def add_length(rows: datasets.Dataset) -> datasets.Dataset:
    """The rows with a column `length`, which `train_sampling_strategy="group_by_length"` sorts by: the characters of a
    row's longest prompt and target.

    Without it the Trainer would look for `input_ids`, which rows do not have.
    """
    return rows.map(_length, input_columns=["prompts", "targets"])


def _length(prompts: list[str], targets: list[str]) -> dict[str, int]:
    return {"length": max(map(len, prompts)) + max(map(len, targets))}
