"""What trains in each stage, in which precision, and with which learning rate.

Warm-up trains the projection alone. Re-alignment trains Q-Former, query tokens, projection, and LoRA on every linear
layer of the language model but its output head; the ViT is frozen. Full trains everything: the baseline without
parents, and models small enough for it. What trains is fp32, whatever the rest is held in.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from peft import LoraConfig
from torch import nn
from transformers.pytorch_utils import Conv1D

from mblip.loading import MBlipAdapterModel
from modeling_mblip.label_loss import output_head
from modeling_mblip.modeling_mblip import MBlipForConditionalGeneration

Stage = Literal["warm_up", "re_alignment", "full"]
STAGES: tuple[Stage, ...] = ("warm_up", "re_alignment", "full")
IMAGE_SIDE_MODULES = ("query_tokens", "qformer", "language_projection")


@dataclass(frozen=True)
class LoraSettings:
    """LoRA of the language model; the defaults are those of the released checkpoints."""

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.05


@dataclass(frozen=True)
class LearningRates:
    """One peak learning rate per kind of parameter; query tokens belong to the Q-Former.

    `rest` is that of ViT and language model, which only the stage "full" trains; None: they must not train.
    """

    projection: float
    qformer: float
    lora: float
    rest: float | None = None


def set_trainable(
    model: MBlipForConditionalGeneration, stage: Stage, lora: LoraSettings | None = None
) -> MBlipForConditionalGeneration | MBlipAdapterModel:
    """Freeze everything and thaw what the stage trains, in fp32.

    Args:
        model: an `MBlipForConditionalGeneration`, changed in place.
        stage: "warm_up", "re_alignment" or "full".
        lora: for re-alignment; None: the defaults of `LoraSettings`.

    Returns:
        The PEFT model around it in re-alignment, whose adapter files hold exactly what trains; else the model itself.

    Raises:
        ValueError: an unknown stage, or LoRA settings for a stage without LoRA.
    """
    if stage not in STAGES:
        raise ValueError(f"`stage` is {stage!r}, expected one of {', '.join(STAGES)}.")
    if stage != "re_alignment" and lora is not None:
        raise ValueError(f'The stage "{stage}" has no LoRA, but LoRA settings came in. Leave them out.')
    model.requires_grad_(stage == "full")
    if stage == "warm_up":
        model.language_projection.requires_grad_(True)
    if stage != "re_alignment":
        cast_trainable_to_fp32(model)
        return model
    adapted = MBlipAdapterModel(model, lora_config(model, lora or LoraSettings()))
    cast_trainable_to_fp32(adapted)
    return adapted


def continue_adapter(model: MBlipForConditionalGeneration, name_or_path: str) -> MBlipAdapterModel:
    """Put a trained adapter on its base, to train the same LoRA and image side further.

    Args:
        model: the base, changed in place.

    Raises:
        ValueError: the adapter does not hold the whole image side that re-alignment trains.
    """
    model.requires_grad_(False)
    adapted = MBlipAdapterModel.from_pretrained(model, name_or_path, is_trainable=True)
    assert isinstance(adapted, MBlipAdapterModel)
    config = adapted.peft_config["default"]
    held = (config.modules_to_save or ()) if isinstance(config, LoraConfig) else ()
    if lacking := [name for name in IMAGE_SIDE_MODULES if name not in held]:
        raise ValueError(
            f"The adapter {name_or_path} does not hold {', '.join(lacking)}, which re-alignment trains. Merge it into "
            "its base, and train a fresh LoRA on that."
        )
    cast_trainable_to_fp32(adapted)
    return adapted


def lora_config(model: MBlipForConditionalGeneration, settings: LoraSettings) -> LoraConfig:
    """LoRA on every linear layer of the language model but its head; the trained image side is saved with it."""
    layers = linear_layers(model)
    return LoraConfig(
        base_model_name_or_path=model.name_or_path or None,  # a model made in memory has the name ""
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=pattern_for(layers, model),
        modules_to_save=list(IMAGE_SIDE_MODULES),
        # GPT-2's layers hold their weight transposed; PEFT warns where this does not say so.
        fan_in_fan_out=all(isinstance(layer, Conv1D) for layer in layers.values()),
    )


def linear_layers(model: MBlipForConditionalGeneration) -> dict[str, nn.Module]:
    """Every linear layer of the language model but its head, by its full name; quantised layers are linear layers,
    too.
    """
    head = output_head(model.language_model)
    layers: dict[str, nn.Module] = {
        f"language_model.{name}": module
        for name, module in model.language_model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head
    }
    if not layers:
        raise ValueError(
            f"{type(model.language_model).__name__} has no linear layer beside its head: there is nothing to adapt."
        )
    return layers


def pattern_for(layers: Mapping[str, Any], model: nn.Module) -> str:
    """A regular expression, short enough to read in an adapter's configuration, that matches exactly these modules of
    the model.
    """
    leaves = sorted({name.rpartition(".")[2] for name in layers})
    pattern = rf"language_model\..*\.({'|'.join(map(re.escape, leaves))})"
    matched = {name for name, _ in model.named_modules() if re.fullmatch(pattern, name)}
    if matched == set(layers):
        return pattern
    return "|".join(re.escape(name) for name in layers)


def cast_trainable_to_fp32(model: nn.Module) -> None:
    """Hold what trains in fp32: in 16 bits a small update is rounded away."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def count_trainable(model: nn.Module) -> int:
    """Number of parameters that train."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def parameter_groups(model: nn.Module, rates: LearningRates, weight_decay: float) -> list[dict[str, Any]]:
    """Groups for an optimizer: a learning rate per kind, and no weight decay on biases and layer norms.

    Args:
        model: what `set_trainable` returned.

    Raises:
        ValueError: a parameter trains that belongs to no kind, so no learning rate is meant for it.
    """
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in _trained_parameters(model):
        if getattr(rates, _kind(name)) is None:
            raise ValueError(
                f"`{name}` trains, but learning rates are for projection, Q-Former and LoRA only. Choose what trains "
                "with `set_trainable`."
            )
        is_decayed = parameter.ndim > 1  # biases and the weights of layer norms are vectors
        groups.setdefault((_kind(name), is_decayed), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": getattr(rates, kind),
            "weight_decay": weight_decay if is_decayed else 0.0,
            "name": f"{kind}{'' if is_decayed else ', no decay'}",
        }
        for (kind, is_decayed), parameters in groups.items()
    ]


def _trained_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)


def _kind(name: str) -> str:
    parts = name.split(".")
    if any(part.startswith("lora_") for part in parts):
        return "lora"
    if "language_projection" in parts:
        return "projection"
    if "qformer" in parts or "query_tokens" in parts:
        return "qformer"
    return "rest"
