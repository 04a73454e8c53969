"""Checkpoints that hold what trains and nothing else, and are complete or not taken.

The manifest of a checkpoint is written last and names every file with its size, so that one cut short, in writing, in
deleting or in copying, is not taken for a checkpoint.
"""

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

logger = logging.getLogger(__name__)

WEIGHTS_FILE = "trained.safetensors"
MANIFEST_FILE = "manifest.json"
STATE_FILE = "trainer_state.json"  # transformers' name
PARTIAL = ".partial"
PREFIX = "checkpoint-"  # transformers' name
FSDP_PREFIX = "_fsdp_wrapped_module."  # torch's, before names in a model that FSDP has wrapped


def save_trained(model: nn.Module, folder: Path, state_dict: Mapping[str, torch.Tensor] | None = None) -> None:
    """Write the parameters that train, and nothing else, under their names in `model`.

    Args:
        state_dict: their values, where the model's own are in shards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_FILE).unlink(missing_ok=True)  # an earlier run's: from here on the checkpoint is not complete
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    values: Mapping[str, torch.Tensor] = parameters
    if state_dict is not None:
        values = {name: state_dict[name] for name in (each.replace(FSDP_PREFIX, "") for each in parameters)}
    trained = {name: value.detach().contiguous() for name, value in values.items()}
    safetensors.torch.save_file(trained, folder / WEIGHTS_FILE, metadata={"format": "pt"})


def write_manifest(folder: Path) -> None:
    """Declare a checkpoint complete."""
    files = {
        file.relative_to(folder).as_posix(): file.stat().st_size
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST_FILE
    }
    partial = folder / f".{MANIFEST_FILE}.partial"
    partial.write_text(json.dumps(files, indent=1), encoding="utf-8")
    partial.replace(folder / MANIFEST_FILE)


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


def last_checkpoint(folder: Path) -> Path | None:
    """The complete checkpoint of the most steps in `folder`; None where there is none. One that lost a file is
    skipped, with a warning."""
    complete = (manifest.parent for manifest in folder.glob(f"{PREFIX}*/{MANIFEST_FILE}"))
    for checkpoint in sorted(complete, key=_num_steps, reverse=True):
        missing = _missing_part(checkpoint)
        if missing is None:
            return checkpoint
        logger.warning("%s is skipped: %s. Restore the file, or delete the checkpoint.", checkpoint, missing)
    return None


def is_last_step(checkpoint: Path) -> bool:
    """Whether the stage of a checkpoint was trained to its end."""
    state = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
    return state["global_step"] >= state["max_steps"]


def _num_steps(checkpoint: Path) -> int:
    steps = checkpoint.name.removeprefix(PREFIX)
    return int(steps) if steps.isdigit() else -1


def best_checkpoint(last: Path) -> Path:
    """The checkpoint of the best evaluation before that of the last step, or at it."""
    state = json.loads((last / STATE_FILE).read_text(encoding="utf-8"))
    return last.with_name(f"{PREFIX}{state['best_global_step']}")


def remove_partial(folder: Path) -> None:
    """Delete what an interrupted run may have left half-written in the folder of a run or a stage."""
    checkpoints = (path for path in folder.glob(f"{PREFIX}*") if not (path / MANIFEST_FILE).is_file())
    for partial in [*checkpoints, folder / PARTIAL]:
        if partial.exists():
            logger.info("Deleting %s, which was left half-written.", partial)
            shutil.rmtree(partial)


def _missing_part(checkpoint: Path) -> str | None:
    """What a checkpoint lacks of what its manifest names, in words; None for a complete one."""
    for name, size in json.loads((checkpoint / MANIFEST_FILE).read_text(encoding="utf-8")).items():
        file = checkpoint / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} bytes, expected {size}"
    return None
