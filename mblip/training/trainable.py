"""Which parameters train in each stage, in which precision, and with which learning rate.

Pretrain trains Q-Former, query tokens and projection, for a new Q-Former or another image encoder. Warm-up trains only
the projection. Re-alignment trains Q-Former, query tokens, projection, and LoRA on every linear layer of the language
model except its output head. The image encoder is frozen. Full trains everything, for the baseline without components
and for small models. Parameters that train are fp32, whatever the dtype of the others.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, get_args

from peft import LoraConfig, PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer, check_target_module_exists
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn
from transformers import set_seed
from transformers.pytorch_utils import Conv1D

from mblip.loading import MBlipAdapterModel, quiet_peft
from modeling_mblip.configuration_mblip import idle_parameters
from modeling_mblip.label_loss import output_head
from modeling_mblip.modeling_mblip import MBlipForConditionalGeneration

from .options import LORA_DEFAULTS, LORA_INSTEAD, LoraOptions
from .recipe import Stage, StageRecipe
from .run_folder import StageRun

logger = logging.getLogger(__name__)

STAGES: tuple[Stage, ...] = get_args(Stage)
# Linear layers of Mamba's family whose weights its kernels take. PEFT refuses `out_proj`, too, by model type.
READ_BY_STATE_SPACES = frozenset({"x_proj", "dt_proj", "out_proj"})
IMAGE_SIDE_MODULES = ("query_tokens", "qformer", "language_projection")


@dataclass(frozen=True)
class LearningRates:
    """One peak learning rate per kind of parameter. Query tokens belong to the Q-Former.

    `rest` is that of ViT and language model, which only the stage "full" trains. None means that they must not train.
    """

    projection: float
    qformer: float
    lora: float
    rest: float | None = None


def set_trainable(
    model: MBlipForConditionalGeneration, stage: Stage, lora: LoraConfig | None = None
) -> MBlipForConditionalGeneration | MBlipAdapterModel:
    """Freeze everything except the parameters that the stage trains, and cast these to fp32.

    Args:
        model: the model, changed in place.
        stage: what trains, see `StageRecipe`.
        lora: for re-alignment; None: `LORA_DEFAULTS`, as in the released checkpoints. See `lora_config`.

    Returns:
        In re-alignment, a PEFT model around `model`, whose adapter files hold exactly the parameters that train.
        Otherwise `model` itself.

    Raises:
        ValueError: the stage is unknown or has no LoRA, `lora` names layers that do not exist, or the model has an
            adapter already.
    """
    check_bare(model)
    if stage not in STAGES:
        raise ValueError(f"`stage` is {stage!r}, expected one of {', '.join(STAGES)}.")
    if stage != "re_alignment" and lora is not None:
        raise ValueError(f'The stage "{stage}" has no LoRA, but `lora` is a `LoraConfig`. Leave it out.')
    model.requires_grad_(stage == "full")
    for module in model.modules():
        if "Sinusoidal" in type(module).__name__:  # constants, which transformers keeps as parameters (Marian)
            module.requires_grad_(False)
    for name in {"warm_up": ("language_projection",), "pretrain": IMAGE_SIDE_MODULES}.get(stage, ()):
        getattr(model, name).requires_grad_(True)
    if stage == "full":
        for name in idle_parameters(model.config.vision_config):
            model.vision_model.get_parameter(name).requires_grad_(False)
    if stage != "re_alignment":
        cast_trainable_to_fp32(model)
        return model
    adapted = MBlipAdapterModel(model, lora_config(model, lora))
    cast_trainable_to_fp32(adapted)
    return adapted


def check_bare(model: nn.Module) -> None:
    """Raise ValueError if a model has an adapter: a stage would train its base, and save the adapter alone."""
    if isinstance(model, PeftModel) or any(
        isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper) for module in model.modules()
    ):
        raise ValueError(
            "The model has an adapter already, expected one without. Merge it: `load_checkpoint(ADAPTER)` of "
            "mblip.loading, or `merge_and_unload()` of a PEFT model. Or train it further: `continue_adapter(BASE, "
            "ADAPTER)`."
        )


def choose_trainable(
    model: MBlipForConditionalGeneration | MBlipAdapterModel, stage: StageRun
) -> MBlipForConditionalGeneration | MBlipAdapterModel:
    """Step 3 of train.py: `set_trainable` for a stage. The stage's seed determines new LoRA weights.

    A re-alignment that follows another one, or starts from an adapter, continues to train the same LoRA.

    Raises:
        ValueError: the model is an adapter, but the stage trains no LoRA, or a different one; or as in
            `set_trainable`.
    """
    if isinstance(model, PeftModel):
        _check_same_lora(model, stage.recipe)
        return model
    lora = None if stage.recipe.lora is None else LoraConfig(**stage.recipe.lora)
    set_seed(stage.seed)
    with quiet_peft():
        return set_trainable(model, stage.recipe.stage, lora)


def _check_same_lora(model: MBlipAdapterModel, recipe: StageRecipe) -> None:
    """Refuse a stage whose `lora` differs from the adapter's."""
    config, options = model.peft_config["default"], recipe.lora or LoraOptions()
    wanted = LoraConfig(**options)
    differing = [
        f"`{name}` {getattr(wanted, name)!r}, but the adapter {getattr(config, name)!r}"
        for name in options
        if name != "target_modules" and getattr(config, name) != getattr(wanted, name)
    ]
    layers: list[str] = model.base_model.targeted_module_names  # type: ignore[assignment]
    if wanted.target_modules and not all(check_target_module_exists(wanted, layer) for layer in layers):
        differing.append(f"`target_modules` {options['target_modules']!r}, but the adapter other layers")
    if recipe.lora is None or differing:
        raise ValueError(
            f"The stage {recipe.stage} has {differing[0] if differing else 'no LoRA'}. Training continues the "
            "adapter's LoRA. Give the stage the same `lora`, or set `model.adapter: fresh` to merge the adapter."
        )


