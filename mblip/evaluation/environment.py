"""What a result was computed with: model, code, versions, precision and hardware, without names of machines or
people."""

import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "mblip",
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "bitsandbytes",
    "sacrebleu",
    "py3langid",
    "SudachiPy",
    "pythainlp",
)


@dataclass(frozen=True)
class ModelFacts:
    """Which model answered. `name` is the folder or repository it was loaded from, "" where the model does not say;
    `revision` its commit on the Hub. Of an adapter `base` is the model below it, and that one's commit is known alone.
    `precision` is what it was held in."""

    name: str
    revision: str | None
    base: str | None
    base_revision: str | None
    precision: str


def describe_model(model: Any, base: str | None = None) -> ModelFacts:
    """The facts of a model; `base` is what an adapter that was merged into it names.

    PEFT keeps no name of an adapter: that of its base is none, and where a model on which an adapter lies says no
    other, it has none. Set `model.config.name_or_path`.
    """
    name, revision = model.config.name_or_path, getattr(model.config, "_commit_hash", None)
    for adapter in getattr(model, "peft_config", {}).values():  # PEFT's, not merged
        base = base or adapter.base_model_name_or_path
        name = "" if name == base else name
    if base is None:
        return ModelFacts(name, revision, None, None, describe_precision(model))
    return ModelFacts(name, None, base, revision, describe_precision(model))


def package_versions() -> Mapping[str, str]:
    """Python and the packages that touch a result."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def describe_precision(model: Any) -> str:
    """What ViT and language model are held in, and the bits of a language model that is quantised."""
    dtype = str(model.dtype).removeprefix("torch.")
    quantization = getattr(model.config, "quantization_config", None)
    if quantization is None:
        return dtype
    plain = quantization if isinstance(quantization, Mapping) else quantization.to_dict()
    if plain.get("load_in_8bit"):
        return f"{dtype}, language model in 8 bit"
    if plain.get("load_in_4bit"):
        return f"{dtype}, language model in 4 bit ({plain['bnb_4bit_quant_type']})"
    return f"{dtype}, language model quantised by {plain.get('quant_method')}"


def describe_hardware(device: torch.device) -> str:
    """The device in words: the GPU's name, or the CPU's architecture and the threads used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"CPU ({platform.machine()}), {torch.get_num_threads()} thread(s)"
    return device.type


def code_commit() -> str | None:
    """The commit of the checkout that this file belongs to, with a note where something in it is not committed.

    Returns:
        None where this file is not under git's care: an installed package may lie inside a checkout of something else.
    """
    if _git("ls-files", "--error-unmatch", Path(__file__).relative_to(ROOT).as_posix()) is None:
        return None
    commit = _git("rev-parse", "HEAD")
    is_changed = bool(_git("status", "--porcelain", "--untracked-files=no"))
    return f"{commit} with changes that are not committed" if commit and is_changed else commit


def _git(*arguments: str) -> str | None:
    """What git says, or None where it is not installed or refuses."""
    try:
        result = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
