"""Checkpoints that hold only the parameters that train, and are used only if complete and undamaged.

We write the manifest of a checkpoint last. It lists every file with its size and digest, so a checkpoint that was only
partly written, deleted or copied, or that was damaged later, is never used.
"""

import logging
import shutil
from collections.abc import Mapping
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

from mblip.atomic_write import MANIFEST_FILE, find_damage, read_json

from .divergence import check_finite

logger = logging.getLogger(__name__)

WEIGHTS_FILE = "trained.safetensors"
STATE_FILE = "trainer_state.json"  # transformers' name
FACTS_FILE = "facts.json"  # run_record.py
PREFIX = "checkpoint-"  # transformers' name


def save_trained(model: nn.Module, folder: Path, state_dict: Mapping[str, torch.Tensor] | None = None) -> None:
    """Write only the parameters that train, under their names in `model`.

    Args:
        state_dict: the values of the parameters, if those in the model are in shards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_FILE).unlink(missing_ok=True)  # from an earlier run: the checkpoint is incomplete from here on
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    values: Mapping[str, torch.Tensor] = parameters
    if state_dict is not None:
        values = {name: state_dict[name] for name in parameters}
    trained = {name: value.detach().contiguous() for name, value in values.items()}
    safetensors.torch.save_file(trained, folder / WEIGHTS_FILE, metadata={"format": "pt"})


def load_trained(model: nn.Module, folder: Path) -> None:
    """Load the parameters of a checkpoint into `model`.

    Raises:
        ValueError: the names or shapes in the checkpoint differ from those of the parameters that train, or a value
            is not finite.
    """
    saved = safetensors.torch.load_file(folder / WEIGHTS_FILE)
    check_finite(saved.items(), str(folder), "Delete it: the same command resumes from the checkpoint before it.")
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    differing = sorted(saved.keys() ^ trained.keys()) or [
        name for name, parameter in trained.items() if parameter.shape != saved[name].shape
    ]
    if differing:
        raise ValueError(
            f"{folder / WEIGHTS_FILE} holds {len(saved)} parameters, but {len(trained)} train here; {len(differing)} "
            f"differ, such as {differing[0]!r}. Use a checkpoint of the same stage and model."
        )
    for name, parameter in trained.items():
        value = saved[name]
        if isinstance(parameter, DTensor):  # in shards: each process reads the file, and takes its own
            value = distribute_tensor(
                value.to(parameter.device), parameter.device_mesh, parameter.placements, src_data_rank=None
            )
        parameter.data.copy_(value)


def last_checkpoint(folder: Path, *, keep_best: bool = False) -> Path | None:
    """The undamaged checkpoint with the most steps in `folder`; None if there are no complete checkpoints.

    Skips a damaged checkpoint with a warning. Training then repeats the steps since the one before.

    Args:
        keep_best: the checkpoint of the best evaluation so far must be undamaged, too.

    Raises:
        ValueError: all checkpoints are damaged.
    """
    checkpoints, damage = _complete(folder), None
    for checkpoint in checkpoints:
        damage = find_damage(checkpoint)
        if damage is None and keep_best:
            best = best_checkpoint(checkpoint)
            damage = (found := find_damage(best)) and f"its best evaluation's {best.name}: {found}"
        if damage is None:
            return checkpoint
        _warn_once(
            f"{checkpoint} is skipped: {damage}. We use the checkpoint before it, and training puts this one aside."
        )
    if checkpoints:
        raise ValueError(
            f"No checkpoint in {folder} is whole, the last one neither: {damage}. Restore one from a backup, or "
            f"delete {folder} to train this stage from its beginning."
        )
    return None


def newest_checkpoint(folder: Path) -> Path | None:
    """The complete checkpoint with the most steps, damaged or not: it costs no reading. None if there is none."""
    return next(iter(_complete(folder)), None)


def put_aside_after(checkpoint: Path | None, folder: Path) -> None:
    """Rename the checkpoints after the one that training resumes from: the Trainer would keep them for later ones."""
    for later in _checkpoints(folder):
        if later == checkpoint:
            break
        put_aside(later)


def put_aside(path: Path) -> Path:
    """Rename what is damaged. Returns the new path."""
    aside = next(each for number in count(1) if not (each := path.with_name(f"damaged_{path.name}_{number}")).exists())
    return path.rename(aside)


def remove_partial(folder: Path) -> None:
    """Delete the checkpoints of a stage that an interrupted run left incomplete."""
    for partial in set(_checkpoints(folder)) - set(_complete(folder)):
        logger.info("Deleting %s, which an interrupted run left incomplete.", partial)
        shutil.rmtree(partial)


def read_state(checkpoint: Path) -> dict[str, Any]:
    """The Trainer's state in an undamaged checkpoint."""
    return read_json(checkpoint / STATE_FILE, "Restore the checkpoint, or delete it.")


def is_last_step(checkpoint: Path) -> bool:
    """Whether a checkpoint is that of the last step of its stage."""
    state = read_state(checkpoint)
    return state["global_step"] >= state["max_steps"]


def best_checkpoint(checkpoint: Path) -> Path:
    """The checkpoint of the best evaluation up to this one; this one if nothing was evaluated."""
    step = read_state(checkpoint)["best_global_step"]
    return checkpoint if step is None else checkpoint.with_name(f"{PREFIX}{step}")


def _checkpoints(folder: Path) -> list[Path]:
    """The folders of checkpoints, complete or not, with the most steps first. A copy under another name is none."""
    found = [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdecimal()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(PREFIX)), reverse=True)


def _complete(folder: Path) -> list[Path]:
    return [checkpoint for checkpoint in _checkpoints(folder) if (checkpoint / MANIFEST_FILE).is_file()]


@cache
def _warn_once(message: str) -> None:
    logger.warning(message)
