"""Tiny models with images to rank answers for, and the reference: one whole forward for every answer."""

import random
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from tiny import ENCODER_DECODERS, IMAGE_SIZE, tiny_model, tiny_processor

from mblip.data.collator import IGNORED, MBlipCollator
from modeling_mblip import MBlipForConditionalGeneration

# Of several lengths, with no image, one and two: the rows of IMAGES that each prompt shows.
PROMPTS = ("caption", "what colour is the star", "a small red circle left of the", "Question: one ", "answer")
IMAGE_ROWS = ((0,), (1, 2), (), (2,), (1,))
# One is the beginning of another, one has tokens of its own, one is long.
CANDIDATES = ("red", "red circle", "blue", "red circle star w77", "w50 w60 w70 w80 w90 w91 w92 w93")


def drawn_image(seed: int) -> Image.Image:
    """Noise."""
    rng = random.Random(seed)
    image = Image.new("RGB", (IMAGE_SIZE, IMAGE_SIZE))
    image.putdata([(rng.randrange(256), rng.randrange(256), rng.randrange(256)) for _ in range(IMAGE_SIZE**2)])
    return image


IMAGES = tuple(drawn_image(seed) for seed in range(3))


def model_and_processor(family: str, **changes: Any) -> tuple[MBlipForConditionalGeneration, Any]:
    """A tiny model that knows its start token, and its processor."""
    start = {"decoder_start_token_id": 1} if family in ENCODER_DECODERS else {}
    return tiny_model(family, **start | changes), tiny_processor(family)


@torch.no_grad()
def encode(model: Any, processor: Any, images: Sequence[Image.Image] = IMAGES) -> torch.Tensor:
    """Features (I, Q, D)."""
    return model.get_image_features(processor(images=list(images), return_tensors="pt")["pixel_values"]).pooler_output


@torch.no_grad()
def separate_forward(
    model: Any, processor: Any, prompt: str, rows: Sequence[int], candidate: str, images: Sequence[Any] = IMAGES
) -> tuple[float, int]:
    """The log-likelihood of a candidate and its number of tokens, by one forward over the collator's batch."""
    collator = MBlipCollator(
        processor,
        model.config,
    )
    row = {"images": [images[i] for i in rows], "image_id": "x"}
    lists = {"prompts": prompt, "targets": candidate, "languages": "en", "tasks": "t", "sources": "s", "ids": "i"}
    batch = collator([row | {name: [value] for name, value in lists.items()}])
    num_tokens = int((batch["labels"] != IGNORED).sum())
    return -float(model(**batch).loss.double()) * num_tokens, num_tokens
