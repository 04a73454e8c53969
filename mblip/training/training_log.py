"""The log of all stages as JSON lines, and the loss curve as a picture."""

import json
from pathlib import Path
from typing import Any

from .checkpoints import STATE_FILE
from .run_folder import Run

LOG_FILE = "training_log.jsonl"
CURVE_FILE = "loss_curve.png"


def write_log(run: Run) -> None:
    """Write `training_log.jsonl` and `loss_curve.png` of the stages trained so far."""
    entries = read_log(run)
    lines = [json.dumps(entry, ensure_ascii=False) for entry in entries]
    (run.folder / LOG_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    draw_loss_curve(entries, run.folder / CURVE_FILE)


def read_log(run: Run) -> list[dict[str, Any]]:
    """The entries of all trained stages in order, as the Trainer logged them, each with its stage."""
    entries = []
    for stage in run.stages:
        if stage.result is not None:
            state = json.loads((stage.result / STATE_FILE).read_text(encoding="utf-8"))
            entries += [{"stage": stage.folder.name, **entry} for entry in state["log_history"]]
    return entries


def draw_loss_curve(entries: list[dict[str, Any]], path: Path) -> None:
    """Draw the training loss of all stages, one behind the other, over optimizer steps."""
    from matplotlib.figure import Figure  # imported here: it takes a second

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    offset = 0
    for stage in dict.fromkeys(entry["stage"] for entry in entries):
        points = [(entry["step"], entry["loss"]) for entry in entries if entry["stage"] == stage and "loss" in entry]
        steps, losses = zip(*points, strict=True)
        axes.plot([offset + step for step in steps], losses, label=stage)
        offset += steps[-1]
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("training loss (nats per label token)")
    axes.set_yscale("log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
