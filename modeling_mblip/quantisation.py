"""Quantisation of the language model only.

ViT, Q-Former, query tokens, projection and output head keep their dtype. So do parts that transformers itself does not
quantise, such as the `wo` layers of T5 and models derived from it.
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
# The names by which transformers' quantisation configs call their list of modules to skip.
SKIP_LIST_NAMES = ("llm_int8_skip_modules", "modules_to_not_convert", "skip_modules")
# By these attributes transformers knows a quantised model. Without them it would save the 8-bit codes as weights.
QUANTISATION_ATTRIBUTES = (
    "hf_quantizer",
    "is_quantized",
    "quantization_method",
    "is_loaded_in_8bit",
    "is_loaded_in_4bit",
)


def sparing_the_image_side(quantization_config: Any, text_config: PreTrainedConfig) -> Any:
    """A copy of a quantisation config whose skip list names the image side and the head.

    The head must be named because a given list replaces transformers' default, which contains it.

    Args:
        quantization_config: a quantisation config of transformers, or its dict.

    Raises:
        ValueError: this kind of quantisation has no skip list.
    """
    if isinstance(quantization_config, dict):
        quantization_config = AutoQuantizationConfig.from_dict(quantization_config)
    if (name := _skip_list_name(quantization_config)) is not None:
        return _with_spared(quantization_config, name, [*IMAGE_SIDE, head_name(text_config)])
    raise ValueError(
        f"{type(quantization_config).__name__} has none of {', '.join(SKIP_LIST_NAMES)}, so it cannot skip ViT and "
        "Q-Former. Use `BitsAndBytesConfig`, or load a language model that is already quantised."
    )


def adopt_quantisation(model: PreTrainedModel, text_model: PreTrainedModel) -> None:
    """Mark an assembled model as quantised if its language model is, so that saving handles it correctly."""
    for attribute in QUANTISATION_ATTRIBUTES:
        if hasattr(text_model, attribute):
            setattr(model, attribute, getattr(text_model, attribute))
    if getattr(text_model, "is_quantized", False):
        config = text_model.config.quantization_config
        name = _skip_list_name(config)
        if name is not None and not set(IMAGE_SIDE) <= set(getattr(config, name) or ()):
            # Its checkpoint was quantised without an image side. The layers it skipped may be in no list.
            modules = text_model.named_modules()
            plain = [part for part, module in modules if type(module) is nn.Linear or isinstance(module, Conv1D)]
            config = _with_spared(config, name, [*IMAGE_SIDE, *(f"language_model.{part}" for part in plain)])
        model.config.quantization_config = config


def prepare_quantised(model: nn.Module) -> None:
    """Prepare a quantised language model for alternating training and evaluation. Other models stay unchanged.

    On processors with AVX512-BF16, bitsandbytes repacks 4-bit weights for evaluation and leaves them so. LoRA's
    gradients would then be wrong, or raise. We also filter out a message that 8-bit layers log at every step.

    Raises:
        ValueError: bitsandbytes should quantise the model, but transformers found no layer it can replace.
    """
    is_8bit, is_4bit = getattr(model, "is_loaded_in_8bit", False), getattr(model, "is_loaded_in_4bit", False)
    is_replaced = (type(module).__module__.startswith("bitsandbytes.") for module in model.modules())
    if (is_8bit or is_4bit) and not any(is_replaced):
        raise ValueError(
            f"No layer of {type(model.language_model).__name__} is quantised: transformers quantises only "
            "`nn.Linear`, skips `llm_int8_skip_modules` and, with `llm_int8_enable_fp32_cpu_offload`, layers on the "
            "CPU. Leave out `quantization_config`."
        )
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]  # a flag, not a parameter
    if is_8bit:
        logging.getLogger("bitsandbytes.autograd._functions").addFilter(_is_no_note_of_casting)


def _skip_list_name(quantization_config: Any) -> str | None:
    """The name by which this kind of quantisation calls its skip list; None if it has none."""
    return next((name for name in SKIP_LIST_NAMES if hasattr(quantization_config, name)), None)


def _with_spared(quantization_config: Any, list_name: str, names: list[str]) -> Any:
    """A copy with these names added to its skip list."""
    changed = copy.deepcopy(quantization_config)
    setattr(changed, list_name, list(dict.fromkeys([*(getattr(changed, list_name) or []), *names])))
    return changed


def _is_no_note_of_casting(record: logging.LogRecord) -> bool:
    """False for the message that 8-bit products cast their input to fp16, which each of them logs."""
    return not record.getMessage().startswith("MatMul8bitLt: inputs will be cast")
