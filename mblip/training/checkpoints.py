"""Checkpoints that hold what trains and nothing else, and are whole or not there.

A checkpoint is written into the hidden folder `.unfinished` and moved to its place in one step. Its manifest, written
last, names every file with its size, so that a checkpoint cut short by copying is not taken for one either.
"""

import json
import logging
import os
import shutil
from pathlib import Path

import safetensors.torch
from torch import nn

logger = logging.getLogger(__name__)

WEIGHTS_FILE = "trained.safetensors"
MANIFEST_FILE = "manifest.json"
STATE_FILE = "trainer_state.json"  # transformers' name
UNFINISHED = ".unfinished"
PREFIX = "checkpoint-"  # transformers' name


def save_trained(model: nn.Module, folder: Path) -> None:
    """Write the parameters that train, and nothing else, under their names in `model`."""
    folder.mkdir(parents=True, exist_ok=True)
    trained = {
        name: parameter.detach().contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    safetensors.torch.save_file(trained, folder / WEIGHTS_FILE, metadata={"format": "pt"})


def load_trained(model: nn.Module, folder: Path) -> None:
    """Put the parameters of a checkpoint back into `model`.

    Raises:
        ValueError: the checkpoint holds other parameters than those that train, or of other shapes.
    """
    saved = safetensors.torch.load_file(folder / WEIGHTS_FILE)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    differing = sorted(saved.keys() ^ trained.keys()) or [
        name for name, parameter in trained.items() if parameter.shape != saved[name].shape
    ]
    if differing:
        raise ValueError(
            f"{folder / WEIGHTS_FILE} holds {len(saved)} parameters, but {len(trained)} train here, and "
            f"{len(differing)} differ, the first being {differing[0]!r}. It belongs to another stage or model."
        )
    for name, parameter in trained.items():
        parameter.data.copy_(saved[name])


def publish(unfinished: Path, folder: Path) -> None:
    """Complete a folder with its manifest and move it to its place."""
    files = {file.name: file.stat().st_size for file in sorted(unfinished.iterdir())}
    (unfinished / MANIFEST_FILE).write_text(json.dumps(files, indent=1), encoding="utf-8")
    remove(folder)
    os.replace(unfinished, folder)


def last_checkpoint(folder: Path) -> Path | None:
    """The whole checkpoint of the most steps in `folder`; None where there is none. Incomplete ones are passed over,
    with a warning."""
    checkpoints = sorted(folder.glob(f"{PREFIX}*"), key=num_steps, reverse=True)
    for checkpoint in checkpoints:
        missing = _missing_part(checkpoint)
        if missing is None:
            return checkpoint
        logger.warning("%s is passed over: %s. Delete it, or restore the file.", checkpoint, missing)
    return None


def is_last_step(checkpoint: Path) -> bool:
    """Whether the stage of a checkpoint was trained to its end."""
    state = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
    return state["global_step"] >= state["max_steps"]


def num_steps(checkpoint: Path) -> int:
    """The steps that a checkpoint's name tells."""
    steps = checkpoint.name.removeprefix(PREFIX)
    return int(steps) if steps.isdigit() else -1


def best_checkpoint(last: Path) -> Path:
    """The checkpoint of the best evaluation before that of the last step, or at it."""
    state = json.loads((last / STATE_FILE).read_text(encoding="utf-8"))
    return last.with_name(f"{PREFIX}{state['best_global_step']}")


def remove_old(folder: Path, limit: int, *, best: int | None = None) -> None:
    """Delete all but the newest `limit` checkpoints, and that of the step `best`."""
    for checkpoint in sorted(folder.glob(f"{PREFIX}*"), key=num_steps)[:-limit]:
        if num_steps(checkpoint) != best:
            remove(checkpoint)


def remove(folder: Path) -> None:
    """Delete a folder, if it is there; it is moved away first, so that no half of it is ever left in its place."""
    if not folder.exists():
        return
    trash = folder.parent / UNFINISHED / f"{folder.name}.deleted"
    shutil.rmtree(trash, ignore_errors=True)
    trash.parent.mkdir(exist_ok=True)
    os.replace(folder, trash)
    shutil.rmtree(trash)


def remove_unfinished(folder: Path) -> None:
    """Delete the folder for unfinished things, with what an interrupted run may have left half-written in it."""
    unfinished = folder / UNFINISHED
    if unfinished.exists():
        left = sorted(entry.name for entry in unfinished.iterdir())
        if left:
            logger.info("%s: deleting what was left half-written: %s.", folder, ", ".join(left))
        shutil.rmtree(unfinished)


def _missing_part(checkpoint: Path) -> str | None:
    """What a checkpoint lacks, in words; None for a whole one."""
    manifest = checkpoint / MANIFEST_FILE
    if not manifest.is_file():
        return f"{MANIFEST_FILE}, which is written last, is missing"
    for name, size in json.loads(manifest.read_text(encoding="utf-8")).items():
        file = checkpoint / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} bytes, expected {size}"
    return None
