"""Training rows drawn from several sources by weight.

`InterleavedRows` (map-style) has epochs: one ends where the first source is used up, and of the others as many rows
came as their weights allow, other ones in every epoch. `InterleavedStreams` has none: a stream that is used up begins
anew, as the next epoch of its own, while the others go on; so no source runs dry, and none of its rows is left behind.
Either way a row comes once at most in an epoch (of the whole, or of its stream), and what comes is drawn by the seed
and the epoch alone, so that a resumed run finds its place.
"""

import itertools
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import datasets
from torch.utils.data import Dataset, IterableDataset, get_worker_info
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .stable_random import stable_random
from .training_rows import ALL_PROMPTS, PromptChoice, SharedEpoch, TrainingRows, TrainingStream


class InterleavedRows(Dataset[dict[str, Any]]):
    """The rows of one epoch out of several sources, of each in proportion to its weight.

    Row numbers mean other rows in every epoch, but for the source that is used up. Like `TrainingRows` it needs to be
    told the epoch (`EpochCallback`); read in any order, such as that of a shuffling sampler.

    Raises:
        ValueError: a weight is not above 0, or so small that its source would give less than one row an epoch.
    """

    def __init__(self, sources: Sequence[TrainingRows], weights: Sequence[float], *, seed: int) -> None:
        self.sources = tuple(sources)
        self.num_rows_of_sources = rows_an_epoch([len(rows) for rows in sources], weights)
        self._starts = [0, *itertools.accumulate(self.num_rows_of_sources)]
        self._seed = seed
        self._epoch = SharedEpoch()
        self._drawn: tuple[int, list[Sequence[int]]] | None = None  # of an epoch: the rows of each source

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the rows read from here on."""
        self._epoch.set(epoch)
        for rows in self.sources:
            rows.set_epoch(epoch)

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, key: int) -> dict[str, Any]:
        if not 0 <= key < len(self):
            raise IndexError(f"Found the row number {key}, expected 0 to {len(self) - 1}.")
        source = bisect_right(self._starts, key) - 1
        row: dict[str, Any] = self.sources[source][self._rows_of_epoch()[source][key - self._starts[source]]]
        return row

    def _rows_of_epoch(self) -> list[Sequence[int]]:
        """For each source, the numbers of its rows that come in this epoch."""
        epoch = self._epoch.get()
        if self._drawn is None or self._drawn[0] != epoch:
            counts = zip(self.sources, self.num_rows_of_sources, strict=True)
            self._drawn = epoch, [self._draw(len(rows), count, epoch, i) for i, (rows, count) in enumerate(counts)]
        return self._drawn[1]

    def _draw(self, num_rows: int, count: int, epoch: int, source: int) -> Sequence[int]:
        if count == num_rows:
            return range(num_rows)
        return stable_random(self._seed, "rows of an epoch", epoch, source).sample(range(num_rows), count)


class EndlessStream(IterableDataset[dict[str, Any]]):
    """A stream of `datasets` read again and again, shuffled anew in a buffer, each time as the next epoch.

    To the Trainer it is one long epoch, so that a resumed run can find its place behind the first pass, too. The data
    loader's workers count their passes apart: each has files of its own, and comes to their end when it does.

    Args:
        prompts_per_image, choice: as for `TrainingStream`.
    """

    def __init__(
        self,
        rows: datasets.IterableDataset,
        *,
        seed: int,
        shuffle_buffer_size: int,
        prompts_per_image: int | None = None,
        choice: PromptChoice = ALL_PROMPTS,
    ) -> None:
        self._rows, self._seed, self._buffer_size = rows, seed, shuffle_buffer_size
        self._prompts_per_image, self._choice = prompts_per_image, choice

    def _pass(self, epoch: int) -> TrainingStream:
        """The stream of an epoch. It is made anew, since a stream's epoch is in memory that all workers share."""
        shuffled = self._rows.shuffle(seed=self._seed, buffer_size=self._buffer_size)
        stream = TrainingStream(shuffled, prompts_per_image=self._prompts_per_image, choice=self._choice)
        stream.set_epoch(epoch)
        return stream

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for epoch in itertools.count():
            is_empty = True
            for row in self._pass(epoch):
                is_empty = False
                yield row
            if is_empty:
                raise ValueError(f"The stream gave no rows. {_reason()}")


class InterleavedStreams(IterableDataset[dict[str, Any]]):
    """Endless streams as one: every row comes from a stream drawn by weight.

    Raises:
        ValueError: a weight is not above 0.
    """

    def __init__(self, streams: Sequence[EndlessStream], weights: Sequence[float], *, seed: int) -> None:
        check_weights(weights)
        self.streams, self.weights, self._seed = tuple(streams), tuple(weights), seed

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        draw = stable_random(self._seed, "stream of a row", 0 if worker is None else worker.id)
        iterators = [iter(stream) for stream in self.streams]
        while True:
            yield next(draw.choices(iterators, self.weights)[0])


class EpochCallback(TrainerCallback):
    """Tells rows their epoch where the Trainer's data loader does not (training_rows.py says where).

    `Trainer(..., train_dataset=TrainingRows(rows), callbacks=[EpochCallback()])`
    """

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Set the epoch that begins. A stream is told by accelerate, which alone knows how often it was read."""
        rows = kwargs["train_dataloader"].dataset
        if isinstance(rows, TrainingRows | InterleavedRows):
            rows.set_epoch(int(state.epoch or 0))


def rows_an_epoch(sizes: Sequence[int], weights: Sequence[float]) -> list[int]:
    """How many rows of each source an epoch has: as many as there can be in proportion to the weights."""
    check_weights(weights)
    exact = [Fraction(str(weight)) for weight in weights]  # 0.1 as it is written
    scale = min(size / weight for size, weight in zip(sizes, exact, strict=True))
    counts = [int(weight * scale) for weight in exact]
    for number, count in enumerate(counts):
        if not count:
            raise ValueError(
                f"The sources have {', '.join(f'{size:,}' for size in sizes)} rows and the weights "
                f"{', '.join(map(str, weights))}: number {number} (from 0) would give none an epoch. Raise its weight "
                "or take it out."
            )
    return counts


def check_weights(weights: Sequence[float]) -> None:
    """Raises ValueError for a weight that is not above 0."""
    for weight in weights:
        if not 0 < weight < float("inf"):
            raise ValueError(f"Found the weight {weight}, expected a number above 0. Leave the source out instead.")


def _reason() -> str:
    worker = get_worker_info()
    if worker is None:
        return "Check its files, and the tasks and languages asked for."
    return (
        f"It was read by the data loader's worker {worker.id} of {worker.num_workers}, among which the files of a "
        "stream are shared out. Give no more workers than there are files with such rows (`dataloader_num_workers`)."
    )
