"""Partial answers of a run: a folder next to the final file, with one file per chunk.

Every batch goes to disk as soon as it is answered. A run that was killed and restarted reads these answers and asks
the remaining batches of the same plan. The final file is the same as without the interruption. Answers of another
model, other settings or other examples are refused.
"""

import hashlib
import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from mblip.data.atomic_write import PARTIAL, locked, write_text

from .predictions import Prediction
from .task import EvaluationExample, EvaluationTask

RUN_FILE, TIME_FILE, LOCK_FILE = "run.json", "seconds.txt", "lock"
Key = tuple[str, str]  # condition and id


class PartialAnswers:
    """Reads and writes the answers of a run by chunk; `path` is the final file."""

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self.folder = path.with_name(f"{path.name}{PARTIAL}")

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
        if not (self.folder / RUN_FILE).is_file():
            write_text(self.folder / RUN_FILE, json.dumps(dict(identity), ensure_ascii=False, indent=1) + "\n")
            return
        found = json.loads((self.folder / RUN_FILE).read_text(encoding="utf-8"))
        different = [name for name, value in identity.items() if found.get(name) != value]
        if different:
            raise ValueError(
                f"{self.folder} holds answers of another run, with different {', '.join(different)}. Choose another "
                "`output_dir`, or delete the folder."
            )

    def read(self, chunk: int) -> dict[Key, Prediction]:
        """The answers to a chunk so far. An incomplete last line, from a killed run, is removed from the file."""
        path = self._path(chunk)
        if not path.is_file():
            return {}
        written = path.read_bytes()
        whole = written[: written.rfind(b"\n") + 1]
        if len(whole) < len(written):
            path.write_bytes(whole)
        # Split at line feeds only: answers may contain other line separators, which JSON does not escape.
        predictions = [Prediction.from_line(line) for line in whole.decode("utf-8").split("\n")[:-1]]
        return {(prediction.condition, prediction.id): prediction for prediction in predictions}

    def append(self, chunk: int, predictions: Sequence[Prediction]) -> None:
        """Write the answers of a batch."""
        with self._path(chunk).open("a", encoding="utf-8") as file:
            file.write("".join(prediction.to_line() for prediction in predictions))

    def add_seconds(self, seconds: float) -> None:
        """Write how long a batch took."""
        with (self.folder / TIME_FILE).open("a", encoding="utf-8") as file:
            file.write(f"{seconds:.6f}\n")

    def seconds(self) -> float:
        """The total time of the batches on disk. An incomplete last line does not count."""
        path = self.folder / TIME_FILE
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
        return math.fsum(map(float, lines))

    def remove(self) -> None:
        """Delete the folder. Call it after the final file is written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, chunk: int) -> Path:
        return self.folder / f"chunk-{chunk:05}.jsonl"


def run_identity(model: Any, task: EvaluationTask, settings: object) -> dict[str, str]:
    """The identity of a run: the model's name and weights, the settings and the examples."""
    return {
        "task": task.name,
        "protocol": task.protocol,
        "model": str(model.config.name_or_path),
        "weights": _digest_weights(model),
        "settings": f"{settings}, {task.answering} by {task.rank_by}",
        "examples": _digest_examples(task.examples),
    }


def _digest_weights(model: Any) -> str:
    """A digest of the first eight numbers of every tensor. It differs between models, and after further training."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        numbers = tensor.flatten()[:8].cpu().tolist() if hasattr(tensor, "flatten") else tensor
        digest.update(f"{name} {numbers}".encode())
    return digest.hexdigest()


def _digest_examples(examples: Sequence[EvaluationExample]) -> str:
    """A digest of the examples in any order. Candidates that examples share are digested once."""
    digest_candidates = cache(lambda candidates: _digest(json.dumps(candidates)))
    lines = []
    for example in examples:
        fields = (example.condition, example.id, example.image_id, example.prompt, example.content_free)
        lines.append(json.dumps([*fields, digest_candidates(example.candidates), *example.references]))
    return _digest("\n".join(sorted(lines)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