def continue_adapter(model: MBlipForConditionalGeneration, name_or_path: str) -> MBlipAdapterModel:
    """Load a trained adapter on its base, to continue the training of its LoRA and image side.

    Args:
        model: the base, changed in place.

    Raises:
        ValueError: the adapter does not hold the whole image side that re-alignment trains, or the model has an
            adapter already.
    """
    check_bare(model)
    model.requires_grad_(False)
    adapted = MBlipAdapterModel.from_pretrained(model, name_or_path, is_trainable=True)
    assert isinstance(adapted, MBlipAdapterModel)
    config = adapted.peft_config["default"]
    held = (config.modules_to_save or ()) if isinstance(config, LoraConfig) else ()
    if lacking := [name for name in IMAGE_SIDE_MODULES if name not in held]:
        raise ValueError(
            f"The adapter {name_or_path} does not hold {', '.join(lacking)}, which re-alignment trains. Merge it into "
            "its base and train a new LoRA: `model.adapter: fresh`."
        )
    cast_trainable_to_fp32(adapted)
    return adapted


def lora_config(model: MBlipForConditionalGeneration, lora: LoraConfig | None = None) -> LoraConfig:
    """Complete `lora` for this model: full names of the layers in the language model, and the image side to save.

    Args:
        lora: None: `LORA_DEFAULTS`. Its `target_modules` are endings of layer names, or a regular expression; None:
            every linear layer except the head. `layers_to_transform` and `exclude_modules` narrow them further.

    Raises:
        ValueError: `lora` names a layer that does not exist, or `modules_to_save`.
    """
    lora = LoraConfig(**LORA_DEFAULTS) if lora is None else lora
    if lora.modules_to_save:
        raise ValueError(f"`modules_to_save` is {lora.modules_to_save}, but {LORA_INSTEAD['modules_to_save']}")
    layers = linear_layers(model)
    leaves = sorted({name.rpartition(".")[2] for name in layers})
    is_narrowed = lora.target_modules is not None and lora.target_modules != "all-linear"
    chosen = lora if is_narrowed else replace(lora, target_modules=leaves)
    targets = [name for name in layers if check_target_module_exists(chosen, name)]
    named: set[str] = chosen.target_modules if isinstance(chosen.target_modules, set) else set()
    absent = sorted(each for each in named if not any(f".{name}".endswith(f".{each}") for name in layers))
    if absent or not targets:
        what = f"no linear layer `{absent[0]}`" if absent else "no linear layer that matches all its options"
        raise ValueError(f"`lora`: the language model has {what}. Choose from these endings: {', '.join(leaves)}.")
    if lora.lora_bias and any(layers[name].bias is None for name in targets):
        raise ValueError("`lora_bias` adds a bias to layers without one, so it cannot be merged: take it out.")
    return replace(
        lora,
        base_model_name_or_path=model.name_or_path or None,  # "" is a model made in memory
        target_modules=targets,
        modules_to_save=list(IMAGE_SIDE_MODULES),
        # GPT-2's layers have transposed weights. PEFT warns if this does not say so.
        fan_in_fan_out=all(isinstance(layers[name], Conv1D) for name in targets),
    )


