"""The rows for training: with all prompts or a choice, with their epoch, and checked once.

Augmentation and the choice of prompts change with the epoch. They must be the same after a resume and with any number
of data loader workers, so the epoch travels inside the row. `TrainingRows` (map-style) and `TrainingStream`
(streaming) write it there. It also marks a row as a training row. The Trainer sends evaluation rows through the same
collator; these have no epoch and stay unchanged.

The Trainer's data loader calls `set_epoch` on a dataset that has it. accelerate 1.15 does not call it on a map-style
dataset in the first epoch after a resume, nor with several processes (`DataLoaderShard.set_epoch` stops at the
sampler). `EpochCallback` covers these cases.
"""

import heapq
import inspect
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import datasets
import numpy
import pyarrow.compute
import torch
from torch.utils.data import IterableDataset, get_worker_info

from .example import (
    FEATURES,
    FEATURES_WITH_PROVENANCE,
    IMAGE_TOKEN,
    PROMPT_COLUMNS,
    PROVENANCE,
    check_columns,
    check_row,
    check_values,
    missing_columns,
)
from .languages import get_language
from .prompts import get_task

TURN_SPACING = 512  # the number of rows between two turns of one row in a stream
CHOSEN_BY = ("tasks", "languages", "sources")  # columns of rows

# `datasets` 5.2 waits so many seconds at the end of each pass over a shuffled stream, for threads that have ended by
# then. `shuffle(max_buffer_input_shards=1)` would not wait either, but gives longer streams in another order.
datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0


