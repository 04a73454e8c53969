"""Translations on disk, so that nothing is translated twice, neither after a kill nor by a second process.

The cache is a SQLite database in write-ahead mode. Readers and one writer do not block each other, and committed data
survive the process. Such databases fail on network file systems without shared memory. Use a local disk, with one
cache per machine.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from mblip.atomic_write import SQLITE_FULL, no_room
from mblip.data.languages import Language

from .engines import TranslationEngine

TEXTS_PER_COMMIT = 256
MAX_VARIABLES = 500  # variables per query; SQLite allows at least 999
BUSY_TIMEOUT_SECONDS = 60.0
Item = TypeVar("Item")
_SCHEMA = "CREATE TABLE IF NOT EXISTS translations (key BLOB PRIMARY KEY, translation TEXT NOT NULL) WITHOUT ROWID"


class TranslationCache:
    """Translations by engine, model, revision, the two languages, and the text.

    Raises:
        ValueError: the file is not such a cache.
        OSError: the disk is full.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(_SCHEMA)
        except sqlite3.DatabaseError as error:
            if str(error) in SQLITE_FULL:
                raise no_room(path) from error
            raise ValueError(
                f"{path} cannot be used as a cache of translations: {error}. "
                "If it is another file, move it away. Use a folder on a local disk."
            ) from error

    def find(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """The known translations, by key."""
        found: dict[bytes, str] = {}
        for part in _parts(keys, MAX_VARIABLES):
            query = f"SELECT key, translation FROM translations WHERE key IN ({','.join('?' * len(part))})"
            found |= dict(self._connection.execute(query, part))
        return found

    def store(self, translations: Mapping[bytes, str]) -> None:
        """Write all of the translations or none. Existing ones do not change.

        Raises:
            OSError: the disk is full, or another process held the database for a minute.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:  # commits, or rolls back
                self._connection.executemany("INSERT OR IGNORE INTO translations VALUES (?, ?)", translations.items())
        except sqlite3.OperationalError as error:
            if str(error) in SQLITE_FULL:
                raise no_room(self.path) from error
            raise OSError(
                f"{len(translations)} translations could not be written to {self.path}: {error}. Earlier ones "
                "are safe. Fix the cause and run the command again; it continues from there."
            ) from error

    def close(self) -> None:
        self._connection.close()


class CachedEngine:
    """An engine that reads from a cache first, and writes to it every `texts_per_commit` texts.

    Give many texts at once: missing ones are translated in order of length.
    """

    def __init__(
        self, engine: TranslationEngine, cache: TranslationCache, *, texts_per_commit: int = TEXTS_PER_COMMIT
    ) -> None:
        self.engine, self.cache, self.texts_per_commit = engine, cache, texts_per_commit

    @property
    def name(self) -> str:
        return self.engine.name

    @property
    def model(self) -> str:
        return self.engine.model

    @property
    def revision(self) -> str:
        return self.engine.revision

    def translate(self, texts: Sequence[str], source: Language, target: Language) -> list[str]:
        """One translation per text. Texts from earlier calls are read from the cache."""
        made_by = (self.name, self.model, self.revision, source.code, target.code, target.nllb_code)
        keys = {text: hashlib.sha256(repr((*made_by, text)).encode()).digest() for text in texts}
        known = self.cache.find(list(keys.values()))
        missing = sorted((text for text, key in keys.items() if key not in known), key=lambda text: (len(text), text))
        for part in _parts(missing, self.texts_per_commit):
            translations = self.engine.translate(part, source, target)
            new = {keys[text]: translation for text, translation in zip(part, translations, strict=True)}
            self.cache.store(new)
            known |= self.cache.find(list(new))  # keep what another process wrote in the meantime
        return [known[keys[text]] for text in texts]


def _parts(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    return (list(items[start : start + size]) for start in range(0, len(items), size))
