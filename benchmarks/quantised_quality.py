"""The cost of fewer bits: the same questions to a model in each precision, and its sizes.

    python benchmarks/quantised_quality.py quickstart/eval_quantised.yaml
    python benchmarks/quantised_quality.py MODEL --task xgqa --task.questions FILES --task.images FOLDER

The command line is that of `mblip eval`, and so are the files: answers, results.json and table.md. `mblip
card RUN --results FOLDER/results.json` puts the table into the model's card.
"""

import dataclasses
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mblip.data.languages import get_language
from mblip.evaluation import EvaluationRun, Results, evaluate_task, predictions_path
from mblip.evaluation.command_line import parse_command_line
from mblip.evaluation.reports.files import write_files
from mblip.loading import Precision, load_checkpoint
from modeling_mblip import MBlipForConditionalGeneration

BF16 = torch.bfloat16
PRECISIONS = {
    "float32": Precision(torch.float32),
    "bfloat16": Precision(BF16),
    "8bit": Precision(BF16, "8bit"),
    "4bit": Precision(BF16, "4bit"),
}


@dataclass(frozen=True)
class Measured:
    """A model in one precision: its results by task, the bytes of its weight files, and of its weights in memory."""

    results: Mapping[str, Results]
    disk_bytes: int
    memory_bytes: int
    language_model_bytes: int

    @property
    def precision(self) -> str:
        """The precision in words."""
        return next(iter(self.results.values())).model.precision

    def to_json(self) -> dict[str, dict[str, Any]]:
        """What results.json holds of each task."""
        sizes = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "results"
        }
        return {task: result.to_json() | sizes for task, result in self.results.items()}


def main(arguments: Sequence[str]) -> None:
    """The command."""
    run = parse_command_line(arguments)
    if (run.dtype, run.load_in) != ("auto", None):
        raise ValueError("Found `dtype` or `load_in`, but the model is measured in every precision. Remove them.")
    measured = {name: measure(run, name, precision) for name, precision in PRECISIONS.items()}
    plain = {f"{task}_{name}": result for name, found in measured.items() for task, result in found.to_json().items()}
    table = quality_table(list(measured.values()))
    write_files(run.output_dir, plain, table)
    print(table)


def measure(run: EvaluationRun, name: str, precision: Precision) -> Measured:
    """Load the recipe's model in a precision, weigh it, and ask it the recipe's questions."""
    model, processor = load_checkpoint(run.model, precision)
    disk_bytes = _bytes_on_disk(model)
    nn.Module.to(model, "cuda" if torch.cuda.is_available() else "cpu")
    results = {
        task.name: evaluate_task(
            model,
            processor,
            task,
            settings=run.evaluation.settings,
            predictions_path=predictions_path(run.output_dir, f"{task.name}_{name}"),
        )
        for task in run.evaluation.build_tasks()
    }
    return Measured(results, disk_bytes, _bytes_in_memory(model), _bytes_in_memory(model.language_model))


def quality_table(measured: Sequence[Measured]) -> str:
    """As Markdown: how often each precision is right, which answers it loses or wins against the first, its size."""
    first = measured[0]
    parts = [
        _condition_table(task, condition, measured)
        for task, result in first.results.items()
        for condition in result.conditions
    ]
    return "\n\n".join(["## Held in fewer bits", *parts, _size_table(measured)]) + "\n"


def _condition_table(task: str, condition: str, measured: Sequence[Measured]) -> str:
    first = measured[0].results[task]
    lines = [
        f"| {task}, {condition} | right, mean of {len(first.by_language(condition))} languages | lowest language "
        "| right answers lost | won |",
        "| --- | ---: | --- | ---: | ---: |",
    ]
    for found in measured:
        result = found.results[task]
        shares = {code: score.value for code, score in result.by_language(condition).items()}
        lowest = min(shares, key=shares.__getitem__)
        mean = sum(shares.values()) / len(shares)
        lost, won = _lost_and_won(first, result, condition)
        lines.append(
            f"| {found.precision} | {100 * mean:.1f} | {100 * shares[lowest]:.1f} ({get_language(lowest).name}) "
            f"| {lost} | {won} |"
        )
    num_answers = sum(score.num_prompts for score in first.by_language(condition).values())
    note = f"Per cent of {num_answers} answers; lost and won against {measured[0].precision}."
    return "\n".join([*lines, "", note])


def _lost_and_won(first: Results, other: Results, condition: str) -> tuple[int, int]:
    pairs = [
        (before.score == 1, after.score == 1)
        for before, after in zip(first.predictions, other.predictions, strict=True)
        if before.condition == condition
    ]
    return sum(before and not after for before, after in pairs), sum(after and not before for before, after in pairs)


def _size_table(measured: Sequence[Measured]) -> str:
    lines = [
        "| held in | weights on disk, MB | in memory, MB | of it language model, MB |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {found.precision} | {found.disk_bytes / 1e6:.2f} | {found.memory_bytes / 1e6:.2f} "
        f"| {found.language_model_bytes / 1e6:.2f} |"
        for found in measured
    ]
    note = (
        "Query tokens, Q-Former and projection are float32 in each; embeddings, head and what transformers holds back "
        "are not quantised."
    )
    return "\n".join([*lines, "", note])


def _bytes_on_disk(model: MBlipForConditionalGeneration) -> int:
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))


def _bytes_in_memory(model: nn.Module) -> int:
    """Bytes of the weights, and of what quantised layers keep beside them; what is shared counts once."""
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in model.state_dict().values()}.values())


if __name__ == "__main__":
    main(sys.argv[1:])