@dataclass(frozen=True)
class PromptChoice:
    """The prompts of `tasks` that are in `languages` and come from `sources`. None takes any.

    Raises:
        ValueError: a task or a language is unknown, or a choice is empty.
    """

    tasks: frozenset[str] | None = None
    languages: frozenset[str] | None = None
    sources: frozenset[str] | None = None

    def __post_init__(self) -> None:
        for name, chosen in self._chosen:
            if chosen is not None and not chosen:
                raise ValueError(f"`{name}` is empty, expected at least one entry. Omit it to take all.")
        for task in self.tasks or ():
            get_task(task)
        for language in self.languages or ():
            get_language(language)

    def __str__(self) -> str:
        named = [f"the {name} {', '.join(sorted(chosen))}" for name, chosen in self._chosen if chosen is not None]
        return " in ".join(named) or "any"

    @property
    def is_all(self) -> bool:
        """Whether every prompt is chosen."""
        return all(chosen is None for _, chosen in self._chosen)

    @property
    def _chosen(self) -> list[tuple[str, frozenset[str] | None]]:
        """The choice for each column of `CHOSEN_BY`, in order."""
        return list(zip(CHOSEN_BY, (self.tasks, self.languages, self.sources), strict=True))

    def positions(self, *columns: Iterable[str]) -> list[int]:
        """The positions of the chosen prompts, given each prompt's task, language and source."""
        wanted = [chosen for _, chosen in self._chosen]
        return [
            position
            for position, entries in enumerate(zip(*columns, strict=True))
            if all(chosen is None or entry in chosen for entry, chosen in zip(entries, wanted, strict=True))
        ]

    def of_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row with only the chosen prompts, possibly none.

        A row that lacks a column of `CHOSEN_BY` stays unchanged.
        """
        if self.is_all or not row.keys() >= set(CHOSEN_BY):
            return dict(row)
        positions = self.positions(*(row[column] for column in CHOSEN_BY))
        columns = [column for column in (*PROMPT_COLUMNS, PROVENANCE) if row.get(column) is not None]
        return {**row} | {column: _at(row[column], positions) for column in columns}


ALL_PROMPTS = PromptChoice()


def _at(entries: Sequence[Any], positions: Iterable[int]) -> list[Any]:
    return [entries[position] for position in positions]


class SharedEpoch:
    """An epoch number in shared memory, so that persistent data loader workers see it change."""

    def __init__(self) -> None:
        self._value = torch.zeros((), dtype=torch.int64).share_memory_()

    def set(self, epoch: int) -> None:
        self._value.fill_(epoch)

    def get(self) -> int:
        return int(self._value)

    def __setstate__(self, state: dict[str, torch.Tensor]) -> None:
        self._value = state["_value"].share_memory_()  # a copy has shared memory of its own


class TrainingRows(datasets.Dataset):
    """The rows of a `datasets.Dataset`, each with its epoch in `epoch`.

    It is a `datasets.Dataset` only because the Trainer's `train_sampling_strategy="group_by_length"` requires one. The
    methods of `datasets` would drop epochs and turns, so they raise TypeError. Call them on the rows you wrap.

    Args:
        prompts_per_image: the number of prompts per turn. A row with more prompts comes several times, each time with
            the number of its `turn`, so an epoch shows every prompt once. None: every row comes once, and the collator
            takes different prompts of it in every epoch.
        choice: rows hold only these prompts, and rows without any do not come. Columns still hold all prompts.
    Raises:
        TypeError: `rows` is not a `datasets.Dataset`, or has a format.
        ValueError: there are no rows, or none with a chosen prompt; or a row is bad (see `check_row`), which the
            message names.
    """

    def __init__(
        self, rows: datasets.Dataset, *, prompts_per_image: int | None = None, choice: PromptChoice = ALL_PROMPTS
    ) -> None:
        if not isinstance(rows, datasets.Dataset) or isinstance(rows, TrainingRows):
            raise _wrong_kind(rows, "a `datasets.Dataset` without epochs")
        if rows.format["type"] is not None or rows.format["columns"] != rows.column_names:
            raise TypeError(f"The rows have the format {rows.format}, expected none: `rows.with_format(None)`.")
        rows = _close_images(rows)
        if not len(rows):
            raise ValueError("There are no rows, expected at least one. Check what was filtered or selected.")
        _check_rows(rows, choice)
        turns: numpy.ndarray | None = None
        if prompts_per_image is not None or not choice.is_all:
            num_turns_of_rows = _count_turns(rows, prompts_per_image, choice)
            rows = rows.select(numpy.repeat(numpy.arange(len(rows)), num_turns_of_rows))
            turns = numpy.concatenate([numpy.arange(count) for count in num_turns_of_rows])
        self._rows = rows  # no table of its own, so that nothing of `datasets` takes it without epochs and turns
        self._epoch = SharedEpoch()
        self._turns = None if prompts_per_image is None else turns
        self._choice = choice

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the rows read from here on."""
        self._epoch.set(epoch)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any) -> Any:
        """A row for an index. Columns come without the epoch."""
        if isinstance(key, str):
            return self._rows[key]
        if isinstance(key, bool) or not isinstance(key, int | numpy.integer):
            raise TypeError(f"Found rows[{key!r}], expected a row's number or a column's name. Read rows one by one.")
        return self._marked(self._rows[int(key)], int(key))

    def __getitems__(self, keys: list[int]) -> list[dict[str, Any]]:
        """The rows of a batch, as the data loader requests them."""
        return [self._marked(row, key) for row, key in zip(self._rows.__getitems__(keys), keys, strict=True)]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for position, row in enumerate(self._rows):
            yield self._marked(row, position)

    def __repr__(self) -> str:
        return f"TrainingRows({self._rows!r})"

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @property
    def num_rows(self) -> int:
        return len(self)

    @property
    def column_names(self) -> list[str]:
        return self._rows.column_names

    def _marked(self, row: dict[str, Any], position: int) -> dict[str, Any]:
        turn = {} if self._turns is None else {"turn": int(self._turns[position])}
        return self._choice.of_row(row) | {"epoch": self._epoch.get()} | turn

    def count_images(self) -> int:
        """The number of rows (image sets), each counted once however often it comes."""
        return len(self) if self._turns is None else int((self._turns == 0).sum())

    def count_prompts(self) -> Counter[str]:
        """The number of prompts of each language."""
        counts: Counter[str] = Counter()
        for position, (tasks, languages, sources) in enumerate(zip(*(self[name] for name in CHOSEN_BY), strict=True)):
            if self._turns is None or self._turns[position] == 0:
                counts.update(languages[position] for position in self._choice.positions(tasks, languages, sources))
        return counts


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            f"`TrainingRows` have no `{name}`: the result would have neither epochs nor turns. "
            f"Call it on the rows, or join them, before you wrap them: `TrainingRows(rows.{name}(...))`."
        )

    return refuse


for _name in dir(datasets.Dataset):
    if not _name.startswith("_") and _name not in vars(TrainingRows):
        _is_property = isinstance(inspect.getattr_static(datasets.Dataset, _name), property)
        setattr(TrainingRows, _name, property(_refusing(_name)) if _is_property else _refusing(_name))


