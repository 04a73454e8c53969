"""Run as a script from the root: train once undisturbed, and once killed at one point after the other.

    python -m tests.training.killed_runs FOLDER

`FOLDER/recipe.yaml` is trained into `FOLDER/undisturbed` and `FOLDER/killed`. Every attempt is a process of its own,
which kills itself with SIGKILL where its turn is; they are forked from here, so that the libraries are imported once.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mblip import train
from mblip.training import trainer
from mblip.training.trainer import MBlipTrainer
from processing_mblip import MBlipProcessor


def die(*arguments: Any, **named: Any) -> None:
    """End this process at once, without any cleaning up."""
    os.kill(os.getpid(), signal.SIGKILL)


def before_call(owner: Any, name: str, number: int) -> None:
    """Die instead of the call `number`, counted from 1, of a function."""
    original, calls = getattr(owner, name), []

    def counted(*arguments: Any, **named: Any) -> Any:
        calls.append(name)
        return die() if len(calls) == number else original(*arguments, **named)

    setattr(owner, name, counted)


KILLS: dict[str, Callable[[], None]] = {
    "in the warm-up, before there is a checkpoint": lambda: before_call(MBlipTrainer, "training_step", 2),
    "while a checkpoint is written": lambda: before_call(MBlipTrainer, "_save_optimizer_and_scheduler", 1),
    "when all of a checkpoint is written but its manifest": lambda: before_call(trainer, "write_manifest", 1),
    "in the warm-up, in mid-epoch": lambda: before_call(MBlipTrainer, "training_step", 4),
    "between the stages": lambda: before_call(train, "build_rows", 2),
    "in the re-alignment": lambda: before_call(MBlipTrainer, "training_step", 4),
    "in the re-alignment, in the second epoch": lambda: before_call(MBlipTrainer, "training_step", 5),
    "when all is trained": lambda: before_call(train, "write_log", 1),
    "while the model is saved": lambda: before_call(MBlipProcessor, "save_pretrained", 1),
}


def attempt(folder: Path, output: str, kill: Callable[[], None] | None = None) -> int:
    """Train in a forked process; returns the signal that ended it, 0 for none."""
    process = os.fork()
    if process == 0:
        if kill is not None:
            kill()
        train.main([str(folder / "recipe.yaml"), "--output_dir", str(folder / output)])
        os._exit(0)
    _, status = os.waitpid(process, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


def main(folder: Path) -> None:
    """Print how each attempt ended."""
    print(f"ended: undisturbed: {attempt(folder, 'undisturbed')}", flush=True)
    for name, kill in KILLS.items():
        print(f"ended: {name}: {attempt(folder, 'killed', kill)}", flush=True)
    print(f"ended: to the end: {attempt(folder, 'killed')}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
