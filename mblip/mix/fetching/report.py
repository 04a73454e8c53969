"""What became of a list of URLs: counts, a table, and every failure with its cause."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .index import Record, readable

FAILURES_FILE = "failures.jsonl"


@dataclass
class FetchReport:
    """Counts of one run. Every URL of the list is in exactly one of `num_fetched`, `num_known` (fetched by a run
    before), `num_duplicates` and `failures` (by cause; those of runs before included).

    `first_urls` names the first URL of each cause, `failures_file` holds all of them, one JSON object a line.
    """

    failures_file: Path
    num_fetched: int = 0
    num_known: int = 0
    num_duplicates: int = 0
    num_bytes: int = 0
    num_attempts: int = 0
    seconds: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)
    first_urls: dict[str, str] = field(default_factory=dict)

    @property
    def num_urls(self) -> int:
        return self.num_fetched + self.num_known + self.num_duplicates + self.failures.total()

    def table(self) -> str:
        """The report in Markdown, most frequent causes first."""
        lines = ["| outcome | URLs | share | first |", "|---|---:|---:|---|"]
        others = {"fetched before": self.num_known, "listed twice": self.num_duplicates}
        outcomes = {"fetched": self.num_fetched} | {name: count for name, count in others.items() if count}
        outcomes |= dict(sorted(self.failures.items(), key=lambda item: (-item[1], item[0])))
        for name, count in outcomes.items():
            share = count / max(1, self.num_urls)
            lines.append(f"| {_cell(name)} | {count:,} | {share:.1%} | {_cell(self.first_urls.get(name, ''))} |")
        speed = self.num_fetched / self.seconds if self.seconds else 0.0
        return "\n".join(
            [
                *lines,
                "",
                f"{self.num_urls:,} URLs, {self.num_attempts:,} attempts, {self.num_bytes:,} bytes fetched in "
                f"{self.seconds:,.1f} s ({speed:,.1f} images/s). Every failure: {self.failures_file}",
            ]
        )


class FailureLog:
    """Writes failures as they come; the file appears under its name when all are in it."""

    def __init__(self, report: FetchReport) -> None:
        self._report = report
        self._unfinished = report.failures_file.with_name(f"{FAILURES_FILE}.unfinished")
        self._file = self._unfinished.open("w", encoding="utf-8")

    def add(self, url: str, record: Record) -> None:
        url, cause = readable(url), str(record["cause"])
        self._report.failures[cause] += 1
        self._report.first_urls.setdefault(cause, url)
        line = {"url": url, "cause": cause, "detail": record["detail"], "num_attempts": record["num_attempts"]}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def close(self) -> None:
        self._file.close()

    def finish(self) -> None:
        self.close()
        self._unfinished.replace(self._report.failures_file)


def _cell(text: str) -> str:
    """Text that cannot end a cell of the table, and is not too long for it."""
    short = text if len(text) <= 80 else text[:77] + "..."
    return short.replace("|", "%7C").replace("\n", " ")
