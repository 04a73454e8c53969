"""Bases and adapters to merge, and what PEFT and transformers make of them with the whole model in memory."""

from dataclasses import replace

import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file
from tiny import tiny_blip2, tiny_model

from modeling_mblip import MBlipForConditionalGeneration
from modeling_mblip.trainable import LoraSettings, lora_config

SHARD = "40KB"


def save_adapter(base, folder, save_embedding_layers="auto", **settings):
    """An adapter on `base` whose every weight is random, saved by PEFT."""
    model = MBlipForConditionalGeneration.from_pretrained(base)
    config = replace(lora_config(model, LoraSettings(rank=4, dropout=0.0)), **settings)
    adapted = get_peft_model(model, config)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float().normal_(0.0, 0.1)
    adapted.save_pretrained(folder, save_embedding_layers=save_embedding_layers)
    return folder


def save_base(kind, family, folder, dtype=torch.float32):
    """A base of each kind there is."""
    base = folder / "base"
    if kind == "weightless":
        tiny_blip2("t5", seed=1).save_pretrained(folder / "blip2", max_shard_size="30KB")
        tiny_model(family, seed=2).language_model.to(dtype).save_pretrained(folder / "text", max_shard_size="30KB")
        MBlipForConditionalGeneration.from_blip2_pretrained(folder / "blip2", folder / "text").save_marriage(base)
        return base
    model = tiny_model(family)
    for part in (model.vision_model, model.language_model):
        part.to(dtype)
    model.config.dtype = dtype
    model.save_pretrained(base, max_shard_size="50KB" if kind == "sharded" else "5GB")
    if kind == "bin":
        (file,) = base.glob("*.safetensors")
        torch.save(load_file(file), base / "pytorch_model.bin")
        file.unlink()
    return base


def reference(base, adapter, folder):
    """What PEFT and transformers write with the whole model in memory."""
    model = MBlipForConditionalGeneration.from_pretrained(base)
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    merged.save_pretrained(folder, max_shard_size=SHARD)
    return merged.eval()


def weight_files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if "safetensors" in path.name}
