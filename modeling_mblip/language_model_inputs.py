"""What a language model's `forward` takes, and padding that moves nothing: the positions and the side it needs.

Shape suffixes: B = prompts, T = tokens; `...` = any further dimensions.
"""

import functools
import inspect
from typing import Any, Literal

import torch
from torch import nn

# Left out where the language model does not name them; anything else unknown is passed on, for the language model to
# refuse.
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


def has_position_table(module: nn.Module) -> bool:
    """Whether a model adds absolute positions that it counts itself, from the first column on (BART's family and its heirs)."""
    return any(name.rpartition(".")[2] == "embed_positions" for name, _ in module.named_modules())
