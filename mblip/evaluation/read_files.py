"""What a benchmark read, beside what is published: a part of a benchmark does not go by its name.

files = ReadFiles(PUBLISHED)
for location, record in records_of(captions, dataset, files=files):
    ...
return benchmark_task("my_benchmark", examples, files=files, ...)
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from .task import FileRead

Item = TypeVar("Item")


@dataclass(frozen=True)
class Published:
    """The splits of a benchmark.

    Args:
        records: split -> the number of its records, by part (such as a language) where it differs. None: not known.
        reported: the splits whose figures are the benchmark's. None: all.
        num_languages: whose mean is the benchmark's. None: any.
    """

    records: Mapping[str, int | Mapping[str, int] | None]
    reported: tuple[str, ...] | None = None
    num_languages: int | None = None

    def num_records(self, split: str | None, part: str | None) -> int | None:
        """The records of a part of a split, if they are known."""
        found = None if split is None else self.records[split]
        return found.get(part or "") if isinstance(found, Mapping) else found

    def split_of(self, name: str, num_records: int, part: str | None) -> str | None:
        """The split that a name tells (`test1.json`, `mscoco_val2014`, `test[:100]`), or else a number of records.
        `validation` is another name of `dev`."""
        name = name.lower() if "val" in self.records else name.lower().replace("val", "dev")
        words = re.findall("[a-z0-9]+", name)
        told = [split for split in self.records if any(word.startswith(split) for word in words)]
        if told or len(self.records) == 1:
            return max(told or self.records, key=len)
        equal = [split for split in self.records if self.num_records(split, part) == num_records]
        return equal[0] if len(equal) == 1 else None


@dataclass
class ReadFiles:
    """The files and parts of datasets that a task reads.

    Args:
        published: None for a benchmark of your own: nothing is then marked.
        size: how many records of the benchmark an item holds, for files with several in one.
    """

    published: Published | None = None
    size: Callable[[Any], int] = lambda item: 1
    noted: list[tuple[str | None, FileRead]] = field(default_factory=list)  # with the part
    others: list[FileRead] = field(default_factory=list)

    def counted(
        self,
        records: Iterable[Item],
        location: str,
        *,
        file: str | Path | None = None,
        name: str = "",
        revision: str | None = None,
        part: str | None = None,
        split: str | None = None,
    ) -> Iterator[Item]:
        """The records, which are counted as they pass. Behind the last, we note where they come from.

        Args:
            file: the file, for its digest.
            name: what may tell the split, other than the file's name.
            part: the language, if each has its own records.
        """
        number = 0
        for record in records:
            yield record
            number += self.size(record)
        expected = None
        if self.published is not None:
            split = split or self.published.split_of(name or Path(file or "").name, number, part)
            expected = self.published.num_records(split, part)
        self.noted.append((part, FileRead(location, split, number, expected, _sha256(file), revision)))

    def add(self, path: str | Path | None, num_records: int, split: str | None = None) -> None:
        """Note another file that decides results, such as a list of synonyms; None: there is none."""
        if path is not None:
            self.others.append(FileRead(str(path), split, num_records, sha256=_sha256(path)))

    @property
    def files(self) -> tuple[FileRead, ...]:
        """All that was noted."""
        return (*(file for _, file in self.noted), *self.others)

    @property
    def marks(self) -> tuple[str, ...]:
        """What differs from the published benchmark."""
        marks: list[str] = []
        if self.published is None:
            return ()
        for split in dict.fromkeys(file.split for _, file in self.noted):
            read = [(part, file) for part, file in self.noted if file.split == split]
            if split is None:
                marks.append(f"{sum(file.num_records for _, file in read):,} records of an unknown split")
            elif self.published.reported is not None and split not in self.published.reported:
                marks.append(f"split {split}")
            if short := [(part, file) for part, file in read if file.num_expected not in (None, file.num_records)]:
                counts = [(file.num_records, file.num_expected or 0) for _, file in short]
                is_alike = len(set(counts)) == 1
                num_read, num_expected = counts[0] if is_alike else map(sum, zip(*counts, strict=True))
                names = ", ".join(part for part, _ in short if part is not None and len(short) < len(read))
                where = f" in {names}" if names else " in each file" if is_alike and len(short) > 1 else ""
                marks.append(f"{num_read:,} of {num_expected:,} records{where}")
        return tuple(marks)


def _sha256(path: str | Path | None) -> str | None:
    return None if path is None else hashlib.sha256(Path(path).read_bytes()).hexdigest()
