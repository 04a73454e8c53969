"""The same questions over the same images, as our model and transformers' BLIP-2 take them.

Shape suffixes: B = prompts, T = prompt tokens.
"""

from dataclasses import dataclass

import torch
from model_pair import ModelPair

FIRST_TOKEN = 10  # ids below are special tokens


@dataclass(frozen=True)
class PairedInputs:
    """The same prompts over the same images, as each side takes them: ours holds every distinct image once."""

    ours: dict[str, torch.Tensor]
    theirs: dict[str, torch.Tensor]

    @property
    def num_prompts(self) -> int:
        return len(self.theirs["input_ids"])

    @property
    def image_share(self) -> float:
        """Images that ours encodes per image that the reference encodes."""
        return len(self.ours["pixel_values"]) / len(self.theirs["pixel_values"])

    @property
    def label_share(self) -> float:
        """Rows of logits that have a label, of those that the reference makes."""
        return self.theirs["labels"].ne(-100).float().mean().item()


def ask(
    pair: ModelPair, num_images: int, prompts_per_image: int, num_tokens: int, num_targets: int | None = None
) -> PairedInputs:
    """Random prompts, each over one image, and with `num_targets` labels of so many tokens behind each.

    Args:
        num_tokens: tokens of a prompt beside its image.
    """
    generator = torch.Generator().manual_seed(1)
    num_prompts, shape = num_images * prompts_per_image, pair.shape
    size = shape.vision["image_size"]

    def random_tokens(length: int) -> torch.Tensor:
        return torch.randint(FIRST_TOKEN, shape.image_token_id, (num_prompts, length), generator=generator)

    image_tokens = torch.full((num_prompts, shape.num_query_tokens), shape.image_token_id)
    input_ids = torch.cat([image_tokens, random_tokens(num_tokens)], dim=1)
    text = {"input_ids": input_ids}
    if num_targets is not None:
        text = _with_labels(input_ids, random_tokens(num_targets), pair.ours.config.is_encoder_decoder)
    text["attention_mask"] = torch.ones_like(text["input_ids"])
    text = {name: tensor.to(pair.device) for name, tensor in text.items()}
    pixel_values = torch.randn(num_images, 3, size, size, generator=generator).to(pair.device, pair.theirs.dtype)
    rows = torch.arange(num_images, device=pair.device).repeat_interleave(prompts_per_image)
    shown = {"image_indices": rows} if prompts_per_image > 1 else {}
    return PairedInputs(
        ours=text | shown | {"pixel_values": pixel_values},
        theirs=text | {"pixel_values": pixel_values[rows]},
    )


def _with_labels(
    input_ids_BT: torch.Tensor, targets: torch.Tensor, is_encoder_decoder: bool
) -> dict[str, torch.Tensor]:
    """Labels of their own for an encoder-decoder; behind the prompt, which is none, for a decoder-only model."""
    if is_encoder_decoder:
        return {"input_ids": input_ids_BT, "labels": targets}
    return {
        "input_ids": torch.cat([input_ids_BT, targets], dim=1),
        "labels": torch.cat([torch.full_like(input_ids_BT, -100), targets], dim=1),
    }
