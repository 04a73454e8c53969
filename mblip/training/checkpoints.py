"""Checkpoints that hold only the parameters that train, and are used only if complete.

We write the manifest of a checkpoint last. It lists every file with its size, so a checkpoint that was only partly
written, deleted or copied is never used.
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
FSDP_PREFIX = "_fsdp_wrapped_module."  # torch adds it to names in a model that FSDP has wrapped


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
        values = {name: state_dict[name] for name in (each.replace(FSDP_PREFIX, "") for each in parameters)}
    trained = {name: value.detach().contiguous() for name, value in values.items()}
    safetensors.torch.save_file(trained, folder / WEIGHTS_FILE, metadata={"format": "pt"})


def write_manifest(folder: Path) -> None:
    """Mark a checkpoint as complete."""
    files = {
        file.relative_to(folder).as_posix(): file.stat().st_size
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST_FILE
    }
    partial = folder / f".{MANIFEST_FILE}.partial"
    partial.write_text(json.dumps(files, indent=1), encoding="utf-8")
    partial.replace(folder / MANIFEST_FILE)


def load_trained(model: nn.Module, folder: Path) -> None:
    """Load the parameters of a checkpoint into `model`.

    Raises:
        ValueError: the names or shapes in the checkpoint differ from those of the parameters that train.
    """
    saved = safetensors.torch.load_file(folder / WEIGHTS_FILE)
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
        parameter.data.copy_(saved[name])


def last_checkpoint(folder: Path) -> Path | None:
    """The complete checkpoint with the most steps in `folder`; None if there is none.

    Skips a checkpoint that has lost a file, with a warning.
    """
    complete = (manifest.parent for manifest in folder.glob(f"{PREFIX}*/{MANIFEST_FILE}"))
    for checkpoint in sorted(complete, key=_num_steps, reverse=True):
        missing = _missing_part(checkpoint)
        if missing is None:
            return checkpoint
        logger.warning("%s is skipped: %s. Restore the file, or delete the checkpoint.", checkpoint, missing)
    return None


def is_last_step(checkpoint: Path) -> bool:
    """Whether a checkpoint is that of the last step of its stage."""
    state = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
    return state["global_step"] >= state["max_steps"]


def _num_steps(checkpoint: Path) -> int:
    steps = checkpoint.name.removeprefix(PREFIX)
    return int(steps) if steps.isdigit() else -1


def best_checkpoint(last: Path) -> Path:
    """The checkpoint of the best evaluation.

    Args:
        last: the checkpoint of the last step.
    """
    state = json.loads((last / STATE_FILE).read_text(encoding="utf-8"))
    return last.with_name(f"{PREFIX}{state['best_global_step']}")


def remove_partial(folder: Path) -> None:
    """Delete partial files of an interrupted run from the folder of a run or a stage."""
    checkpoints = (path for path in folder.glob(f"{PREFIX}*") if not (path / MANIFEST_FILE).is_file())
    for partial in [*checkpoints, folder / PARTIAL]:
        if partial.exists():
            logger.info("Deleting %s, which an interrupted run left incomplete.", partial)
            shutil.rmtree(partial)


def _missing_part(checkpoint: Path) -> str | None:
    """A description of the first missing or truncated file of a checkpoint; None if the checkpoint is complete."""
    for name, size in json.loads((checkpoint / MANIFEST_FILE).read_text(encoding="utf-8")).items():
        file = checkpoint / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} bytes, expected {size}"
    return None
