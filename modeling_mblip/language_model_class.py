"""Which class of transformers builds a language model, and what it calls its head."""

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedConfig


def text_model_class(
    text_config: PreTrainedConfig,
) -> type[AutoModelForSeq2SeqLM] | type[AutoModelForCausalLM]:
    """The Auto class that builds a language model of this configuration."""
    return AutoModelForSeq2SeqLM if text_config.is_encoder_decoder else AutoModelForCausalLM


def head_name(text_config: PreTrainedConfig) -> str:
    """The name of the output head inside a language model of this configuration."""
    with torch.device("meta"):
        skeleton = text_model_class(text_config).from_config(text_config)
    head = skeleton.get_output_embeddings()
    return next(name for name, module in skeleton.named_modules() if module is head)