def linear_layers(model: MBlipForConditionalGeneration) -> dict[str, nn.Module]:
    """All linear layers of the language model that can take LoRA, by full name: all but its head, and those left out
    with a log line (`_why_no_lora`). Quantised layers count, too.
    """
    head = output_head(model.language_model)
    found: dict[str, nn.Module] = {
        f"language_model.{name}": module
        for name, module in model.language_model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head
    }
    left_out = {name: why for name, module in found.items() if (why := _why_no_lora(name, module, model))}
    for why in sorted(set(left_out.values())):
        endings = sorted({name.rpartition(".")[2] for name, reason in left_out.items() if reason == why})
        logger.info("LoRA leaves out %s: %s.", ", ".join(endings), why)
    layers = {name: module for name, module in found.items() if name not in left_out}
    if not layers:
        raise ValueError(
            f"{type(model.language_model).__name__} has no linear layer except its head, expected at least one for "
            "LoRA. Use another language model."
        )
    return layers


def _why_no_lora(name: str, layer: nn.Module, model: nn.Module) -> str | None:
    """Why a linear layer cannot take LoRA; None if it can."""
    kind = type(layer)
    if kind.__name__.endswith(("Router", "GroupedLinear")):  # Llama 4's returns a tuple, DeepSeek's splits its input
        return f"{kind.__name__} is no plain linear layer"
    parent, _, ending = name.rpartition(".")
    if ending in READ_BY_STATE_SPACES and hasattr(model.get_submodule(parent), "conv1d"):
        return "state space layers read its weight, and do not call it"
    return None


def cast_trainable_to_fp32(model: nn.Module) -> None:
    """Cast the parameters that train to fp32, because 16 bits would round small updates away."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def has_separate_experts(model: nn.Module) -> bool:
    """Whether experts are modules of their own (NLLB-MoE, Switch), of which a batch may reach none."""
    return any(
        type(module).__name__.endswith("Experts") and isinstance(module, nn.ModuleDict | nn.ModuleList)
        for module in model.modules()
    )


def count_trainable(model: nn.Module) -> int:
    """The number of parameters that train."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def learning_rates(stage: StageRecipe) -> LearningRates:
    """The peak learning rates of a stage."""
    return LearningRates(
        projection=stage.learning_rate,
        qformer=stage.learning_rate,
        lora=stage.lora_learning_rate or 0.0,
        rest=stage.learning_rate if stage.stage == "full" else None,
    )


def parameter_groups(model: nn.Module, rates: LearningRates, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer: a learning rate per kind, and no weight decay on biases and layer norms.

    Args:
        model: the model that `set_trainable` returned.

    Raises:
        ValueError: a parameter trains for whose kind there is no learning rate.
    """
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in _trained_parameters(model):
        if getattr(rates, _kind(name)) is None:
            raise ValueError(
                f"`{name}` trains, but learning rates are for projection, Q-Former and LoRA only. Use `set_trainable` "
                "to choose what trains."
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
