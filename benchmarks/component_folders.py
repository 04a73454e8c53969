"""Writes the folders that `mblip compose` and `mblip merge` read, with random weights: a BLIP-2, a language model and
an adapter.

The BLIP-2 has the layout of Salesforce/blip2-flan-t5-xl: fp32, in shards of at most 10 GB, first the image side and
then its Flan-T5. The Flan-T5 is a hole in the files. A shard with Flan-T5 only is not even a valid checkpoint.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from model_shapes import Shape
from peft import PeftModel, get_peft_model_state_dict
from stored_weights import write_checkpoint, write_safetensors
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    AutoConfig,
    Blip2ForConditionalGeneration,
    BlipImageProcessorPil,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from mblip.training.trainable import lora_config
from modeling_mblip import MBlipConfig, MBlipForConditionalGeneration
from modeling_mblip.language_models import text_model_class
from modeling_mblip.quantisation import IMAGE_SIDE

VOCABULARY = {"<pad>": 0, "</s>": 1, "<unk>": 2}


@dataclass(frozen=True)
class Component:
    """A checkpoint on disk, and its files of weights."""

    folder: Path
    shards: list[Path]
    num_parameters: int

    @property
    def shard_bytes(self) -> dict[Path, int]:
        return {shard: shard.stat().st_size for shard in self.shards}


def write_blip2(folder: Path, shape: Shape, max_shard_size: str) -> Component:
    """A BLIP-2 of this shape. Only its image side has weights."""
    with torch.device("meta"):
        model = Blip2ForConditionalGeneration(shape.theirs())
    weights = _published(model, model.language_model, torch.float32)
    shards = write_checkpoint(folder, weights, max_shard_size, is_filled=lambda key: key.split(".")[0] in IMAGE_SIDE)
    model.config.save_pretrained(folder)
    BlipImageProcessorPil().save_pretrained(folder)
    return Component(folder, shards, _count(weights))


def write_language_model(folder: Path, shape: Shape, dtype: torch.dtype, max_shard_size: str) -> Component:
    """The language model of this shape, with a tokenizer of three tokens."""
    config = AutoConfig.for_model(**shape.text, dtype=dtype)
    with torch.device("meta"):
        model = text_model_class(config).from_config(config)
    weights = _published(model, model, dtype)
    shards = write_checkpoint(folder, weights, max_shard_size)
    model.config.save_pretrained(folder)
    words = Tokenizer(WordLevel(VOCABULARY, unk_token="<unk>"))
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>").save_pretrained(folder)
    return Component(folder, shards, _count(weights))


def write_adapter(folder: Path, base: Path) -> int:
    """What re-alignment of this base saves, in fp32: LoRA, Q-Former, query tokens, projection. Returns its bytes."""
    with torch.device("meta"):
        model = MBlipForConditionalGeneration(MBlipConfig.from_pretrained(base))
    config = replace(lora_config(model), base_model_name_or_path=str(base))
    with warnings.catch_warnings():
        # peft 0.21 asks for an attribute that transformers 5.23 has renamed.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        adapted = PeftModel(model, config, low_cpu_mem_usage=True)
    weights = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    folder.mkdir()
    config.inference_mode = True
    config.save_pretrained(str(folder))
    path = folder / "adapter_model.safetensors"
    write_safetensors(path, {key: weight.float().contiguous() for key, weight in weights.items()})
    return path.stat().st_size


def _published(model: PreTrainedModel, language_model: PreTrainedModel, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """A model's weights as they are published, each once. T5 and mT5 come with a head of their own, though
    transformers builds them tied to the embeddings.
    """
    head = language_model.get_output_embeddings()
    names = [name for name, _ in model.named_parameters()]
    if language_model.config.is_encoder_decoder:
        names += [f"{name}.weight" for name, module in model.named_modules() if module is head]
    return {name: torch.empty_like(model.get_parameter(name), dtype=dtype) for name in dict.fromkeys(names)}


def _count(weights: Mapping[str, torch.Tensor]) -> int:
    return sum(weight.numel() for weight in weights.values())