class TrainingStream(IterableDataset):
    """The rows of a stream, each with its epoch in `epoch`.

    Shuffle a stream of `datasets` before you wrap it: `stream.shuffle(seed=..., buffer_size=...)`. It is told the
    epoch too. Data loader workers share out the files of a stream of `datasets`, and the rows of anything else. With
    several processes, each reads the whole stream and takes its part of each batch. A bad row raises when it is read,
    as in `TrainingRows`.

    Args:
        rows: a stream of `datasets`, or anything that gives its rows in each pass, such as a list.
        prompts_per_image: as for `TrainingRows`. A row's turns come `TURN_SPACING` rows apart, so that they fall into
            different batches. Up to that many rows are kept in memory.
        choice: as for `TrainingRows`.
    Raises:
        TypeError: `rows` can be read only once, has epochs, or gives no rows.
    """

    def __init__(
        self,
        rows: Iterable[Mapping[str, Any]],
        *,
        prompts_per_image: int | None = None,
        choice: PromptChoice = ALL_PROMPTS,
    ) -> None:
        if isinstance(rows, Iterator):
            raise TypeError(
                f"The rows come from a {type(rows).__name__}, which can be read only once, expected rows for every "
                "epoch. Give a list, or `datasets.IterableDataset.from_generator(...)` of a function."
            )
        if isinstance(rows, TrainingRows | TrainingStream | Mapping | str) or not isinstance(rows, Iterable):
            raise _wrong_kind(rows, "a stream of `datasets` or a list of rows, without epochs")
        self._rows = _close_images(rows) if isinstance(rows, datasets.IterableDataset) else rows
        self._prompts_per_image = prompts_per_image
        self._choice = choice
        self._epoch = SharedEpoch()

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next pass, and that of a wrapped stream of `datasets`."""
        self._epoch.set(epoch)
        if isinstance(self._rows, datasets.IterableDataset):
            self._rows.set_epoch(epoch)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self._prompts_per_image is None:
            for row in self._chosen():
                yield {**row, "epoch": self._epoch.get()}
            return
        for row, turn in _in_turns(self._chosen(), self._prompts_per_image):
            yield {**row, "epoch": self._epoch.get(), "turn": turn}

    def _chosen(self) -> Iterator[Mapping[str, Any]]:
        for row in self._rows_of_worker():
            if not isinstance(row, Mapping):
                raise ValueError(f"A row is of type {type(row).__name__}, expected columns with their values.")
            if "prompts" not in row and not (self._choice.is_all and self._prompts_per_image is None):
                check_columns(row)
            is_whole = not missing_columns(row)  # else the collator raises
            if is_whole:
                check_values(row)
            chosen = self._choice.of_row(row)
            if self._choice.is_all or chosen["prompts"]:
                if is_whole:
                    check_row(chosen)
                yield chosen

    def _rows_of_worker(self) -> Iterator[Mapping[str, Any]]:
        worker = get_worker_info()
        if worker is None or isinstance(self._rows, datasets.IterableDataset):
            return iter(self._rows)
        if isinstance(self._rows, IterableDataset):
            raise ValueError(
                f"Data loader worker {worker.id} of {worker.num_workers} cannot know its rows of a "
                f"{type(self._rows).__name__}. Set `dataloader_num_workers=0`, or give a stream of `datasets`."
            )
        return itertools.islice(self._rows, worker.id, None, worker.num_workers)


def _close_images(rows: Any) -> Any:
    """The rows with images as stored. `datasets` would open them, and also the files that rows only name."""
    feature = (rows.features or {}).get("images")
    image = feature.feature if isinstance(feature, datasets.List | datasets.LargeList) else None
    if not (isinstance(image, datasets.Image) and image.decode):
        return rows
    if isinstance(rows, datasets.IterableDataset):
        return rows.cast_column("images", FEATURES["images"])
    info = rows.info.copy()  # not `cast`, which rewrites all rows
    info.features = datasets.Features({**rows.features, "images": FEATURES["images"]})
    return datasets.Dataset(rows.data, info, rows.split, rows._indices, rows._fingerprint)


def _wrong_kind(rows: object, expected: str) -> TypeError:
    splits = f" Choose one of its splits: {', '.join(map(str, rows))}." if isinstance(rows, Mapping) else ""
    return TypeError(f"The rows are of type {type(rows).__name__}, expected {expected}.{splits}")


def num_turns(num_prompts: int, prompts_per_image: int | None) -> int:
    """How many times a row comes until each of its prompts had a turn. 1 without turns."""
    if prompts_per_image is not None and prompts_per_image < 1:
        raise ValueError(f"`prompts_per_image` is {prompts_per_image}, expected at least 1.")
    return 1 if prompts_per_image is None else max(1, math.ceil(num_prompts / prompts_per_image))


def _in_turns(rows: Iterable[Mapping[str, Any]], prompts_per_image: int) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Each row once per turn, with later turns apart from the first."""
    waiting: list[tuple[int, int, int, Mapping[str, Any]]] = []  # (due at row, row number, turn, row)
    for number, row in enumerate(rows):
        yield row, 0
        for turn in range(1, num_turns(len(row["prompts"]), prompts_per_image)):
            heapq.heappush(waiting, (number + turn * TURN_SPACING, number, turn, row))
        while waiting and waiting[0][0] <= number:
            _, _, turn, due = heapq.heappop(waiting)
            yield due, turn
    while waiting:
        _, _, turn, due = heapq.heappop(waiting)
        yield due, turn


