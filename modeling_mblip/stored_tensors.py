"""The tensors of a checkpoint, found by their keys and read one at a time.

Files are mapped into memory, safetensors and .bin alike (the latter without unpickling code): shapes and dtypes are
known before any weight is read, and of all files one is open. Not shipped: no method of the model needs it.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import safe_open

from .checkpoint_reading import find_file, load_bin, wanted_shards

ADAPTER_FILES = ("adapter_model.safetensors", "adapter_model.bin")


@dataclass(frozen=True)
class StoredTensor:
    """A tensor on disk."""

    path: str
    key: str
    shape: tuple[int, ...]
    dtype: torch.dtype


class TensorReader:
    """Reads stored tensors; the file of the last one stays open. A tensor read is a view of its file."""

    def __init__(self) -> None:
        self._path: str | None = None
        self._read: Callable[[str], torch.Tensor]
        self._open = ExitStack()

    def read(self, stored: StoredTensor) -> torch.Tensor:
        """The tensor. Let go of it before the next file is opened, and its memory is free again."""
        if stored.path != self._path:
            self.close()
            self._read, self._path = _open(stored.path, self._open), stored.path
        return self._read(stored.key)

    def close(self) -> None:
        """Close the file that is open, if one is."""
        self._open.close()
        self._path, self._read = None, _nothing_is_open


def checkpoint_tensors(
    name_or_path: str | os.PathLike, is_wanted: Callable[[str], bool] = lambda key: True, **location: Any
) -> dict[str, StoredTensor]:
    """The tensors of a checkpoint whose key `is_wanted`, from the shards that hold them.

    Raises:
        FileNotFoundError: the checkpoint holds no weights.
    """
    stored: dict[str, StoredTensor] = {}
    for path in wanted_shards(name_or_path, is_wanted, **location):
        stored |= {key: tensor for key, tensor in _tensors_of(path).items() if is_wanted(key)}
    return stored


def adapter_tensors(name_or_path: str | os.PathLike, **location: Any) -> dict[str, StoredTensor]:
    """The tensors of an adapter of PEFT's.

    Raises:
        FileNotFoundError: the folder or repository holds no weights of an adapter.
    """
    for name in ADAPTER_FILES:
        if (path := find_file(name_or_path, name, **location)) is not None:
            return _tensors_of(path)
    raise FileNotFoundError(
        f"{name_or_path} holds neither {' nor '.join(ADAPTER_FILES)}, expected an adapter of PEFT."
    )


def _tensors_of(path: str) -> dict[str, StoredTensor]:
    with ExitStack() as stack:
        read = _open(path, stack)
        tensors = ((key, read(key)) for key in _keys(path))
        return {key: StoredTensor(path, key, tuple(tensor.shape), tensor.dtype) for key, tensor in tensors}


def _keys(path: str) -> list[str]:
    if path.endswith(".safetensors"):
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    return list(load_bin(path))


def _open(path: str, stack: ExitStack) -> Callable[[str], torch.Tensor]:
    if path.endswith(".safetensors"):
        return stack.enter_context(safe_open(path, framework="pt")).get_tensor
    return load_bin(path).__getitem__


def _nothing_is_open(key: str) -> torch.Tensor:
    raise AssertionError(f"no file is open to read {key} from")
