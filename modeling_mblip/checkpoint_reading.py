"""Reading some weights of a checkpoint, from only those shards that hold them.

A checkpoint is a folder or a repository on the Hub. Its weights are one file or several shards, in safetensors or .bin
(read without unpickling code).
"""

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants
from safetensors import safe_open
from transformers.utils import cached_file, logging
from transformers.utils.hub import resolve_revision

logger = logging.get_logger(__name__)

INDEX_FILES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


def check_location(name_or_path: str | os.PathLike) -> None:
    """Refuse a path to a folder that does not exist.

    The Hub would take the path for a repository name: without a network it is asked for most of a minute, and the
    error would not mention a missing folder. A name of two parts counts as a path if the first is a folder here,
    unless the repository is in the Hub's cache.

    Raises:
        FileNotFoundError: the folder does not exist, and the path cannot be a repository name, or is hardly one.
    """
    path = Path(name_or_path)
    if path.exists():
        return
    cannot_be_name = path.is_absolute() or len(path.parts) > 2 or os.fspath(name_or_path).startswith((".", "~"))
    is_cached = Path(constants.HF_HUB_CACHE, f"models--{'--'.join(path.parts)}").is_dir()
    if cannot_be_name or (len(path.parts) == 2 and path.parent.is_dir() and not is_cached):
        near = get_close_matches(path.name, os.listdir(path.parent) if path.parent.is_dir() else [], n=1, cutoff=0.7)
        hint = "".join(f" Did you mean {path.parent / name}?" for name in near)
        other, download = "and this is no repository name either", ""
        if not cannot_be_name:
            other = f"though there is a folder {path.parent}"
            download = f"\nIf you mean a repository on the Hub, run `hf download {path}` first."
        raise FileNotFoundError(
            f"There is no folder {path}, {other}. Paths are relative to the working directory, {Path.cwd()}."
            f"{hint}{download}"
        )


def find_file(name_or_path: str | os.PathLike, filename: str, **location: Any) -> str | None:
    """The local path of one file of a checkpoint, fetched from the Hub if needed; None if there is no such file.

    Raises:
        OSError: the checkpoint cannot be reached, so we do not know which files it has.
    """
    # For a commit, the cache also records which files do not exist. With it, this works offline.
    where = {name: location[name] for name in ("token", "cache_dir", "local_files_only") if name in location}
    location = location | {"revision": resolve_revision(name_or_path, location.get("revision"), **where)}
    try:
        return cached_file(name_or_path, filename, **location)
    except OSError as error:
        if error.__cause__ is None:  # transformers reached the checkpoint and found no such file
            return None
        raise


def has_weights(name_or_path: str | os.PathLike, **location: Any) -> bool:
    """Whether a checkpoint holds any weights."""
    return any(find_file(name_or_path, name, **location) for name in (*WEIGHT_FILES, *INDEX_FILES))


def read_weights(
    name_or_path: str | os.PathLike, is_wanted: Callable[[str], bool], **location: Any
) -> dict[str, torch.Tensor]:
    """Read the weights whose key satisfies `is_wanted`, from the shards that hold them.

    Raises:
        FileNotFoundError: the checkpoint holds no weights.
        pickle.UnpicklingError: a .bin file holds more than tensors.
    """
    paths = weight_files(name_or_path, is_wanted, **location)
    weights: dict[str, torch.Tensor] = {}
    for path in paths:
        weights |= _read_file(path, is_wanted)
    logger.info(f"{len(weights)} weights of {name_or_path} read from {len(paths)} file(s).")
    return weights


def weight_files(
    name_or_path: str | os.PathLike, is_wanted: Callable[[str], bool] = lambda key: True, **location: Any
) -> list[str]:
    """The local paths of the files that hold, or may hold, weights whose key satisfies `is_wanted`.

    Raises:
        FileNotFoundError: the checkpoint holds no weights.
    """
    for single, index_name in zip(WEIGHT_FILES, INDEX_FILES, strict=True):
        path = find_file(name_or_path, single, **location)
        if path is not None:
            return [path]
        index_path = find_file(name_or_path, index_name, **location)
        if index_path is not None:
            with open(index_path, encoding="utf-8") as file:
                shard_of = json.load(file)["weight_map"]
            names = sorted({shard for key, shard in shard_of.items() if is_wanted(key)})
            return [str(cached_file(name_or_path, name, **location)) for name in names]  # raises if one is missing
    raise FileNotFoundError(
        f"{name_or_path} holds none of {', '.join(WEIGHT_FILES + INDEX_FILES)}, expected the weights of a "
        "checkpoint. Check the name and the revision."
    )


def _read_file(path: str, is_wanted: Callable[[str], bool]) -> dict[str, torch.Tensor]:
    if path.endswith(".safetensors"):
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys() if is_wanted(key)}  # noqa: SIM118 (no mapping)
    try:  # the format before PyTorch 1.6, which is no zip file, cannot be memory-mapped
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise pickle.UnpicklingError(
            f"Weights only load failed: {path} is broken, or holds objects other than tensors, which could run code. "
            "Use a checkpoint in safetensors, or a revision whose .bin files hold only tensors."
        ) from error
    return {key: weight for key, weight in weights.items() if is_wanted(key)}
