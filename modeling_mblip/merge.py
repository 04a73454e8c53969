"""Merge an adapter, LoRA and trained image side, into its base, shard by shard.

    python -m modeling_mblip.merge ADAPTER FOLDER [--adapter-revision REVISION] [--base BASE] [--max-shard-size 5GB]

No model is loaded: each shard of the result is made from the base's files and written, so two shards of memory
suffice. Killed and started again with the same line, it goes on with the shard it was at, and the files are the same
to the bit. Until the last one is written, all are in a hidden folder beside FOLDER, which then appears in one step.

Not shipped: no method of the model needs it.
"""

import argparse
import ctypes
import json
import os
import pickle
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from .merge_plan import MergePlan, make_plan
from .merged_folder import write_companions
from .stored_tensors import TensorReader

INDEX_FILE = "model.safetensors.index.json"


def main(arguments: Sequence[str]) -> None:
    """The command; what is wrong with its input ends it with a message."""
    parser = argparse.ArgumentParser(prog="modeling_mblip.merge", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("adapter", metavar="ADAPTER", help="an adapter's folder, or its name on the Hub")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where to write; it must not exist")
    parser.add_argument("--adapter-revision", metavar="REVISION", help="a branch, tag or commit of the Hub")
    parser.add_argument("--base", help="the base, if it does not lie where the adapter says")
    parser.add_argument("--base-revision", metavar="REVISION", help="of BASE; without --base: of the adapter's own")
    parser.add_argument("--max-shard-size", metavar="SIZE", default="5GB", help="of a file (default: %(default)s)")
    given = parser.parse_args(arguments)
    try:
        print(merge_adapter(**vars(given)))
    except (ValueError, OSError, pickle.UnpicklingError, SafetensorError) as error:
        sys.exit(f"Not merged. {error}")


def merge_adapter(
    adapter: str,
    folder: Path,
    *,
    adapter_revision: str | None = None,
    base: str | None = None,
    base_revision: str | None = None,
    max_shard_size: str = "5GB",
) -> str:
    """Write the merged model, its processor and configuration.

    Args:
        adapter: a folder or repository with LoRA and, in `modules_to_save`, the trained image side.
        folder: where to write; its parent must be on the same disk and writable.
        base: None: the one that the adapter names. An `mblip` folder, one of BLIP-2's layout, or a base without
            weights, of which each part is then read from its own parent.
        base_revision: None: the one that the adapter names for its own base, the newest of any other.
        max_shard_size: of one file, as in `save_pretrained`.

    Returns:
        What was merged, in words.

    Raises:
        ValueError: adapter and base do not fit, or the adapter cannot be merged weight by weight.
        OSError: something cannot be read, or the folder is there already.
        pickle.UnpicklingError: a .bin file of the base holds more than tensors.
    """
    plan = make_plan(
        adapter,
        base,
        max_shard_size=max_shard_size,
        adapter_revision=adapter_revision,
        base_revision=base_revision,
    )
    work = folder.with_name(f".{folder.name}.merging")
    if folder.exists():
        if not _is_of(work, plan) or (work / "model").exists():
            raise FileExistsError(f"{folder} is there already. Delete it, or give another folder.")
        num_there = len(plan.shards)  # broken off between the last two steps
    else:
        num_there = _write_model(plan, work)
        os.replace(work / "model", folder)
    shutil.rmtree(work)
    return _report(plan, folder, num_there)


def _write_model(plan: MergePlan, work: Path) -> int:
    """Write the files that are not there yet into `work`; the number of shards that were."""
    model = work / "model"
    if not _is_of(work, plan):
        shutil.rmtree(work, ignore_errors=True)
        model.mkdir(parents=True)
        _write_text(work / "inputs.json", _inputs(plan))
    write_companions(plan, model)
    is_there = [(model / file).exists() for file in plan.shards]
    for file, is_written in zip(plan.shards, is_there, strict=True):
        if not is_written:
            _write_shard(plan, file, model)
    if len(plan.shards) > 1:
        _write_text(model / INDEX_FILE, _index(plan))
    return sum(is_there)


def _write_shard(plan: MergePlan, file: str, model: Path) -> None:
    """Make one shard and write it; under its name it is whole. What was read of the base's files is let go with it."""
    reader = TensorReader()
    weights = {name: _merged_weight(plan, name, reader) for name in plan.shards[file]}
    unfinished = model.parent / f"{file}.unfinished"
    save_file(weights, unfinished, metadata={"format": "pt"})
    reader.close()
    plan.update.close()
    _put_in_place(unfinished, model / file)


def _merged_weight(plan: MergePlan, name: str, reader: TensorReader) -> torch.Tensor:
    dtype = plan.weights.dtypes[name]
    if name in plan.update.replaced:
        return plan.update.replacement(name).to(dtype).contiguous()
    weight = reader.read(plan.weights.stored[name]).to(dtype)
    if name not in plan.update.layers:
        return weight.contiguous()
    merged = plan.update.add_lora(name, weight).contiguous()
    _return_freed_memory()
    return merged


def _return_freed_memory() -> None:
    """Have glibc return to the kernel what computing a weight took: it keeps freed blocks of up to 32 MB, and at the
    shape of mT0-XL, in shards of 2 GB, these grew to 3 GB.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def _is_of(work: Path, plan: MergePlan) -> bool:
    """Whether a merge that was broken off was this one."""
    path = work / "inputs.json"
    return path.is_file() and path.read_text(encoding="utf-8") == _inputs(plan)


def _inputs(plan: MergePlan) -> str:
    return json.dumps(plan.inputs, indent=1, sort_keys=True) + "\n"


def _index(plan: MergePlan) -> str:
    metadata = {"total_parameters": plan.num_parameters, "total_size": plan.num_bytes}
    return json.dumps({"metadata": metadata, "weight_map": plan.weight_map}, indent=2, sort_keys=True) + "\n"


def _write_text(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    _put_in_place(unfinished, path)


def _put_in_place(unfinished: Path, path: Path) -> None:
    """Give a file its name once its bytes are on the disk, so that the name never stands on half of it."""
    with open(unfinished, "rb") as file:
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def _report(plan: MergePlan, folder: Path, num_there: int) -> str:
    num_lora, num_replaced = len(plan.update.layers), len(plan.update.replaced)
    num_kept = sum(map(len, plan.shards.values())) - num_lora - num_replaced
    there = f"; {num_there} of the files were there from before" if num_there else ""
    return (
        f"{plan.adapter} on {plan.base}: {num_lora} linear layers with their LoRA, {num_replaced} weights replaced, "
        f"{num_kept} as they were.\n"
        f"{folder}: {plan.num_parameters:,} parameters, {plan.num_bytes / 1e9:.2f} GB in {len(plan.shards)} file(s)"
        f"{there}."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
