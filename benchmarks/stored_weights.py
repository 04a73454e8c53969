"""Writes checkpoints with random weights to disk without holding them in memory.

Every weight repeats one block of normally distributed numbers, from a different position for each weight, so that no
two weights are equal. Weights without numbers become a hole in their file, which has the full size and takes no disk
space.
"""

import json
import math
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import torch
from huggingface_hub import split_torch_state_dict_into_shards

INDEX_FILE = "model.safetensors.index.json"
NAMES_IN_SAFETENSORS = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}
BLOCK_LENGTH = 1 << 23  # numbers
STANDARD_DEVIATION = 0.02


def write_checkpoint(
    folder: Path,
    weights: Mapping[str, torch.Tensor],
    max_shard_size: str,
    is_filled: Callable[[str], bool] = lambda key: True,
) -> list[Path]:
    """Write weights as `save_pretrained` does, in shards of at most `max_shard_size` under an index.

    Args:
        weights: on the meta device: shape and dtype are what counts. All of one dtype.
        is_filled: which get numbers. A shard with none of these becomes a hole as large as it would have been, without
            even a header, so whoever opens it as a checkpoint fails.

    Returns:
        The files of weights, in the order of their names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    split = split_torch_state_dict_into_shards(dict(weights), max_shard_size=max_shard_size)
    for file, keys in split.filename_to_tensors.items():
        if any(is_filled(key) for key in keys):
            write_safetensors(folder / file, {key: weights[key] for key in keys}, is_filled)
        else:
            with open(folder / file, "wb") as hole:
                hole.truncate(sum(weights[key].nbytes for key in keys))
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (folder / INDEX_FILE).write_text(json.dumps(index, indent=2), encoding="utf-8")
    return sorted(folder / file for file in split.filename_to_tensors)


def write_safetensors(
    path: Path, weights: Mapping[str, torch.Tensor], is_filled: Callable[[str], bool] = lambda key: True
) -> None:
    """Write one file: the header's length and the header, then each weight's numbers or a hole."""
    (dtype,) = {weight.dtype for weight in weights.values()}
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for key, weight in weights.items():
        start, end = end, end + weight.nbytes
        header[key] = {
            "dtype": NAMES_IN_SAFETENSORS[dtype],
            "shape": list(weight.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text = text.ljust(8 * math.ceil(len(text) / 8))
    block = _block(dtype)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for key, weight in weights.items():
            if is_filled(key):
                _write_block(file, block, weight, start=zlib.crc32(key.encode()) % BLOCK_LENGTH)
            else:
                file.seek(weight.nbytes, 1)
        file.truncate()


def _block(dtype: torch.dtype) -> memoryview:
    numbers = torch.randn(BLOCK_LENGTH, generator=torch.Generator().manual_seed(0)) * STANDARD_DEVIATION
    return numbers.to(dtype).view(torch.uint8).numpy().data


def _write_block(file: BinaryIO, block: memoryview, weight: torch.Tensor, start: int) -> None:
    """Write the block from its number `start` on, and round again, until the weight is full."""
    rest, position = weight.nbytes, start * weight.itemsize
    while rest:
        piece = block[position : position + rest]
        file.write(piece)
        rest, position = rest - len(piece), 0
