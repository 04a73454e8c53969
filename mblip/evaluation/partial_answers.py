"""Partial answers of a run: a folder next to the final file, with one file per chunk.

Every batch goes to disk as soon as it is answered. A run that was killed and restarted reads these answers and asks
the remaining batches of the same plan. The final file is the same as without the interruption. Answers of another
model, other settings, other examples or other images are refused.

Each answer carries a digest of its line and of the run's identity (run_identity.py). A damaged answer, or one of
another run, is asked again, whatever happened to the files.
"""

import json
import logging
import math
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import xxhash

from mblip.atomic_write import LOCK_FILE, PARTIAL, atomic_file, locked, read_json, write_text

from .predictions import Prediction

logger = logging.getLogger(__name__)

RUN_FILE, TIME_FILE = "run.json", "seconds.txt"
WHOLE_TIMES = re.compile(rb"^(\d+\.\d{6})$\n", re.MULTILINE)
Key = tuple[str, str]  # condition and id


class PartialAnswers:
    """Reads and writes the answers of a run by chunk; `path` is the final file."""

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self.folder = path.with_name(f"{path.name}{PARTIAL}")
        self.identity = b""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Lock the folder, and create it if needed.

        Raises:
            OSError: another process has locked the folder, or it cannot be created.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder, LOCK_FILE, "answering into"):
            yield

    def begin(self, identity: Mapping[str, str]) -> None:
        """Write the run's identity into the folder, or check the one that is there.

        Args:
            identity: from `run_identity`.

        Raises:
            ValueError: the folder holds answers of another run; the message names the differences.
        """
        text = json.dumps(dict(identity), ensure_ascii=False, indent=1) + "\n"
        self.identity = text.encode()
        path, found = self.folder / RUN_FILE, dict(identity)
        try:
            found = read_json(path, "We write it again, and use only answers that are proved to be of this run.")
        except FileNotFoundError:
            write_text(path, text)
        except ValueError as error:
            logger.warning("%s", error)
            write_text(path, text)
        if different := [name for name, value in identity.items() if found.get(name) != value]:
            raise ValueError(
                f"{self.folder} holds answers of another run, with different {', '.join(different)}. Choose another "
                "`output_dir`, or delete the folder."
            )

    def read(self, chunk: int) -> dict[Key, Prediction]:
        """The answers to a chunk so far. Incomplete, damaged and other runs' lines are removed from the file."""
        path = self._path(chunk)
        if not path.is_file():
            return {}
        lines = path.read_bytes().splitlines(keepends=True)  # JSON escapes other separators of bytes
        texts = [line.rpartition(b"\t")[0] for line in lines]
        proved = [text for line, text in zip(lines, texts, strict=True) if line == self._proved(text)]
        if len(proved) < len(lines):
            logger.warning(
                "%s: %d of %d answers are cut, damaged or of another run. They are asked again.",
                *(path, len(lines) - len(proved), len(lines)),
            )
            with atomic_file(path) as partial:
                partial.write_bytes(b"".join(map(self._proved, proved)))
        predictions = [Prediction.from_line(text.decode()) for text in proved]
        return {(prediction.condition, prediction.id): prediction for prediction in predictions}

    def append(self, chunk: int, predictions: Sequence[Prediction]) -> None:
        """Write the answers of a batch."""
        texts = [prediction.to_line().rstrip("\n").encode() for prediction in predictions]
        with self._path(chunk).open("ab") as file:
            file.write(b"".join(map(self._proved, texts)))

    def _proved(self, text: bytes) -> bytes:
        """A line: a prediction, and the digest that proves it behind a tab, which JSON escapes."""
        return text + b"\t" + xxhash.xxh3_128_hexdigest(self.identity + text).encode() + b"\n"

    def add_seconds(self, seconds: float) -> None:
        """Write how long a batch took."""
        with (self.folder / TIME_FILE).open("a", encoding="utf-8") as file:
            file.write(f"{seconds:.6f}\n")

    def seconds(self) -> float:
        """The total time of the batches on disk. Incomplete and damaged lines do not count."""
        path = self.folder / TIME_FILE
        return math.fsum(map(float, WHOLE_TIMES.findall(path.read_bytes()))) if path.is_file() else 0.0

    def remove(self) -> None:
        """Delete the folder. Call it after the final file is written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, chunk: int) -> Path:
        return self.folder / f"chunk-{chunk:05}.jsonl"
