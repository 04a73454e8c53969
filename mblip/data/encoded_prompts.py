"""Prompts through the processor: token ids of each, and the images of all.

Training and evaluation encode here, so that a model is asked with the very ids it was trained on: by the processor's
plain call, or, where the language model brings its own chat template, through that (chat_prompts.py).

Shape suffixes: B = prompts, T = prompt tokens (with image tokens).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from PIL import Image as PILImage
from torch.nn.utils.rnn import pad_sequence

from .chat_prompts import ChatProcessor, chat_prompt_ids, cut_text
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


def encode_prompts(
    processor: Processor, prompts: Sequence[Prompt], *, max_text_tokens: int, use_chat_template: bool
) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    """The token ids of each prompt (T,), image tokens included, its text cut to `max_text_tokens`; and the images:
    `pixel_values` and, where images are shared, `image_indices`. The same image object given twice is encoded once.

    Image tokens do not count, nor does what a chat template writes: it is the user's text that is cut.
    """
    texts, shown = [prompt.text for prompt in prompts], [prompt.images for prompt in prompts]
    num_images = [len(images) for images in shown]
    if use_chat_template:
        texts = [cut_text(processor.tokenizer, text, max_text_tokens) for text in texts]
        ids = chat_prompt_ids(processor, texts, num_images)
    else:
        ids = processor.encode(texts, num_images, max_text_tokens=max_text_tokens)
    images = dict(processor(images=shown, return_tensors="pt")) if any(shown) else {}
    return [torch.tensor(mine) for mine in ids], images


def encode_texts(
    processor: Processor, texts: Sequence[str], num_images: Sequence[int], *, use_chat_template: bool
) -> list[torch.Tensor]:
    """The token ids of prompts with so many images each, (T,), image tokens included.

    Raises:
        ValueError: a prompt says `<image>`, but another number of times than it has images.
    """
    if use_chat_template:
        ids = chat_prompt_ids(processor, texts, num_images)
    else:
        ids = processor.encode(list(texts), list(num_images))
    return [torch.tensor(mine) for mine in ids]


def pad_prompts(ids: Sequence[torch.Tensor], pad_token_id: int, *, padding_side: str) -> dict[str, torch.Tensor]:
    """`input_ids` (B, T) and `attention_mask` (B, T) of prompts of unequal length."""
    return {
        "input_ids": pad_sequence(list(ids), batch_first=True, padding_value=pad_token_id, padding_side=padding_side),
        "attention_mask": pad_sequence(
            [torch.ones_like(ids_T) for ids_T in ids], batch_first=True, padding_side=padding_side
        ),
    }
