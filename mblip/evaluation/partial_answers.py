"""The answers of a run that is under way: a folder beside the final file, with a file for each chunk.

A batch is on disk as soon as it is answered. Killed anywhere and started again, a run reads what is there and asks the
rest, batch by batch as planned, so that the final file is the one of an undisturbed run. Answers of another model, of
other settings or of other examples are never taken over.
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
        """Hold the folder, which is made if it is not there.

        Raises:
            OSError: another process holds it, or it cannot be made.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder, LOCK_FILE, "answering into"):
            yield

    def begin(self, identity: Mapping[str, str]) -> None:
        """Say in the folder whose answers are in it, or take up what is there.

        Args:
            identity: whose answers they are.

        Raises:
            ValueError: the folder holds answers of another run; the message says in what they differ.
        """
        if not (self.folder / RUN_FILE).is_file():
            write_text(self.folder / RUN_FILE, json.dumps(dict(identity), ensure_ascii=False, indent=1) + "\n")
            return
        found = json.loads((self.folder / RUN_FILE).read_text(encoding="utf-8"))
        different = [name for name, value in identity.items() if found.get(name) != value]
        if different:
            raise ValueError(
                f"{self.folder} holds answers of another run: other {', '.join(different)}. Choose another "
                "`output_dir`, or delete the folder."
            )

    def read(self, chunk: int) -> dict[Key, Prediction]:
        """What is answered of a chunk. A line that was being written when the run was killed is taken off the file."""
        path = self._path(chunk)
        if not path.is_file():
            return {}
        written = path.read_bytes()
        whole = written[: written.rfind(b"\n") + 1]
        if len(whole) < len(written):
            path.write_bytes(whole)
        # Lines end at a line feed alone: an answer may hold other separators of lines, which JSON leaves as they are.
        predictions = [Prediction.from_line(line) for line in whole.decode("utf-8").split("\n")[:-1]]
        return {(prediction.condition, prediction.id): prediction for prediction in predictions}

    def append(self, chunk: int, predictions: Sequence[Prediction]) -> None:
        """Put the answers of a batch on disk."""
        with self._path(chunk).open("a", encoding="utf-8") as file:
            file.write("".join(prediction.to_line() for prediction in predictions))

    def add_seconds(self, seconds: float) -> None:
        """Put on disk how long a batch took."""
        with (self.folder / TIME_FILE).open("a", encoding="utf-8") as file:
            file.write(f"{seconds:.6f}\n")

    def seconds(self) -> float:
        """How long the batches on disk took; what a kill has torn off does not count."""
        path = self.folder / TIME_FILE
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
        return math.fsum(map(float, lines))

    def remove(self) -> None:
        """Delete the folder, when the final file is there."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, chunk: int) -> Path:
        return self.folder / f"chunk-{chunk:05}.jsonl"


def run_identity(model: Any, task: EvaluationTask, settings: object) -> dict[str, str]:
    """What makes answers those of one run: the model's name and weights, the settings, the examples."""
    return {
        "task": task.name,
        "protocol": task.protocol,
        "model": str(model.config.name_or_path),
        "weights": _digest_weights(model),
        "settings": f"{settings}, {task.answering} by {task.rank_by}",
        "examples": _digest_examples(task.examples),
    }


def _digest_weights(model: Any) -> str:
    """Of the first eight numbers of every tensor: it tells a model from another, and from itself trained on."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        numbers = tensor.flatten()[:8].cpu().tolist() if hasattr(tensor, "flatten") else tensor
        digest.update(f"{name} {numbers}".encode())
    return digest.hexdigest()


def _digest_examples(examples: Sequence[EvaluationExample]) -> str:
    """Of what is asked, in any order; thousands of candidates that examples share are digested once."""
    digest_candidates = cache(lambda candidates: _digest(json.dumps(candidates)))
    lines = []
    for example in examples:
        fields = (example.condition, example.id, example.image_id, example.prompt, example.content_free)
        lines.append(json.dumps([*fields, digest_candidates(example.candidates), *example.references]))
    return _digest("\n".join(sorted(lines)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
