"""What a language model must be able to do here, asked of the model itself before anything runs.

Placed images mean that its prompt comes in as embeddings. A model that wants the words as well, that looks ahead, or
that reads padding as words would not fail: it would give other numbers. It is refused by name instead.
"""

import torch
from transformers import PreTrainedModel

from .language_model_inputs import argument_names

# What transformers does with padding in front of their prompts: it goes into the state of recurrent layers, or
# (MiniMax) shifts the mask of every step behind the first. Their classes take an `attention_mask` like all others, so
# this cannot be asked.
MODEL_TYPES_THAT_READ_PADDING = frozenset({"rwkv", "recurrent_gemma", "xlstm", "minimax"})
CAUSALITY_FLAGS = ("is_causal", "is_decoder")


def check_language_model(language_model: PreTrainedModel) -> None:
    """Refuse a language model whose results would be wrong without a word.

    Raises:
        ValueError: it takes no embeddings, needs the words beside them, or looks ahead.
    """
    reason = _why_words_are_needed(language_model) or _why_it_looks_ahead(language_model)
    if reason:
        raise ValueError(
            f"{type(language_model).__name__} ({language_model.config.model_type}) cannot read images: {reason}. "
            "Use another language model."
        )


def _why_words_are_needed(language_model: PreTrainedModel) -> str | None:
    """Why embeddings with images in place are not enough for it; None where they are."""
    config = language_model.config.get_text_config()
    if "inputs_embeds" not in argument_names(type(language_model)):
        return "its `forward` takes no `inputs_embeds`, in which images would stand"
    if getattr(config, "hidden_size_per_layer_input", 0):
        return (
            "it embeds words again in every layer, as `hidden_size_per_layer_input` is "
            f"{config.hidden_size_per_layer_input} and not 0"
        )
    if "hash_moe" in (getattr(config, "mlp_layer_types", None) or ()):
        return 'it sends every word to experts by its id, as `mlp_layer_types` holds "hash_moe"'
    return None


def _why_it_looks_ahead(language_model: PreTrainedModel) -> str | None:
    """Why a decoder-only language model would see the words that it is to predict; None where it does not."""
    config = language_model.config
    if config.is_encoder_decoder:
        return None
    flags = [
        flag
        for module in language_model.modules()
        for name in CAUSALITY_FLAGS
        if isinstance(flag := getattr(module, name, None), bool)
    ]
    if flags and not any(flags):
        return (
            "every word sees the words behind it, so it would be trained on what it is to predict. Where it is an "
            "encoder that can be a decoder, set `is_decoder=True` in its configuration"
        )
    if getattr(config, "attn_type", None) == "bi":  # XLNet's, of which transformers has no other kind
        return 'every word sees the words behind it, as `attn_type` is "bi"'
    return None


def check_training_precision(language_model: PreTrainedModel) -> None:
    """Refuse to train T5 and its heirs in fp16, by their own dtype or by autocast.

    They were trained in bfloat16, and their feed-forward layers reach values that fp16 cannot hold: the loss becomes
    nan, or training goes on with what is left after clamping. transformers holds their `wo` in fp32 for that.

    Raises:
        ValueError: it is one of them, and computes in fp16.
    """
    if "wo" not in (type(language_model)._keep_in_fp32_modules or ()):
        return
    device = language_model.device.type
    is_autocast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if is_autocast else language_model.dtype
    if dtype == torch.float16:
        where = "under autocast" if is_autocast else "by its own dtype"
        raise ValueError(
            f"{type(language_model).__name__} is to be trained in float16 ({where}), in which its values overflow. "
            "Use bfloat16 (`dtype=torch.bfloat16`, `bf16=True`), or float32 where the hardware has no bfloat16."
        )


def check_padding_in_front(language_model: PreTrainedModel, attention_mask: torch.Tensor | None) -> None:
    """Refuse padding in front of prompts for a decoder-only language model that takes it for words.

    Args:
        attention_mask: (B, T), or masks made of it already, in which padding is not looked for.

    Raises:
        ValueError: it counts its positions from the first column on, or reads padding in another way.
    """
    if not torch.is_tensor(attention_mask) or attention_mask.ndim != 2 or bool(attention_mask[:, 0].all()):
        return
    reads_padding = language_model.config.model_type in MODEL_TYPES_THAT_READ_PADDING
    if reads_padding or _counts_positions_itself(language_model):
        why = "reads padding" if reads_padding else "takes no `position_ids` and counts padding"
        raise ValueError(
            f"Prompts are padded on the left, but {type(language_model).__name__} {why} as words. Pad on the right to "
            "train, and generate for prompts of one length at a time."
        )


def _counts_positions_itself(language_model: PreTrainedModel) -> bool:
    """Whether it adds absolute positions to its words, counted from the first column on (BART's family and its heirs).

    Positions that stand elsewhere than beside the words (RoFormer's) turn queries and keys: only distances count.
    """
    return "position_ids" not in argument_names(type(language_model)) and any(
        hasattr(module, "embed_tokens") and hasattr(module, "embed_positions") for module in language_model.modules()
    )
