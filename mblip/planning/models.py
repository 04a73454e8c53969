"""The model of a recipe on the meta device, from configurations alone, in the precision and stage of its training."""

from typing import Any

import torch
from peft import LoraConfig, PeftConfig
from torch import nn
from transformers import AutoConfig, PreTrainedConfig

from mblip.evaluation.recipe import LoadIn
from mblip.loading import MBlipAdapterModel, is_adapter, quiet_peft
from mblip.training.recipe import ModelRecipe, StageRecipe
from mblip.training.trainable import set_trainable
from modeling_mblip import MBlipConfig, MBlipForConditionalGeneration
from modeling_mblip.checkpoint_reading import check_location
from modeling_mblip.label_loss import output_head
from modeling_mblip.loading_mblip import Components, composition_config

BYTES_OF_NF4 = 0.5 + 4 / 64  # half a byte a weight, and an fp32 scale for every 64 (bitsandbytes without double quant)


def read_config(recipe: ModelRecipe) -> tuple[MBlipConfig, bool]:
    """The configuration of a recipe's model, and whether the language model's head has weights of its own.

    transformers' configurations of T5's family say that the head is tied, whatever the file says. Loading looks at the
    weights; here the file decides.

    Raises:
        OSError: a component or its config.json cannot be read.
    """
    if recipe.name_or_path is None:
        vision = recipe.vision or recipe.blip2
        assert vision is not None  # a recipe names a checkpoint or components
        assert recipe.language_model is not None
        config = composition_config(
            Components(vision, recipe.qformer or recipe.blip2, recipe.language_model, recipe.projection),
            text_config=AutoConfig.from_pretrained(recipe.language_model),
            qformer_config=recipe.qformer_config,
            num_query_tokens=recipe.num_query_tokens,
        )
        file, _ = PreTrainedConfig.get_config_dict(recipe.language_model)
        return config, file.get("tie_word_embeddings") is False
    return read_config_of(recipe.name_or_path)


def read_config_of(name_or_path: str) -> tuple[MBlipConfig, bool]:
    """The same for a checkpoint, or for the base of an adapter."""
    check_location(name_or_path)
    if is_adapter(name_or_path):
        base = PeftConfig.from_pretrained(name_or_path).base_model_name_or_path
        assert base is not None  # PEFT writes it
        return read_config_of(base)
    file, _ = PreTrainedConfig.get_config_dict(name_or_path)
    text_file = file.get("text_config", {})
    return MBlipConfig.from_pretrained(name_or_path), text_file.get("tie_word_embeddings") is False


def meta_model(
    config: MBlipConfig,
    dtype: torch.dtype,
    *,
    load_in: LoadIn | None = None,
    is_head_untied: bool = False,
    has_tower: bool = True,
) -> MBlipForConditionalGeneration:
    """The model on the meta device, in the dtypes that loading gives it."""
    with torch.device("meta"):
        model = MBlipForConditionalGeneration(config, has_tower=has_tower)
        nn.Module.to(model, dtype)
        for name in model._keep_in_fp32_modules_strict or ():
            getattr(model, name).float()
        head: Any = output_head(model.language_model)
        embeddings: Any = model.get_input_embeddings()
        if is_head_untied and head.weight is embeddings.weight:
            head.weight = nn.Parameter(torch.empty_like(embeddings.weight))
        if load_in is not None:
            _quantise(model, load_in)
    model.scaling_power = 0  # the first run would look for it in the values of logits
    return model


def in_stage(
    model: MBlipForConditionalGeneration, stage: StageRecipe
) -> MBlipForConditionalGeneration | MBlipAdapterModel:
    """The model with what trains in a stage. `model` is changed in place."""
    lora = None if stage.lora is None else LoraConfig(**stage.lora)
    with quiet_peft(), torch.device("meta"):
        return set_trainable(model, stage.stage, lora).train()


def _quantise(model: MBlipForConditionalGeneration, load_in: LoadIn) -> None:
    """Replace the linear layers of the language model that transformers quantises."""
    head, kept = output_head(model.language_model), model.language_model._keep_in_fp32_modules or ()
    for name, layer in list(model.language_model.named_modules()):
        if type(layer) is nn.Linear and layer is not head and not set(kept) & set(name.split(".")):
            parent, _, leaf = name.rpartition(".")
            setattr(model.language_model.get_submodule(parent), leaf, QuantisedLinear(layer, load_in))


class QuantisedLinear(nn.Linear):
    """Takes the memory and the operations of bitsandbytes' layers: 8-bit weights, or nf4."""

    def __init__(self, layer: nn.Linear, load_in: LoadIn) -> None:
        super().__init__(layer.in_features, layer.out_features, bias=layer.bias is not None)
        size = layer.weight.numel() if load_in == "8bit" else round(layer.weight.numel() * BYTES_OF_NF4)
        self.weight = nn.Parameter(torch.empty(size, dtype=torch.uint8), requires_grad=False)
        self.bias, self.is_unpacked_to_run = layer.bias, load_in == "4bit"

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        shape = (self.out_features, self.in_features)
        output: torch.Tensor = _QuantisedProduct.apply(input, self.weight, shape, self.is_unpacked_to_run)
        return output if self.bias is None else output + self.bias


class _QuantisedProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, input: torch.Tensor, weight: torch.Tensor, shape: tuple[int, int], is_unpacked: bool
    ) -> torch.Tensor:
        ctx.shape = shape
        if is_unpacked:
            return input @ input.new_empty(shape).T
        codes = torch.empty_like(input, dtype=torch.uint8)  # the input is quantised as well
        return (input + codes[..., :0].sum()) @ input.new_empty(1).expand(shape).T

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return gradient @ gradient.new_empty(ctx.shape), None, None, None