def _check_rows(rows: datasets.Dataset, choice: PromptChoice) -> None:
    """Raise ValueError, as `check_row` does, for the first bad row.

    Reads whole text columns and no images. Missing columns are left to the collator, because the Trainer may have
    removed them.
    """
    if missing_columns(rows.column_names):
        return
    suspicious = _suspicious(rows.data)
    if rows._indices is not None:
        suspicious &= set(rows._indices.column(0).to_pylist()) if suspicious else set()
    for number in sorted(suspicious):
        row = rows.data.fast_slice(number, 1).to_pylist()[0]
        check_values(row)
        row = choice.of_row(row)
        if choice.is_all or row["prompts"]:
            check_row(row)


def _suspicious(table: datasets.table.Table) -> set[int]:
    """The rows of a table with a null, values of a wrong type, lists of unequal length or a possibly bad target."""
    lists = (*PROMPT_COLUMNS, PROVENANCE) if PROVENANCE in table.schema.names else PROMPT_COLUMNS
    expected = FEATURES_WITH_PROVENANCE.arrow_schema
    is_other = any(table.schema.field(name).type != expected.field(name).type for name in ("image_id", *lists))
    if is_other or not isinstance(table.schema.field("images").type, pyarrow.ListType | pyarrow.LargeListType):
        return set(range(len(table)))
    counts = [pyarrow.compute.list_value_length(table.column(name)) for name in lists]
    lengths = [pyarrow.compute.coalesce(count, counts[0]).to_numpy() for count in counts]  # provenance may be null
    is_bad = (lengths[0] == 0) | numpy.any([mine != lengths[0] for mine in lengths], axis=0)
    for name in ("image_id", "images", *PROMPT_COLUMNS):
        is_bad |= table.column(name).is_null().to_numpy()
    found = set(numpy.flatnonzero(is_bad).tolist())
    for name in ("images", *lists):
        first = 0
        for chunk in table.column(name).chunks:
            entries = chunk.flatten()
            bad = entries.is_null()
            if name == "targets":
                is_empty = pyarrow.compute.equal(pyarrow.compute.utf8_trim_whitespace(entries), "")
                is_marked = pyarrow.compute.match_substring(entries, IMAGE_TOKEN)
                bad = pyarrow.compute.fill_null(pyarrow.compute.or_(is_empty, is_marked), True)
            if pyarrow.compute.any(bad).as_py():
                parents = pyarrow.compute.list_parent_indices(chunk)
                found.update(first + row for row in parents.filter(bad).to_pylist())
            first += len(chunk)
    return found


def _count_turns(rows: datasets.Dataset, prompts_per_image: int | None, choice: PromptChoice) -> list[int]:
    """How many times each row comes; 0 if none of its prompts is chosen."""
    if missing := {"prompts", *(() if choice.is_all else CHOSEN_BY)}.difference(rows.column_names):
        raise ValueError(
            f"The rows have the columns {rows.column_names}, but lack {sorted(missing)}. Make them with `to_rows`."
        )
    if choice.is_all:
        return [num_turns(count, prompts_per_image) for count in _count_prompts(rows)]
    counts = [len(choice.positions(*columns)) for columns in zip(*(rows[name] for name in CHOSEN_BY), strict=True)]
    if not any(counts):
        raise ValueError(
            f"Found no prompt of {choice} in {len(rows):,} rows. Check the choice against the rows' columns."
        )
    return [num_turns(count, prompts_per_image) if count else 0 for count in counts]


def _count_prompts(rows: datasets.Dataset) -> list[int]:
    """The number of prompts of each row, without reading them."""
    counts = pyarrow.compute.list_value_length(rows.data.column("prompts")).to_numpy()
    return list(counts if rows._indices is None else counts[rows._indices.column(0).to_numpy()])


def add_length(rows: datasets.Dataset) -> datasets.Dataset:
    """The rows with a column `length`, for `train_sampling_strategy="group_by_length"`.

    It is the number of characters of a row's longest prompt and target. Without it, the Trainer looks for `input_ids`,
    which rows do not have.
    """
    lengths = [
        max(map(len, prompts)) + max(map(len, targets))
        for prompts, targets in zip(rows["prompts"], rows["targets"], strict=True)
    ]
    return rows.add_column("length", lengths)  # not `map`, which drops bytes of images (see `rows_to_dataset`)
