"""Shards tiny models over two processes, and compares them with the same models whole.

    torchrun --nproc_per_node 2 tests/training/sharded_models.py RESULTS.json FAMILY[+TOWER]:STAGE:OPTION ...

The second process has no image, and other numbers of labels and of chunks of the loss. Each process writes for each
model the differences of loss, gradient norm and weights after a step, and whether tokens of two beams agree.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import FullyShardedDataParallelPlugin
from peft import LoraConfig
from torch import nn
from torch.distributed.fsdp import FSDPModule, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from mblip.training.sharding import gather_trained, prepare_sharding
from mblip.training.trainable import set_trainable
from modeling_mblip import label_loss
from tests.tiny import ENCODER_DECODERS, IMAGE_TOKEN_ID, VOCAB_SIZE, tiny_batch, tiny_model
from tests.tiny_towers import tiny_tower_config, tower_batch
from tests.training.fsdp_on_cpu import shard_on_cpus

label_loss.NUM_LOGITS_PER_CHUNK_ON_CPU = 3 * VOCAB_SIZE  # three labels: chunks enough for processes to differ


def batches(family: str, tower: str) -> list[dict[str, Any]]:
    """One of two prompts with images and many labels, one of two prompts without and a label each."""
    batch_of = tower_batch if tower else tiny_batch
    seen, blind = batch_of(family, 2, seed=1), batch_of(family, 2, seed=2)
    blind.pop("pixel_values")
    blind["input_ids"][blind["input_ids"] == IMAGE_TOKEN_ID] = 7
    blind["labels"][:] = -100
    blind["labels"][:, -1] = 9
    return [seen, blind]


def build(family: str, tower: str, stage: str) -> Any:
    lora = LoraConfig(r=2, lora_dropout=0.0, init_lora_weights=False) if stage == "re_alignment" else None
    torch.manual_seed(0)
    changes = {"vision_config": tiny_tower_config(tower)} if tower else {}
    return set_trainable(tiny_model(family, **changes), stage, lora).train()  # type: ignore[arg-type]


def run(parts: str, stage: str, option: str) -> dict[str, float]:
    family, _, tower = parts.partition("+")
    inputs = batches(family, tower)
    num_items = sum(
        int((batch["labels"][:, 0 if family in ENCODER_DECODERS else 1 :] != -100).sum()) for batch in inputs
    )
    models = build(family, tower, stage), build(family, tower, stage)
    for model in models:
        if option == "checkpointing":
            model.activation_checkpointing_enable()
            model.enable_input_require_grads()
    whole, model = models
    losses = [whole(**batch, num_items_in_batch=num_items).loss for batch in inputs]
    sum(losses).backward()
    trained = {name: each for name, each in whole.named_parameters() if each.requires_grad}
    before = {name: each.detach().clone() for name, each in trained.items()}
    norm = nn.utils.clip_grad_norm_(trained.values(), 1.0)
    torch.optim.SGD(trained.values(), lr=0.1).step()

    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap"
    )  # as the Trainer
    accelerator = Accelerator(cpu=True, fsdp_plugin=plugin)
    prepare_sharding(plugin, model.get_base_model() if stage == "re_alignment" else model)
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.1)
    model, optimizer = accelerator.prepare(model, optimizer)
    assert all(isinstance(each, DTensor) for each in model.parameters())
    units = {type(each).__name__ for each in model.modules() if isinstance(each, FSDPModule)}
    layers = {name for name in units if name.endswith(("Layer", "Block", "Stage"))}
    assert len(layers) >= 3, units  # of the vision model, the Q-Former and the language model
    loss = model(**inputs[accelerator.process_index], num_items_in_batch=num_items).loss
    accelerator.backward(loss * accelerator.num_processes)  # FSDP takes the mean over processes
    sharded_norm = accelerator.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    found = gather_trained(model) or {name: each.detach() for name, each in trained.items()}
    register_fsdp_forward_method(model, "generate")  # as the Trainer does
    prompts = {name: value for name, value in inputs[0].items() if name != "labels"}
    arguments = {"max_new_tokens": 5, "do_sample": False, "num_beams": 2}
    tokens = [each.eval().generate(**prompts, **arguments) for each in (whole, model)]
    assert found.keys() == trained.keys()
    return {
        "loss": abs(losses[accelerator.process_index].item() - loss.item()),
        "norm": abs(float(norm) / float(sharded_norm) - 1),
        "weights": largest_difference(found, trained),
        "moved": largest_difference(before, trained),
        "differing_tokens": int((tokens[0] != tokens[1]).sum()) if tokens[0].shape == tokens[1].shape else -1,
    }


def largest_difference(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    return max(float((ours[name] - each.detach()).abs().max()) for name, each in theirs.items())


if __name__ == "__main__":
    path, *cases = sys.argv[1:]
    shard_on_cpus()
    results = {}
    for case in cases:
        results[case] = run(*case.split(":"))
        AcceleratorState._reset_state()  # the next one has other layers
    Path(f"{path}.{torch.distributed.get_rank()}").write_text(json.dumps(results, indent=1), encoding="utf-8")
