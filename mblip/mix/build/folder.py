"""The folder of a build: the dataset, and in `.build` the intermediate results of its steps.

Tasks write their reports there as JSON beside their results. The last step combines them.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mblip.atomic_write import write_text
from mblip.data.skipped import SkipReport

from ..translation.report import TranslationReport

Counts = Counter[tuple[str, str]]  # (language, task) -> number of examples

WORK = ".build"


@dataclass(frozen=True)
class BuildFolder:
    """Paths in the output folder `root`."""

    root: Path

    @property
    def work(self) -> Path:
        """The intermediate results. They are not part of the dataset and are hidden from `load_dataset`."""
        return self.root / WORK

    @property
    def recipe(self) -> Path:
        """The recipe of everything in the folder."""
        return self.work / "recipe.yaml"

    def examples(self, source: int) -> Path:
        """The folder of examples of a source, by its position in the recipe."""
        return self.work / "examples" / f"{source:03d}"

    def fetched(self, shard: int) -> Path:
        """The images of a shard that were URLs."""
        return self.work / "fetched" / f"{shard:05d}"

    @property
    def translations(self) -> Path:
        """The translation cache of each shard. Separate caches let machines avoid a shared database."""
        return self.work / "translations"

    def shard(self, number: int, num_shards: int) -> Path:
        """A parquet file of the dataset."""
        return self.root / "data" / f"train-{number:05d}-of-{num_shards:05d}.parquet"

    def shard_report(self, number: int) -> Path:
        """The report of building a shard."""
        return self.work / "shards" / f"{number:05d}.json"

    def is_read(self, source: int) -> bool:
        """Whether a source has been read."""
        return self.examples(source).is_dir()

    def is_built(self, shard: int, num_shards: int) -> bool:
        """Whether a shard has been built."""
        return self.shard(shard, num_shards).is_file() and self.shard_report(shard).is_file()

    @property
    def logs(self) -> Path:
        """Logs of the tasks that Slurm runs."""
        return self.work / "logs"


@dataclass
class SourceReport:
    """The report of reading a source.

    It counts examples by (allotted language, task) and what was skipped, and lists the answers of VQA that are
    frequent enough to translate.
    """

    source: str
    counts: Counts = field(default_factory=Counter)
    skipped: SkipReport = field(default_factory=SkipReport)
    translatable_answers: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Write the report."""
        skipped, answers = _plain_skipped(self.skipped), sorted(self.translatable_answers)
        plain = {"source": self.source, "counts": _plain(self.counts), "left_out": skipped}
        _write(path, plain | {"translatable_answers": answers})

    @classmethod
    def read(cls, path: Path) -> "SourceReport":
        """The report in a file."""
        plain = _read(path)
        counts, skipped = _counts(plain["counts"]), _skipped(plain["left_out"])
        return cls(plain["source"], counts, skipped, tuple(plain["translatable_answers"]))


@dataclass
class ShardReport:
    """The report of building a shard: its rows, bytes, images and examples, and what was skipped."""

    num_rows: int = 0
    num_bytes: int = 0
    num_images: int = 0
    counts: Counts = field(default_factory=Counter)
    skipped: SkipReport = field(default_factory=SkipReport)
    translation: TranslationReport = field(default_factory=TranslationReport)

    def write(self, path: Path) -> None:
        """Write the report."""
        plain = {"num_rows": self.num_rows, "num_bytes": self.num_bytes, "num_images": self.num_images}
        counted = {"counts": _plain(self.counts), "left_out": _plain_skipped(self.skipped)}
        _write(path, plain | counted | {"translation": self.translation.as_json()})

    @classmethod
    def read(cls, path: Path) -> "ShardReport":
        """The report in a file."""
        plain = _read(path)
        counts, skipped = _counts(plain.pop("counts")), _skipped(plain.pop("left_out"))
        translation = TranslationReport.from_json(plain.pop("translation"))
        return cls(**plain, counts=counts, skipped=skipped, translation=translation)

    def add(self, other: "ShardReport") -> None:
        """Add another shard's counts to this one's."""
        self.num_rows += other.num_rows
        self.num_bytes += other.num_bytes
        self.num_images += other.num_images
        self.counts += other.counts
        add_skipped(self.skipped, other.skipped)
        self.translation.add_report(other.translation)


def add_skipped(total: SkipReport, other: SkipReport) -> None:
    """Add another report's counts, keeping the first names of each reason."""
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
