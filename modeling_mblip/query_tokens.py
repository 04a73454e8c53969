"""The learned query tokens of the Q-Former, as a module of their own.

BLIP-2 keeps them as a bare parameter, which PEFT's `modules_to_save` passes over without a word: trained, but never
saved. As a module they are found. Our folders have the module's own key, `query_tokens.weight`, which every reader of
weights by name finds in the model; BLIP-2's is renamed by `from_pretrained`.
"""

import torch
from torch import nn
from transformers.conversion_mapping import register_checkpoint_conversion_mapping
from transformers.core_model_loading import WeightRenaming


class _FromBlip2(WeightRenaming):
    """A renaming that holds for loading alone: what is saved keeps the name that it has in the model."""

    __slots__ = ()

    def reverse_transform(self) -> WeightRenaming:
        return self


register_checkpoint_conversion_mapping("mblip", [_FromBlip2(r"^query_tokens$", "query_tokens.weight")], overwrite=True)


class QueryTokens(nn.Module):
    """`num_query_tokens` learned vectors, the same for every image."""

    def __init__(self, num_query_tokens: int, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, num_query_tokens, hidden_size))

    def forward(self, num_images: int) -> torch.Tensor:
        """The query tokens once per image, (num_images, num_query_tokens, hidden_size), without copying them."""
        return self.weight.expand(num_images, -1, -1)
