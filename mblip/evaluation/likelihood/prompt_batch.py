"""Prompts of one length with their images, as inputs of the model: no padding, so that no result depends on it.

Shape suffixes: B = prompts, T = prompt tokens, I = distinct images, Q = query tokens per image, D = width of the
language model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from ..model_inputs import Model


class ScoringModel(Model, Protocol):
    """What is asked of the model beside generation."""

    def forward_to_head(self, **inputs: Any) -> tuple[Any, torch.Tensor]: ...

    def logits_from_states(self, states: torch.Tensor) -> torch.Tensor: ...

    def place_images(self, input_ids: torch.Tensor, **inputs: Any) -> tuple[torch.Tensor, Any]: ...

    def get_encoder(self) -> Any: ...


@dataclass(frozen=True)
class PromptBatch:
    """Token `ids` (B, T) of prompts, and for each the rows of `image_features` (I, Q, D) that it shows."""

    ids: torch.Tensor
    image_rows: Sequence[Sequence[int]]
    image_features: torch.Tensor | None

    def images_of(self, prompts: Sequence[int]) -> dict[str, torch.Tensor]:
        """`image_features` and `image_indices` for rows that repeat these prompts; empty without images."""
        slots = [row for prompt in prompts for row in self.image_rows[prompt]]
        if self.image_features is None or not slots:
            return {}
        used = sorted(set(slots))
        place = {row: i for i, row in enumerate(used)}
        device = self.image_features.device
        return {
            "image_features": self.image_features[torch.tensor(used, device=device)],
            "image_indices": torch.tensor([place[row] for row in slots], device=device),
        }
