"""Prompts through the processor: token ids of each, and the images of all.

Shape suffixes: B = prompts, T = prompt tokens (with image tokens).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from PIL import Image as PILImage
from torch.nn.utils.rnn import pad_sequence

from .example import row_name


class Processor(Protocol):
    """What the collator asks of `MBlipProcessor`."""

    tokenizer: Any
    num_query_tokens: int

    def __call__(
        self, *, images: list[list[PILImage.Image]] | None, text: list[str], **kwargs: Any
    ) -> Mapping[str, Any]: ...


class Prompt:
    """One prompt of a row, with the decoded images that all prompts of the row share."""

    def __init__(self, row: Mapping[str, Any], position: int, images: list[PILImage.Image]) -> None:
        self.images = images
        self.text: str = row["prompts"][position]
        self.target: str = row["targets"][position]
        self.name = f"{row_name(row)}, prompt {row['ids'][position]!r}"


@dataclass(frozen=True)
class EncodedPrompts:
    """`ids`: the tokens of each prompt (T,), image tokens included. `images`: `pixel_values` and, where images are
    shared, `image_indices`; empty where no prompt has an image."""

    ids: list[torch.Tensor]
    images: dict[str, torch.Tensor]


def encode_prompts(processor: Processor, prompts: Sequence[Prompt], *, max_text_tokens: int) -> EncodedPrompts:
    """The prompts as the processor makes them. Prompts of one row pass the same image objects, which it encodes once.

    The processor's `max_length` counts image tokens, of which prompts have different numbers. So a prompt that is too
    long is encoded a second time, by itself.
    """
    images = [prompt.images for prompt in prompts]
    batch = dict(
        processor(
            images=images if any(images) else None,
            text=[prompt.text for prompt in prompts],
            return_tensors="pt",
            padding="longest",
        )
    )
    input_ids_BT, attention_mask_BT = batch.pop("input_ids"), batch.pop("attention_mask")
    ids = [ids_T[mask_T.bool()] for ids_T, mask_T in zip(input_ids_BT, attention_mask_BT, strict=True)]
    for i, prompt in enumerate(prompts):
        max_length = max_text_tokens + len(prompt.images) * processor.num_query_tokens
        if len(ids[i]) > max_length:
            cut = processor(
                images=[prompt.images] if prompt.images else None,
                text=[prompt.text],
                return_tensors="pt",
                truncation=True,
                max_length=max_length,
            )
            ids[i] = cut["input_ids"][0]
    return EncodedPrompts(ids, batch)


def pad_prompts(ids: Sequence[torch.Tensor], pad_token_id: int, *, padding_side: str) -> dict[str, torch.Tensor]:
    """`input_ids` (B, T) and `attention_mask` (B, T) of prompts of unequal length."""
    return {
        "input_ids": pad_sequence(list(ids), batch_first=True, padding_value=pad_token_id, padding_side=padding_side),
        "attention_mask": pad_sequence(
            [torch.ones_like(ids_T) for ids_T in ids], batch_first=True, padding_side=padding_side
        ),
    }
