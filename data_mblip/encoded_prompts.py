"""Prompts through the processor: token ids of each, and the images of all.

Training and evaluation encode here, so that a model is asked with the very ids it was trained on: by the processor's
plain call, or, where the language model brings its own chat template, through that (chat_prompts.py).

Shape suffixes: B = prompts, T = prompt tokens (with image tokens).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from PIL import Image as PILImage
from torch.nn.utils.rnn import pad_sequence

from .chat_prompts import ChatProcessor, chat_inputs, cut_text
from .example import row_name


class Processor(ChatProcessor, Protocol):
    """What collator and evaluation ask of `MBlipProcessor`."""

    num_query_tokens: int

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


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


def encode_prompts(
    processor: Processor, prompts: Sequence[Prompt], *, max_text_tokens: int, use_chat_template: bool
) -> EncodedPrompts:
    """The prompts of rows, their text cut to `max_text_tokens`.

    Image tokens do not count, nor does what a chat template writes: it is the user's text that is cut.
    """
    texts, images = [prompt.text for prompt in prompts], [prompt.images for prompt in prompts]
    if use_chat_template:
        texts = [cut_text(processor.tokenizer, text, max_text_tokens) for text in texts]
        return encode_texts(processor, texts, images, use_chat_template=True)
    encoded = encode_texts(processor, texts, images, use_chat_template=False)
    ids = [_cut(processor, *pair, max_text_tokens) for pair in zip(prompts, encoded.ids, strict=True)]
    return EncodedPrompts(ids, encoded.images)


def encode_texts(
    processor: Processor, texts: Sequence[str], images: Sequence[Sequence[Any]], *, use_chat_template: bool
) -> EncodedPrompts:
    """Prompts with the images of each as the processor makes them. The same image object given twice is encoded once.

    Raises:
        ValueError: a prompt says `<image>`, but another number of times than it has images.
    """
    if use_chat_template:
        batch = dict(chat_inputs(processor, texts, images))
    else:
        shown = [list(mine) for mine in images] if any(images) else None
        batch = dict(processor(images=shown, text=list(texts), return_tensors="pt", padding="longest"))
    input_ids_BT, attention_mask_BT = batch.pop("input_ids"), batch.pop("attention_mask")
    ids = [ids_T[mask_T.bool()] for ids_T, mask_T in zip(input_ids_BT, attention_mask_BT, strict=True)]
    return EncodedPrompts(ids, batch)


def _cut(processor: Processor, prompt: Prompt, ids_T: torch.Tensor, max_text_tokens: int) -> torch.Tensor:
    """The ids of a prompt, encoded a second time if they are too many: the processor's `max_length` counts image
    tokens, of which prompts have different numbers."""
    max_length = max_text_tokens + len(prompt.images) * processor.num_query_tokens
    if len(ids_T) <= max_length:
        return ids_T
    images = [prompt.images] if prompt.images else None
    cut = processor(images=images, text=[prompt.text], return_tensors="pt", truncation=True, max_length=max_length)
    return cut["input_ids"][0]


def pad_prompts(ids: Sequence[torch.Tensor], pad_token_id: int, *, padding_side: str) -> dict[str, torch.Tensor]:
    """`input_ids` (B, T) and `attention_mask` (B, T) of prompts of unequal length."""
    return {
        "input_ids": pad_sequence(list(ids), batch_first=True, padding_value=pad_token_id, padding_side=padding_side),
        "attention_mask": pad_sequence(
            [torch.ones_like(ids_T) for ids_T in ids], batch_first=True, padding_side=padding_side
        ),
    }
