"""Fetch the images of a list of URLs into a folder.

    mblip fetch URLS.txt FOLDER [--num-connections 64] [...]

URLS.txt holds one URL per line. You can stop it at any time and start it again: fetched images are not fetched again,
and a partial file is never used as an image. Memory does not grow with the list. Hosts are asked politely, so a list
sorted by host is slow: shuffle it. At the end it prints the counts of each outcome. FOLDER/failures.jsonl names every
failure with its cause.
"""

import argparse
import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from mblip.atomic_write import StorageFullError, full_disk_explained, locked
from mblip.data.stable_random import stable_random

from .fetched_images import ContentFolder, FetchedImages, Record, readable
from .settings import DEFAULT_SETTINGS, OPTED_OUT, FetchError, FetchSettings

if TYPE_CHECKING:
    from .download import Downloader

logger = logging.getLogger(__name__)

LOCK_FILE = "fetching.lock"
FAILURES_FILE = "failures.jsonl"
WAITING_PER_CONNECTION = 16  # URLs read ahead, so that a slow host does not block the others
URLS_PER_BREATH = 200  # known URLs are skipped this many at a time


@dataclass
class FetchReport:
    """Counts of one run.

    Every URL of the list is in exactly one of `num_fetched`, `num_known` (fetched by an earlier run), `num_duplicates`
    and `failures` (by cause, those of earlier runs included). `first_urls` gives the first URL of each cause.
    `failures_file` holds all failures, one JSON object per line.
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


def fetch_images(
    urls: Iterable[str], folder: str | Path, *, settings: FetchSettings = DEFAULT_SETTINGS
) -> FetchReport:
    """Fetch images. `FetchedImages(folder)` reads them afterwards.

    Args:
        urls: read one by one as needed. Empty lines are skipped.
    Raises:
        StorageFullError: the disk is full. Fetched images stay; run the same command again.
        OSError: another process is fetching into the folder.
    """
    folder = Path(folder)
    with full_disk_explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, LOCK_FILE, "fetching into"):
        fetched = FetchedImages(folder)
        fetched.content.remove_left_overs()
        try:
            return asyncio.run(_Run(fetched, FetchReport(folder / FAILURES_FILE), settings).fetch(urls))
        finally:
            fetched.index.close()


def main(arguments: Sequence[str]) -> None:
    """The command: fetch, and print the report."""
    parser = argparse.ArgumentParser(
        prog="mblip fetch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("urls", metavar="URLS.txt", type=Path, help="a file with one URL per line")
    parser.add_argument(
        "folder", metavar="FOLDER", type=Path, help="where to put the images; give the same folder to continue"
    )
    for setting in fields(FetchSettings):
        option = f"--{setting.name.replace('_', '-')}"
        if isinstance(setting.default, bool):
            parser.add_argument(option, action="store_true")
        else:
            parser.add_argument(option, type=type(setting.default), default=setting.default, help=f"{setting.default}")
    given = vars(parser.parse_args(arguments))
    urls, folder = given.pop("urls"), given.pop("folder")
    with urls.open(encoding="utf-8", errors="surrogateescape") as lines:
        print(fetch_images(lines, folder, settings=FetchSettings(**given)).table())


class _Run:
    """One call of `fetch_images`."""

    def __init__(self, fetched: FetchedImages, report: FetchReport, settings: FetchSettings) -> None:
        self._fetched = fetched
        self._report = report
        self._settings = settings
        self._number = time.time_ns()  # marks the records of this run
        self._in_hand: set[str] = set()

    async def fetch(self, urls: Iterable[str]) -> FetchReport:
        began = time.monotonic()
        self._failures = _FailureLog(self._report)
        self._downloader = _downloader(self._fetched.content, self._settings)
        try:
            await self._fetch_all(urls)
            self._failures.finish()
        except ExceptionGroup as group:
            full, others = group.split(StorageFullError)
            if full is None or others is not None:
                raise
            raise full.exceptions[0] from group
        finally:
            self._failures.close()
            await self._downloader.close()
        self._report.seconds = time.monotonic() - began
        return self._report

    async def _fetch_all(self, urls: Iterable[str]) -> None:
        free = asyncio.Semaphore(WAITING_PER_CONNECTION * self._settings.num_connections)

        async def fetch(url: str) -> None:
            try:
                await self._fetch(url)
            finally:
                self._in_hand.remove(url)
                free.release()

        async with asyncio.TaskGroup() as tasks:
            for number, url in enumerate(filter(None, map(str.strip, urls))):
                if number % URLS_PER_BREATH == 0:
                    await asyncio.sleep(0)
                if not self._is_settled(url):
                    await free.acquire()
                    self._in_hand.add(url)
                    tasks.create_task(fetch(url))

    def _is_settled(self, url: str) -> bool:
        """Whether a URL needs no work. If so, it is counted."""
        record = None if url in self._in_hand else self._fetched.index.get(url)
        if url in self._in_hand or (record is not None and record["run"] == self._number):
            self._report.num_duplicates += 1
            return True
        if record is None:
            return False
        if "opt_out" in record and not self._settings.ignore_opt_outs:  # an earlier run ignored it
            record = {"cause": OPTED_OUT, "detail": record["opt_out"], "num_attempts": 1}
            self._keep(url, record)
        if record.get("cause") == OPTED_OUT and self._settings.ignore_opt_outs:
            return False
        if "cause" in record and not self._settings.retry_failures:
            self._failures.add(url, record)
            return True
        if self._fetched.is_there(record):
            self._report.num_known += 1
            return True
        return False

    async def _fetch(self, url: str) -> None:
        """Try until the URL is fetched or has finally failed, and record the outcome."""
        for attempt in range(1, self._settings.num_attempts + 1):
            self._report.num_attempts += 1
            try:
                fetched = await self._downloader.download(url)
            except FetchError as error:
                failure = error
            else:
                stored: Record = {"key": fetched.key, "num_bytes": fetched.num_bytes}
                self._keep(url, stored if fetched.opt_out is None else stored | {"opt_out": fetched.opt_out})
                self._report.num_fetched += 1
                self._report.num_bytes += fetched.num_bytes
                return
            if not failure.is_transient or attempt == self._settings.num_attempts:
                break
            await asyncio.sleep(self._pause_seconds(url, attempt, failure))
        record: Record = {"cause": failure.cause, "detail": failure.detail, "num_attempts": attempt}
        self._keep(url, record)
        self._failures.add(url, record)

    def _keep(self, url: str, record: Record) -> None:
        self._fetched.index.put(url, record | {"run": self._number})

    def _pause_seconds(self, url: str, attempt: int, failure: FetchError) -> float:
        """The pause doubles after each attempt and varies by URL."""
        jitter = 0.5 + stable_random(self._settings.seed, url, attempt).random()
        pause = self._settings.backoff_seconds * 2 ** (attempt - 1) * jitter
        return min(max(pause, failure.retry_after_seconds), self._settings.max_backoff_seconds)


def _downloader(content: ContentFolder, settings: FetchSettings) -> "Downloader":
    """A downloader. aiohttp is imported only here, so everything else works without it."""
    try:
        from .download import Downloader
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}. Fetching images needs aiohttp: pip install aiohttp") from error
    return Downloader(content, settings)


class _FailureLog:
    """Writes failures as they come. The write is atomic: the file appears once all are in it."""

    def __init__(self, report: FetchReport) -> None:
        self._report = report
        self._partial = report.failures_file.with_name(f"{FAILURES_FILE}.partial")
        self._file = self._partial.open("w", encoding="utf-8")

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
        self._partial.replace(self._report.failures_file)


def _cell(text: str) -> str:
    """Text for a table cell: shortened, without characters that end a cell."""
    short = text if len(text) <= 80 else text[:77] + "..."
    return short.replace("|", "%7C").replace("\n", " ")
