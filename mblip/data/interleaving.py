"""Training rows drawn from several sources by weight.

`InterleavedRows` (map-style) has epochs. An epoch ends when the first source is used up. From each other source it
takes as many rows as the weights allow, and different ones in every epoch. `InterleavedStreams` has no epochs. A
stream that is used up starts its own next epoch while the others go on, so no source runs dry and no row is lost.

Within one epoch (of the whole, or of its stream) a row comes at most once. The draws depend on seed and epoch alone,
so a resumed run finds its position.
"""

import itertools
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import datasets
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from .stable_random import stable_random
from .training_rows import ALL_PROMPTS, PromptChoice, SharedEpoch, TrainingRows, TrainingStream


class InterleavedRows(Dataset[dict[str, Any]]):
    """The rows of one epoch from several sources, in proportion to their weights.

    A row number means a different row in every epoch, except in the source that is used up. Like `TrainingRows`, the
    dataset must be told the epoch (see `EpochCallback`). It can be read in any order, such as that of a shuffling
    sampler.

    Raises:
        TypeError: a source is not `TrainingRows`.
        ValueError: a weight is not above 0, or is so small that its source would give less than one row per epoch.
    """

    def __init__(self, sources: Sequence[TrainingRows], weights: Sequence[float], *, seed: int) -> None:
        if others := [type(rows).__name__ for rows in sources if not isinstance(rows, TrainingRows)]:
            raise TypeError(f"A source is of type {others[0]}, which has no epoch. Wrap it in `TrainingRows`.")
        self.sources = tuple(sources)
        self.num_rows_of_sources = rows_an_epoch([len(rows) for rows in sources], weights)
        self._starts = [0, *itertools.accumulate(self.num_rows_of_sources)]
        self._seed = seed
        self._epoch = SharedEpoch()
        self._drawn: tuple[int, list[Sequence[int]]] | None = None  # the epoch, and the rows of each source in it

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the rows read from here on."""
        self._epoch.set(epoch)
        for rows in self.sources:
            rows.set_epoch(epoch)

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, key: int) -> dict[str, Any]:
        if not 0 <= key < len(self):
            raise IndexError(f"Found row number {key}, expected 0 to {len(self) - 1}.")
        source = bisect_right(self._starts, key) - 1
        row: dict[str, Any] = self.sources[source][self._rows_of_epoch()[source][key - self._starts[source]]]
        return row

    def _rows_of_epoch(self) -> list[Sequence[int]]:
        """For each source, the numbers of its rows in this epoch."""
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
    """A stream of `datasets`, read again and again. Each pass is the next epoch, shuffled anew in a buffer.

    The Trainer sees one long epoch, so a resumed run finds its position after the first pass too. Each data loader
    worker counts its own passes, because each reads its own files and finishes them at its own time.

    Args:
        prompts_per_image, choice: as for `TrainingStream`.
        name: of the stream in errors.
    """

    def __init__(
        self,
        rows: datasets.IterableDataset,
        *,
        seed: int,
        shuffle_buffer_size: int,
        prompts_per_image: int | None = None,
        choice: PromptChoice = ALL_PROMPTS,
        name: str = "The stream",
    ) -> None:
        self._name = name
        self._rows, self._seed, self._buffer_size = rows, seed, shuffle_buffer_size
        self._prompts_per_image, self._choice = prompts_per_image, choice

    def one_pass(self, epoch: int) -> TrainingStream:
        """The stream of one epoch, made anew because all workers share the memory that holds a stream's epoch."""
        shuffled = self._rows.shuffle(seed=self._seed, buffer_size=self._buffer_size)
        stream = TrainingStream(shuffled, prompts_per_image=self._prompts_per_image, choice=self._choice)
        stream.set_epoch(epoch)
        return stream

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for epoch in itertools.count():
            is_empty = True
            try:
                for row in self.one_pass(epoch):
                    is_empty = False
                    yield row
            except ValueError as error:  # a bad row
                raise ValueError(f"{self._name}: {error}") from error
            if is_empty:
                raise ValueError(f"{self._name} gave no rows. {_reason()}")


class InterleavedStreams(IterableDataset[dict[str, Any]]):
    """Endless streams as one. Each row comes from a stream drawn by weight.

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


def rows_an_epoch(sizes: Sequence[int], weights: Sequence[float]) -> list[int]:
    """The number of rows of each source in an epoch: the most that the proportions of the weights allow."""
    check_weights(weights)
    exact = [Fraction(str(weight)) for weight in weights]  # exactly as written: 0.1 is 1/10
    scale = min(size / weight for size, weight in zip(sizes, exact, strict=True))
    counts = [int(weight * scale) for weight in exact]
    for number, count in enumerate(counts):
        if not count:
            raise ValueError(
                f"The sources have {', '.join(f'{size:,}' for size in sizes)} rows and the weights "
                f"{', '.join(map(str, weights))}: number {number} (from 0) would give no row per epoch. "
                "Raise its weight, or remove it."
            )
    return counts


def check_weights(weights: Sequence[float]) -> None:
    """Raise ValueError for a weight that is not above 0."""
    for weight in weights:
        if not 0 < weight < float("inf"):
            raise ValueError(f"Found the weight {weight}, expected a number above 0. To skip a source, remove it.")


def _reason() -> str:
    worker = get_worker_info()
    if worker is None:
        return "Check its files, and the chosen tasks and languages."
    return (
        f"Data loader worker {worker.id} of {worker.num_workers} read it; the workers share out the stream's files. "
        "Set `dataloader_num_workers` to at most the number of files with such rows."
    )
