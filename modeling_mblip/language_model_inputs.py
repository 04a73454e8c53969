"""What a language model's `forward` takes, asked of its signature, and the positions that a mask implies."""

import functools
import inspect
from typing import Any

import torch

# Left out where the language model does not name them; anything else unknown is passed on, for the language model to refuse.
OPTIONAL_ARGUMENTS = frozenset({"position_ids", "logits_to_keep", "use_cache", "past_key_values"})


@functools.cache
def argument_names(model_class: type) -> frozenset[str]:
    """Names that a model class's `forward` takes."""
    return frozenset(inspect.signature(model_class.forward).parameters)


def known_arguments(model_class: type, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments that say something and that this language model can take."""
    names = argument_names(model_class)
    return {
        name: value
        for name, value in arguments.items()
        if value is not None and (name in names or name not in OPTIONAL_ARGUMENTS)
    }


def position_ids_from_mask(attention_mask: torch.Tensor | None, num_tokens: int) -> torch.Tensor | None:
    """Count positions over the tokens that stand, so that padding moves nothing: (B, past + T) -> (B, T).

    Args:
        attention_mask: 1 where a token stands; None or a mask of another rank: the language model counts itself.
        num_tokens: T, the tokens of this call, the last ones of the mask.
    """
    if attention_mask is None or attention_mask.ndim != 2:
        return None
    return (attention_mask.long().cumsum(dim=-1) - 1).clamp(min=0)[:, -num_tokens:]
