"""Records what produced a result: model, code, versions, precision and hardware. No names of machines or people."""

import platform
import resource
import subprocess
import sys
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
    "sentencepiece",
    "accelerate",
    "peft",
    "bitsandbytes",
    "numpy",
    "Pillow",
    "datasets",
    "nltk",
    "sacrebleu",
    "py3langid",
    "SudachiPy",
    "sudachidict_core",
    "pythainlp",
)


@dataclass(frozen=True)
class ModelFacts:
    """The model that answered.

    `name` is the folder or repository it was loaded from ("" if the model does not say), and `revision` its commit on
    the Hub. If it is an adapter, `base` is its base model; then only `base_revision` is known. `precision` is the
    dtype or quantisation of the weights.
    """

    name: str
    revision: str | None
    base: str | None
    base_revision: str | None
    precision: str


def describe_model(model: Any, base: str | None = None) -> ModelFacts:
    """Describe a model.

    PEFT does not record where an adapter was loaded from. A PEFT model reports the name of its base model, which we do
    not use for the adapter: `name` is then "". Set `model.config.name_or_path` to give the adapter a name.

    Args:
        base: the base model of an adapter that was merged into `model`.
    """
    name, revision = model.config.name_or_path, getattr(model.config, "_commit_hash", None)
    for adapter in getattr(model, "peft_config", {}).values():  # adapters that are not merged
        base = base or adapter.base_model_name_or_path
        name = "" if name == base else name
    if base is None:
        return ModelFacts(name, revision, None, None, describe_precision(model))
    return ModelFacts(name, None, base, revision, describe_precision(model))


def package_versions() -> Mapping[str, str]:
    """The versions of Python and of the packages that affect a result."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def describe_precision(model: Any) -> str:
    """The dtype of ViT and language model, and the quantisation of the language model, if any."""
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
    """The device in words: the GPU's name, or the CPU's architecture and number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"CPU ({platform.machine()}), {torch.get_num_threads()} thread(s)"
    return device.type


def peak_memory_gb(device: torch.device) -> float:
    """The most memory that this process has held so far, loading included, in 10^9 bytes: the GPU's, or on a CPU the
    resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts in bytes there, elsewhere in KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def code_commit() -> str | None:
    """The commit of the checkout that this file belongs to, with a note if the checkout has uncommitted changes.

    Returns:
        None if git does not track this file. (An installed package may lie inside another project's checkout.)
    """
    if _git("ls-files", "--error-unmatch", Path(__file__).relative_to(ROOT).as_posix()) is None:
        return None
    commit = _git("rev-parse", "HEAD")
    is_changed = bool(_git("status", "--porcelain", "--untracked-files=no"))
    return f"{commit} with changes that are not committed" if commit and is_changed else commit


def _git(*arguments: str) -> str | None:
    """The output of git, or None if git is missing or fails."""
    try:
        result = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
