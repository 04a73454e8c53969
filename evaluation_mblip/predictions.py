"""Answers of a model, one JSON line each, written as they come.

The file bears its name when all answers are in it; before, it ends in `.unfinished`.
"""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from .task import EvaluationExample


@dataclass(frozen=True)
class Prediction:
    """What a model answered to an example. `is_cut`: the answer reached its longest length before it ended."""

    id: str
    condition: str
    language: str
    image_id: str
    prompt: str
    output: str
    references: tuple[str, ...]
    is_right: bool
    is_cut: bool

    @classmethod
    def of(cls, example: EvaluationExample, output: str, *, is_right: bool, is_cut: bool) -> "Prediction":
        """The answer `output` to `example`."""
        return cls(
            id=example.id,
            condition=example.condition,
            language=example.language,
            image_id=example.image_id,
            prompt=example.prompt,
            output=output,
            references=example.references,
            is_right=is_right,
            is_cut=is_cut,
        )

    @property
    def is_empty(self) -> bool:
        """Whether the model said nothing; such an answer is never right."""
        return not self.output.strip()


class PredictionWriter:
    """Writes predictions to an open file, or nowhere."""

    def __init__(self, file: TextIO | None) -> None:
        self.file = file

    def write(self, prediction: Prediction) -> None:
        """Append a line, at once on disk."""
        if self.file is not None:
            self.file.write(json.dumps(dataclasses.asdict(prediction), ensure_ascii=False) + "\n")
            self.file.flush()


@contextmanager
def open_predictions(path: Path | None) -> Iterator[PredictionWriter]:
    """A writer to `path`, which replaces an older file once all is written; None writes nowhere."""
    if path is None:
        yield PredictionWriter(None)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    with unfinished.open("w", encoding="utf-8") as file:
        yield PredictionWriter(file)
    unfinished.replace(path)


def read_predictions(path: Path) -> list[Prediction]:
    """The predictions of a file, in its order."""
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [Prediction(**row | {"references": tuple(row["references"])}) for row in rows]
