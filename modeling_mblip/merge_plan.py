"""What merging an adapter into its base will write: which weights, in which files. Nothing is read for it but names,
shapes and dtypes. Not shipped: no method of the model needs it.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from peft import PeftConfig
from transformers.core_model_loading import dot_natural_key

from .adapter_merging import AdapterUpdate
from .checkpoint_reading import find_file
from .configuration_mblip import MBlipConfig
from .loading_mblip import parents_to_marry
from .merge_sources import BaseWeights, find_base_weights
from .modeling_mblip import MBlipForConditionalGeneration


@dataclass(frozen=True)
class MergePlan:
    """Which weights the merged model has, and in which file each is written.

    Args:
        adapter, base: where they lie, with their revisions.
        config: of the merged model.
        parents: of a base without weights; None for any other.
        shards: for each file, the names of its weights.
        weight_map: the file of each weight, as an index has it.
        num_parameters, num_bytes: of all weights.
    """

    adapter: str
    adapter_revision: str | None
    base: str
    base_revision: str | None
    config: MBlipConfig
    parents: Mapping[str, Any] | None
    weights: BaseWeights
    update: AdapterUpdate
    shards: Mapping[str, Sequence[str]]
    weight_map: Mapping[str, str]
    num_parameters: int
    num_bytes: int

    @property
    def inputs(self) -> dict[str, Any]:
        """What the files depend on: a merge that was broken off goes on only where all of it is the same."""
        paths = {tensor.path for tensor in (*self.update.stored.values(), *self.weights.stored.values())}
        configurations = (
            find_file(self.adapter, "adapter_config.json", revision=self.adapter_revision),
            find_file(self.base, "config.json", revision=self.base_revision),
        )
        paths |= {path for path in configurations if path is not None}
        states = {os.path.realpath(path): os.stat(path) for path in sorted(paths)}
        return {
            "files": {path: [state.st_size, state.st_mtime_ns] for path, state in states.items()},
            "shards": dict(self.shards),
        }


def make_plan(
    adapter: str,
    base: str | None,
    *,
    max_shard_size: str,
    adapter_revision: str | None,
    base_revision: str | None,
) -> MergePlan:
    """Plan a merge; arguments as of `merge_adapter`.

    Raises:
        ValueError: adapter and base do not fit, or cannot be merged weight by weight.
        OSError: one of them cannot be read.
    """
    adapter_config = PeftConfig.from_pretrained(adapter, revision=adapter_revision)
    if base is None and base_revision is None:
        base_revision = adapter_config.revision
    base = base or adapter_config.base_model_name_or_path
    if base is None:
        raise ValueError(f"{adapter} names no base. Give the one it was trained on with --base.")
    config = MBlipConfig.from_pretrained(base, revision=base_revision or "main")
    parents = parents_to_marry(base, revision=base_revision)
    _check_unquantised(config, parents, base)
    with torch.device("meta"):
        skeleton = MBlipForConditionalGeneration(config)
    parameters = {name for name, _ in skeleton.named_parameters(remove_duplicate=False)}
    num_made_up = sum(skeleton.get_parameter(name).numel() for name in skeleton._keys_to_ignore_on_save or ())
    weights = find_base_weights(base, skeleton, parents, revision=base_revision)
    update = AdapterUpdate(adapter, skeleton, revision=adapter_revision)
    _check_complete(weights, update, base)
    shapes = {name: tensor.shape for name, tensor in {**weights.stored, **update.replaced}.items()}
    contents = {
        name: torch.empty(shapes[name], dtype=weights.dtypes[name], device="meta")
        for name in sorted(shapes, key=dot_natural_key)
    }
    split = split_torch_state_dict_into_shards(contents, max_shard_size=max_shard_size)
    return MergePlan(
        adapter=adapter,
        adapter_revision=adapter_revision,
        base=base,
        base_revision=base_revision,
        config=config,
        parents=parents,
        weights=weights,
        update=update,
        shards=split.filename_to_tensors,
        weight_map=split.tensor_to_filename,
        num_parameters=num_made_up + sum(weight.numel() for name, weight in contents.items() if name in parameters),
        num_bytes=split.metadata["total_size"],
    )


def _check_unquantised(config: MBlipConfig, parents: Mapping[str, Any] | None, base: str) -> None:
    if parents is None and hasattr(config, "quantization_config"):
        raise ValueError(
            f"{base} is quantised, and quantised weights cannot take an update in. Give the base in 16 or 32 bits "
            "with --base."
        )


def _check_complete(weights: BaseWeights, update: AdapterUpdate, base: str) -> None:
    if missing := sorted(weights.missing - update.replaced.keys()):
        raise ValueError(
            f"{base} and {update.name_or_path} together lack {len(missing)} weights, the first being {missing[0]!r}. "
            "An adapter on a marriage with a random projection must hold the projection."
        )
    if tied := sorted(weights.tied & update.changed):
        raise ValueError(
            f"{update.name_or_path} changes {tied[0]!r}, which {base} shares with other layers, so they would change "
            "with it. Train without LoRA on the head and the embeddings."
        )
