"""Counts the files and lines of this project, and the files that a forward pass and a training step run.

    python benchmarks/house.py

It counts Python files only. A file counts for a run if one of its functions runs. The two runs are a forward pass with
an image and a loss, and one training step of re-alignment, from the rows to the gradient, without saving.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import mblip.train
from mblip.training.recipe_reading import parse_command_line
from mblip.training.starting_model import build_model
from mblip.training.trainer import MBlipTrainer

ROOT = Path(__file__).parents[1]
PRODUCT = ("modeling_mblip", "processing_mblip", "mblip")
COUNTED_APART = ("quickstart", "benchmarks", "tests")
RECIPE = ROOT / "quickstart/quickstart.yaml"
ONE_STEP = """[{stage: re_alignment, learning_rate: 1e-3, batch_size: 2, max_steps: 1, warmup_steps: 0, lora: {},
data: {sources: [{source: scenes.source:scenes, num_images: 8}]}}]"""


def print_sizes(folder: str) -> tuple[int, int]:
    """Files and lines of one folder, printed and returned."""
    files = sorted((ROOT / folder).rglob("*.py"))
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    print(f"{folder:24}{len(files):8}{lines:10,}")
    return len(files), lines


@contextmanager
def files_that_run(found: set[str]) -> Iterator[None]:
    """Add to `found` every file of the project whose functions run meanwhile."""

    def note(frame: FrameType, event: str, argument: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in PRODUCT:
            found.add(path.relative_to(ROOT).as_posix())

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)


def files_of_a_forward_pass() -> set[str]:
    """An image, a prompt and a target, through the model to its loss."""
    found: set[str] = set()
    model, processor = build_model(parse_command_line([str(RECIPE)]).model, seed=0)
    inputs = processor(images=ROOT / "quickstart/results/image.png", text="Caption: ", return_tensors="pt")
    with files_that_run(found):
        model.train()(**inputs, labels=inputs["input_ids"][:, -2:])
    return found


class Traced(Exception):  # noqa: N818 (nothing went wrong)
    """Ends a training run after the traced step."""


def files_of_a_training_step() -> set[str]:
    """One step of `MBlipTrainer.train`, called as `mblip train` calls it."""
    found: set[str] = set()
    train = MBlipTrainer.train

    def traced(trainer: MBlipTrainer, *args: Any, **kwargs: Any) -> NoReturn:
        trainer.args.save_strategy = "no"
        with files_that_run(found):
            train(trainer, *args, **kwargs)
        raise Traced

    MBlipTrainer.train = traced
    try:
        with tempfile.TemporaryDirectory() as folder, suppress(Traced):
            mblip.train.main([str(RECIPE), "--output_dir", folder, "--stages", ONE_STEP, "--evaluation", "null"])
    finally:
        MBlipTrainer.train = train  # type: ignore[method-assign]
    return found


def main() -> None:
    print(f"{'':24}{'files':>8}{'lines':>10}")
    sizes = [print_sizes(folder) for folder in PRODUCT]
    print(f"{'product':24}{sum(files for files, _ in sizes):8}{sum(lines for _, lines in sizes):10,}")
    for folder in COUNTED_APART:
        print_sizes(folder)
    journeys: dict[str, Callable[[], set[str]]] = {
        "a forward pass with an image and loss": files_of_a_forward_pass,
        "one training step, rows to gradient": files_of_a_training_step,
    }
    for name, trace in journeys.items():
        found = sorted(trace())
        print(f"\n{name}: {len(found)} files", *found, sep="\n    ")


if __name__ == "__main__":
    main()
