"""The folder of a build: the dataset that it makes, and in `.build` what its steps hand to each other.

What the tasks have to tell stands there as JSON beside their results, and is put together at the end.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mblip.data.atomic_write import write_text
from mblip.data.skipped import SkipReport

from ..translation.report import TranslationReport

Counts = Counter[tuple[str, str]]  # (language, task) -> examples

WORK = ".build"


@dataclass(frozen=True)
class BuildFolder:
    """Paths in the output folder `root`."""

    root: Path

    @property
    def work(self) -> Path:
        """What the steps hand to each other; not part of the dataset, and hidden from `load_dataset`."""
        return self.root / WORK

    @property
    def recipe(self) -> Path:
        """The recipe that everything in the folder was made by."""
        return self.work / "recipe.yaml"

    def examples(self, source: int) -> Path:
        """The folder of examples of a source, by its position in the recipe."""
        return self.work / "examples" / f"{source:03d}"

    def fetched(self, shard: int) -> Path:
        """Images of a shard that were URLs."""
        return self.work / "fetched" / f"{shard:05d}"

    @property
    def translations(self) -> Path:
        """The cache of translations, one for each shard so that machines need not share a database."""
        return self.work / "translations"

    def shard(self, number: int, num_shards: int) -> Path:
        """A parquet file of the dataset."""
        return self.root / "data" / f"train-{number:05d}-of-{num_shards:05d}.parquet"

    def shard_report(self, number: int) -> Path:
        """What building a shard came to."""
        return self.work / "shards" / f"{number:05d}.json"

    @property
    def logs(self) -> Path:
        """Logs of datatrove's executors."""
        return self.work / "logs"


@dataclass
class SourceReport:
    """A source, read: how many examples of each (language allotted, task), what was skipped, and which answers of
    VQA are frequent enough to be translated."""

    source: str
    counts: Counts = field(default_factory=Counter)
    skipped: SkipReport = field(default_factory=SkipReport)
    translatable_answers: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Write the report."""
        plain = {
            "source": self.source,
            "counts": _plain(self.counts),
            "left_out": _plain_skipped(self.skipped),
            "translatable_answers": sorted(self.translatable_answers),
        }
        _write(path, plain)

    @classmethod
    def read(cls, path: Path) -> "SourceReport":
        """The report in a file."""
        plain = _read(path)
        return cls(
            plain["source"],
            _counts(plain["counts"]),
            _skipped(plain["left_out"]),
            tuple(plain["translatable_answers"]),
        )


@dataclass
class ShardReport:
    """A shard, built: its rows, bytes and images, the examples in it, and what was skipped on the way."""

    num_rows: int = 0
    num_bytes: int = 0
    num_images: int = 0
    counts: Counts = field(default_factory=Counter)
    skipped: SkipReport = field(default_factory=SkipReport)
    translation: TranslationReport = field(default_factory=TranslationReport)

    def write(self, path: Path) -> None:
        """Write the report."""
        plain = {
            "num_rows": self.num_rows,
            "num_bytes": self.num_bytes,
            "num_images": self.num_images,
            "counts": _plain(self.counts),
            "left_out": _plain_skipped(self.skipped),
            "translation": self.translation.as_json(),
        }
        _write(path, plain)

    @classmethod
    def read(cls, path: Path) -> "ShardReport":
        """The report in a file."""
        plain = _read(path)
        return cls(
            plain["num_rows"],
            plain["num_bytes"],
            plain["num_images"],
            _counts(plain["counts"]),
            _skipped(plain["left_out"]),
            TranslationReport.from_json(plain["translation"]),
        )

    def add(self, other: "ShardReport") -> None:
        """Add another shard's counts to this one's."""
        self.num_rows += other.num_rows
        self.num_bytes += other.num_bytes
        self.num_images += other.num_images
        self.counts += other.counts
        add_skipped(self.skipped, other.skipped)
        self.translation.add_report(other.translation)


def add_skipped(total: SkipReport, other: SkipReport) -> None:
    """Add what another has counted, keeping the first names of each reason."""
    for reason, count in other.counts.items():
        for name in other.names[reason]:
            total.add(reason, name)
        total.counts[reason] += count - len(other.names[reason])


def _plain(counts: Counts) -> list[list[Any]]:
    return [[*key, count] for key, count in sorted(counts.items())]


def _counts(plain: list[list[Any]]) -> Counts:
    return Counter({(language, task): count for language, task, count in plain})


def _plain_skipped(skipped: SkipReport) -> list[list[Any]]:
    return [[reason, count, skipped.names[reason]] for reason, count in skipped.counts.items()]


def _skipped(plain: list[list[Any]]) -> SkipReport:
    counts = Counter({reason: count for reason, count, _ in plain})
    return SkipReport(counts, {reason: list(names) for reason, _, names in plain})


def _write(path: Path, plain: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(plain, ensure_ascii=False, indent=1) + "\n")


def _read(path: Path) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return plain
