"""Predictions files: JSON lines with prompt, output, references and score, in the order of the examples."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_type_hints

from mblip.atomic_write import write_text
from mblip.data.skipped import SURROGATE
from mblip.data.sources.records import check_record

from .task import EvaluationExample


@dataclass(frozen=True)
class Prediction:
    """A model's answer to an example.

    `is_cut`: the answer reached the maximum length before it ended. `log_likelihoods`: those of the best candidates,
    if answers are ranked. `score`: the main figure of the task's metric for this answer. It is None until all answers
    are there, because some metrics depend on all of them. `facts`: what the metric needs beyond the references.
    """

    task: str
    protocol: str
    id: str
    condition: str
    language: str
    image_id: str
    prompt: str
    output: str
    references: tuple[str, ...]
    is_cut: bool
    log_likelihoods: dict[str, float] = field(default_factory=dict)
    score: float | None = None
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether the answer is blank."""
        return not self.output.strip()

    @property
    def example(self) -> EvaluationExample:
        """The example that was answered, without images and candidates, to score the answer again."""
        names = ("image_id", "prompt", "references", "language", "condition", "id", "facts")
        return EvaluationExample(images=(), **{name: getattr(self, name) for name in names})

    def to_line(self) -> str:
        """The prediction as a line of a file. Lone surrogates, which UTF-8 cannot encode, are escaped as in JSON."""
        row = dataclasses.asdict(self)
        line = json.dumps(row if self.facts else {k: v for k, v in row.items() if k != "facts"}, ensure_ascii=False)
        return SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", line) + "\n"

    @classmethod
    def from_line(cls, line: str) -> "Prediction":
        """Read a prediction from a line. Raises ValueError or TypeError for any other line."""
        row = json.loads(line)
        fields = check_record(row, FIELDS, location="the line")
        return cls(**row | {"references": tuple(fields["references"])})


FIELDS = get_type_hints(Prediction) | {"references": list[str], "facts": dict[str, str] | None}


def write_predictions(path: str | Path, predictions: Sequence[Prediction]) -> None:
    """Write a predictions file, atomically."""
    write_text(Path(path), "".join(prediction.to_line() for prediction in predictions))


def read_predictions(path: str | Path) -> list[Prediction]:
    """Read the predictions of a file, in its order.

    Raises:
        ValueError: a line is not a prediction; the message gives its number.
    """
    predictions = []
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                predictions.append(Prediction.from_line(line.decode()))
            except (ValueError, TypeError, RecursionError) as error:
                raise ValueError(
                    f"{path}, line {number}: found no prediction ({error}), expected a predictions file that "
                    "`mblip eval` wrote."
                ) from error
    return predictions


def predict(
    task: str,
    protocol: str,
    example: EvaluationExample,
    output: str,
    *,
    is_cut: bool = False,
    log_likelihoods: dict[str, float] | None = None,
) -> Prediction:
    """The answer `output` to an example, without a score."""
    return Prediction(
        task=task,
        protocol=protocol,
        id=example.id,
        condition=example.condition,
        language=example.language,
        image_id=example.image_id,
        prompt=example.prompt,
        output=output,
        references=example.references,
        is_cut=is_cut,
        log_likelihoods=log_likelihoods or {},
        facts=dict(example.facts),
    )
