"""What became of each URL, kept on disk: one table of URLs and records.

SQLite does the keeping: a record is there whole once `put` returns, whenever the process is killed, and other
processes of the machine may read meanwhile. Each record is flat JSON.
"""

import json
import os
import sqlite3
from pathlib import Path

from mblip.data.whole_files import SQLITE_FULL

from .content import StorageFullError

Record = dict[str, str | int]
SECONDS_TO_WAIT_FOR_OTHERS = 120.0


class UrlIndex:
    """Records by URL, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._process = 0

    def get(self, url: str) -> Record | None:
        """The record of a URL."""
        row = self._execute("SELECT record FROM records WHERE url = ?", url).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, url: str, record: Record) -> None:
        """Keep a record, in place of the URL's last one.

        Raises:
            StorageFullError: there is no room; what was kept before stays.
        """
        self._execute("INSERT OR REPLACE INTO records VALUES (?, ?)", url, json.dumps(record, ensure_ascii=False))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __len__(self) -> int:
        return self._execute("SELECT count(*) FROM records").fetchone()[0]

    def _execute(self, statement: str, *values: str) -> sqlite3.Cursor:
        try:
            return self._open().execute(statement, [readable(value) for value in values])
        except sqlite3.OperationalError as error:
            if str(error) not in SQLITE_FULL:
                raise
            raise StorageFullError(self._path, error) from error

    def _open(self) -> sqlite3.Connection:
        """This process's connection: a fork must not use its parent's."""
        if self._connection is None or self._process != os.getpid():
            self._process = os.getpid()
            self._connection = sqlite3.connect(
                self._path, timeout=SECONDS_TO_WAIT_FOR_OTHERS, isolation_level=None, cached_statements=8
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("CREATE TABLE IF NOT EXISTS records (url TEXT PRIMARY KEY, record TEXT) STRICT")
        return self._connection


def readable(text: str) -> str:
    """The text as files and SQLite take it: what is no UTF-8 in a list of URLs, which Python reads as lone surrogates,
    is written out."""
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")
