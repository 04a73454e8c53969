"""Quantisation of the language model, and of nothing else: what is spared, and what the whole must know of it.

ViT, Q-Former, query tokens, projection and output head keep their dtype. A part that transformers holds back for its
own reasons (the `wo` of T5 and its heirs) stays as it is, too.
"""

import copy
import logging
from typing import Any

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D
from transformers.quantizers import AutoQuantizationConfig

from .language_models import head_name

IMAGE_SIDE = ("vision_model", "qformer", "query_tokens", "language_projection")
# How the quantisation methods of transformers call the list of modules that stay as they are.
SKIP_LIST_NAMES = ("llm_int8_skip_modules", "modules_to_not_convert", "skip_modules")
# What makes transformers know that a model is quantised; an assembled one would save its 8-bit codes as weights.
QUANTISATION_ATTRIBUTES = (
    "hf_quantizer",
    "is_quantized",
    "quantization_method",
    "is_loaded_in_8bit",
    "is_loaded_in_4bit",
    "is_8bit_serializable",
    "is_4bit_serializable",
)


def sparing_the_image_side(quantization_config: Any, text_config: PreTrainedConfig) -> Any:
    """A copy whose skip list names the image side and the head: a list given replaces transformers' own, which spares
    the head.

    Args:
        quantization_config: one of transformers', or its dict.

    Raises:
        ValueError: this kind of quantisation has no such list.
    """
    if isinstance(quantization_config, dict):
        quantization_config = AutoQuantizationConfig.from_dict(quantization_config)
    if (name := _skip_list_name(quantization_config)) is not None:
        return _with_spared(quantization_config, name, [*IMAGE_SIDE, head_name(text_config)])
    raise ValueError(
        f"{type(quantization_config).__name__} has none of {', '.join(SKIP_LIST_NAMES)}, so it cannot say that ViT "
        "and Q-Former stay as they are. Use `BitsAndBytesConfig`, or load a language model that is quantised already."
    )


def adopt_quantisation(model: PreTrainedModel, text_model: PreTrainedModel) -> None:
    """Let an assembled model know that its language model is quantised, so that it is saved as that."""
    for attribute in QUANTISATION_ATTRIBUTES:
        if hasattr(text_model, attribute):
            setattr(model, attribute, getattr(text_model, attribute))
    if getattr(text_model, "is_quantized", False):
        config = text_model.config.quantization_config
        name = _skip_list_name(config)
        if name is not None and not set(IMAGE_SIDE) <= set(getattr(config, name) or ()):
            # It was quantised before, and knows of no image side; what it spared itself may be in no list.
            config = _with_spared(config, name, [*IMAGE_SIDE, *_plain_layers(text_model)])
        model.config.quantization_config = config


def prepare_quantised(model: nn.Module) -> None:
    """Make a quantised language model fit to be trained and evaluated by turns, and quiet. Others are left alone.

    On processors with AVX512-BF16, bitsandbytes packs 4-bit weights anew in evaluation and leaves them so. Behind them
    LoRA's gradients would be wrong, or raise.

    Raises:
        ValueError: bitsandbytes was to quantise it, and transformers found no layer that it can replace.
    """
    _check_quantised(model)
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]  # a flag, not a parameter
    if getattr(model, "is_loaded_in_8bit", False):
        logging.getLogger("bitsandbytes.autograd._functions").addFilter(_is_no_note_of_casting)


def _check_quantised(model: nn.Module) -> None:
    """Refuse a model that was to be quantised by bitsandbytes and of which nothing is: it would need the memory of the
    whole one in silence.
    """
    wants_bits = getattr(model, "is_loaded_in_8bit", False) or getattr(model, "is_loaded_in_4bit", False)
    if wants_bits and not any(type(module).__module__.startswith("bitsandbytes.") for module in model.modules()):
        raise ValueError(
            f"No layer of {type(model.language_model).__name__} is quantised: transformers quantises torch's own "
            "`nn.Linear` alone, and leaves those that `llm_int8_skip_modules` names and, with "
            "`llm_int8_enable_fp32_cpu_offload`, those on the CPU. Leave out `quantization_config`."
        )


def _skip_list_name(quantization_config: Any) -> str | None:
    """How this kind of quantisation calls its list of what stays as it is; None where it has none."""
    return next((name for name in SKIP_LIST_NAMES if hasattr(quantization_config, name)), None)


def _with_spared(quantization_config: Any, list_name: str, names: list[str]) -> Any:
    """A copy whose skip list holds these names, too."""
    changed = copy.deepcopy(quantization_config)
    setattr(changed, list_name, list(dict.fromkeys([*(getattr(changed, list_name) or []), *names])))
    return changed


def _plain_layers(text_model: PreTrainedModel) -> list[str]:
    """The linear layers of a quantised language model that stayed as they were, by their names in the whole."""
    return [
        f"language_model.{name}"
        for name, module in text_model.named_modules()
        if type(module) is nn.Linear or isinstance(module, Conv1D)
    ]


def _is_no_note_of_casting(record: logging.LogRecord) -> bool:
    """Whether a message is another than that 8-bit products cast their input to fp16, which every one of them logs."""
    return not record.getMessage().startswith("MatMul8bitLt: inputs will be cast")
