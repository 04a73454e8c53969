"""What a language model's `forward` takes, and padding that moves nothing: the positions and the side it needs.

Shape suffixes: B = prompts, T = tokens; `...` = any further dimensions.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.cache_utils import Cache

# Their encoders multiply by `embed_scale` what they look up themselves, and nothing else.
MODEL_TYPES_WITH_SCALING_ENCODER = frozenset({"marian", "pegasus", "blenderbot-small", "mvp"})
# Left out where the language model does not name them; anything else unknown is passed on, for it to refuse.
OPTIONAL_ARGUMENTS = frozenset({"position_ids", "logits_to_keep", "use_cache"})


def argument_names(model_class: type[PreTrainedModel]) -> frozenset[str]:
    """Names that a model class's `forward` takes."""
    return _parameter_names(model_class.forward)


@functools.cache
def _parameter_names(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def known_arguments(model_class: type[PreTrainedModel], arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments that say something, under the names by which this language model takes them.

    Raises:
        ValueError: a cache came in for a language model that takes none: it would forget the prompt without a word.
    """
    names = argument_names(model_class)
    known = {
        name: value
        for name, value in arguments.items()
        if value is not None and (name in names or name not in OPTIONAL_ARGUMENTS)
    }
    if "past_key_values" in known and "past_key_values" not in names:
        check_cache(model_class)
        known["cache_params"] = known.pop("past_key_values")  # Mamba's name for it
        known.pop("attention_mask", None)  # words behind a state are never padding
    return known


def check_cache(model_class: type[PreTrainedModel]) -> None:
    """Refuse a language model that takes no cache of transformers: it would forget its prompt without a word.

    Raises:
        ValueError: its `forward` takes neither `past_key_values` nor `cache_params` (RWKV).
    """
    if not argument_names(model_class) & {"past_key_values", "cache_params"}:
        raise ValueError(
            f"{model_class.__name__} takes neither `past_key_values` nor `cache_params`, so it cannot continue a "
            "prompt that it has read. Use a language model with a cache of transformers."
        )


def counts_tokens(cache: Cache) -> bool:
    """Whether a cache knows how many tokens it holds: one of recurrent layers alone does not."""
    try:
        cache.get_seq_length()
    except ValueError:
        return False
    return True


def holds_prompt(past_key_values: Cache | None) -> bool:
    """Whether the prompt is in the cache already: what comes in then is new text, in which no image stands."""
    if past_key_values is None:
        return False
    return (
        past_key_values.get_seq_length() > 0
        if counts_tokens(past_key_values)
        else past_key_values.has_previous_state()
    )


def position_ids_from_mask(
    attention_mask: torch.Tensor | None, num_tokens: int, first: int = 0
) -> torch.Tensor | None:
    """Count positions over the tokens that stand, so that padding moves nothing: (B, past + T) -> (B, T).

    Args:
        attention_mask: 1 where a token stands; None, or masks already made of it: the language model counts itself.
        num_tokens: T, the tokens of this call, the last ones of the mask.
        first: the number of the first position.
    """
    if not torch.is_tensor(attention_mask) or attention_mask.ndim != 2:
        return None
    return (attention_mask.long().cumsum(dim=-1) - 1).clamp(min=0)[:, -num_tokens:] + first


def move_padding(
    states_BT: torch.Tensor, attention_mask_BT: torch.Tensor | None, side: Literal["left", "right"]
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Put all padding on one side of every prompt, keeping the order of what stands: (B, T, ...) and its mask."""
    if attention_mask_BT is None:
        return states_BT, None
    stands_BT = attention_mask_BT != 0
    if bool(stands_BT[:, -1 if side == "left" else 0].all()):
        return states_BT, attention_mask_BT
    order_BT = stands_BT.long().argsort(dim=1, stable=True, descending=side == "right")
    index = order_BT.to(states_BT.device).reshape(*order_BT.shape, *[1] * (states_BT.ndim - 2))
    return states_BT.gather(1, index.expand_as(states_BT)), attention_mask_BT.gather(1, order_BT)


def embedding_scale(language_model: PreTrainedModel) -> float:
    """What a language model multiplies embeddings by where it looks them up itself, and only there.

    Most scale inside the embedding module or scale whatever comes in; these do neither.
    """
    config = language_model.config.get_text_config()
    if config.model_type in MODEL_TYPES_WITH_SCALING_ENCODER and language_model.config.is_encoder_decoder:
        return language_model.get_encoder().embed_scale
    return config.embedding_multiplier if config.model_type == "falcon_h1" else 1.0


def first_position(model: nn.Module) -> int:
    """The number of the first position: RoBERTa's family counts from behind its padding id, all others from 0."""
    for name, module in model.named_modules():
        if name.rpartition(".")[2] == "position_embeddings" and isinstance(module, nn.Embedding):
            return 0 if module.padding_idx is None else module.padding_idx + 1
    return 0
