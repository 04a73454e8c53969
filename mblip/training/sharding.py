"""Training in shards (FSDP2): each process holds a part of every parameter, of its gradient and its optimizer state.

transformers' Trainer and accelerate shard the model, layer by layer (`_no_split_modules`). This file holds what they
leave to us: options that would not shard or would train wrongly, weights that layers share, and saving what trains.
"""

import dataclasses
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import FullyShardedDataParallelPlugin
from torch import nn
from torch.distributed.fsdp import FSDPModule
from transformers import TrainingArguments

from mblip.evaluation.processes import is_main_process
from modeling_mblip import MBlipForConditionalGeneration

from .trainable import has_separate_experts

REFUSED = {  # keys of `fsdp_config`
    "activation_checkpointing": "it draws new dropout when it recomputes. Give `training.activation_checkpointing`.",
    "cpu_ram_efficient_loading": "a composition needs the weights of its parts on every process. Take it out.",
}


def check_sharding(arguments: TrainingArguments, location: str) -> None:
    """Refuse FSDP options that would not shard, or would train wrongly. `location` is that of the options.

    Raises:
        ValueError: there is no GPU, so that accelerate would train a whole model per process without a word; there is
            no process group; or an option does not work here.
    """
    if not arguments.fsdp:
        return
    config = arguments.fsdp_config
    assert isinstance(config, dict)  # TrainingArguments reads a file
    if arguments.device.type == "cpu":
        raise ValueError(
            f"{location}: `training.fsdp` shards a model over GPUs, but there is none here: each process would train "
            "the whole model. Take it out."
        )
    if "LOCAL_RANK" not in os.environ:
        raise ValueError(f"{location}: `training.fsdp` needs a process for each GPU. Start them with torchrun.")
    if (version := int(config.get("version", 2))) != 2:
        raise ValueError(
            f"{location}: `training.fsdp_config.version` is {version}, expected 2: version 1 refuses layers that hold "
            "frozen weights in 16 bits and LoRA in 32. Take it out."
        )
    for name, why in REFUSED.items():
        if config.get(name):
            raise ValueError(f"{location}: `training.fsdp_config.{name}` is set, but {why}")


def prepare_sharding(plugin: FullyShardedDataParallelPlugin, model: MBlipForConditionalGeneration) -> None:
    """Sum gradients and return the loss in fp32, and make embeddings that share a weight one module.

    accelerate's mixed precision rounds both to 16 bits. torch takes a weight that several modules share only if all of
    them are sharded together, but accelerate takes the input embeddings alone, without those of encoder and decoder.

    Raises:
        ValueError: experts are modules of their own. Processes would wait for each other at experts that one skips.
    """
    if has_separate_experts(model):
        name = type(model.language_model).__name__
        raise ValueError(f"`fsdp` cannot shard {name}: a batch may skip some of its experts. Take `fsdp` out.")
    # About outputs that are changed in place. The Trainer changes none.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor", UserWarning)
    if plugin.mixed_precision_policy is not None:
        plugin.mixed_precision_policy = dataclasses.replace(
            plugin.mixed_precision_policy, reduce_dtype=torch.float32, output_dtype=None
        )
    for target, source in model.all_tied_weights_keys.items():
        path, kept = target.rpartition(".")[0], model.get_submodule(source.rpartition(".")[0])
        tied = model.get_submodule(path)
        if tied is not kept and isinstance(tied, nn.Embedding) and _settings(tied) == _settings(kept):
            model.set_submodule(path, kept)


def _settings(module: nn.Module) -> tuple[type, dict[str, float]]:
    """What a module computes, besides its weights: its class, and its numbers, such as the scale of an embedding."""
    return type(module), {name: value for name, value in vars(module).items() if isinstance(value, int | float)}


@contextmanager
def in_evaluation(model: nn.Module, bare: MBlipForConditionalGeneration) -> Iterator[None]:
    """Gather what stands outside of the layers, for methods other than `forward`, and let processes generate in step.

    Args:
        bare: the model without its adapter, whose `generate` runs.
    """
    shards = [module for module in model.modules() if isinstance(module, FSDPModule)]
    shards[0].unshard()
    vars(bare)["_is_fsdp_managed_module"] = True  # for transformers: none ends before the others
    yield
    for module in shards:
        module.reshard()


def gather_trained(model: nn.Module) -> dict[str, torch.Tensor]:
    """The whole values of the parameters that train, on the CPU of the main process; empty on the others.

    All processes must call this. Each holds one whole parameter at a time.
    """
    gathered: dict[str, torch.Tensor] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            shard: Any = parameter.detach()  # a DTensor, on the CPU if parameters are offloaded
            whole = shard.to(shard.device_mesh.device_type).full_tensor()
            gathered |= {name: whole.cpu()} if is_main_process() else {}
    return gathered
