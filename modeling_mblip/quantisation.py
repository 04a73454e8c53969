"""Quantisation of the language model, and of nothing else: what is spared, and what the whole must know of it.

ViT, Q-Former, query tokens, projection and output head keep their dtype. A part that transformers holds back for its
own reasons (the `wo` of T5 and its heirs) stays as it is, too.
"""

import copy
import logging
from typing import Any

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from .image_side_weights import IMAGE_SIDE
from .language_model_class import head_name

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

    Raises:
        ValueError: this kind of quantisation has no such list.
    """
    quantization_config = copy.deepcopy(quantization_config)
    for name in SKIP_LIST_NAMES:
        if hasattr(quantization_config, name):
            given = getattr(quantization_config, name) or []
            spared = dict.fromkeys([*given, *IMAGE_SIDE, head_name(text_config)])
            setattr(quantization_config, name, list(spared))
            return quantization_config
    raise ValueError(
        f"{type(quantization_config).__name__} has none of {', '.join(SKIP_LIST_NAMES)}, so it cannot say that ViT "
        "and Q-Former stay as they are. Use `BitsAndBytesConfig`, or load a language model that is quantised already."
    )


def adopt_quantisation(model: PreTrainedModel, text_model: PreTrainedModel) -> None:
    """Let an assembled model know that its language model is quantised, so that it is saved as that."""
    for name in QUANTISATION_ATTRIBUTES:
        if hasattr(text_model, name):
            setattr(model, name, getattr(text_model, name))
    if getattr(text_model, "is_quantized", False):
        model.config.quantization_config = text_model.config.quantization_config


def prepare_quantised(model: nn.Module) -> None:
    """Make a quantised language model fit to be trained and evaluated by turns, and quiet. Others are left alone.

    On processors with AVX512-BF16, bitsandbytes packs 4-bit weights anew in evaluation and leaves them so. Behind them
    LoRA's gradients would be wrong, or raise.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]  # a flag, not a parameter
    if getattr(model, "is_loaded_in_8bit", False):
        logging.getLogger("bitsandbytes.autograd._functions").addFilter(_is_no_note_of_casting)


def _is_no_note_of_casting(record: logging.LogRecord) -> bool:
    """Whether a message is another than that 8-bit products cast their input to fp16, which every one of them logs."""
    return not record.getMessage().startswith("MatMul8bitLt: inputs will be cast")
