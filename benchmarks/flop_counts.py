"""Counts the floating-point operations of a run by component, and computes the speed-up that they allow.

The bound is the reference's operations divided by the operations that remain if we encode every distinct image once
and compute logits only where there is a label. Memory traffic and very small operations also cost time, which the
count does not see. A measured ratio may therefore be below or above its bound.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count
from transformers import Blip2ForConditionalGeneration

FULL_MODEL_TFLOP = "0.52 : 0.04 : 0.4 : 0.05"


def _attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(
    gradient: torch.Size, query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object
) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


# torch counts the attention kernels of CUDA by itself; these are the CPU's.
CPU_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}


@dataclass(frozen=True)
class PartFlops:
    """Floating-point operations of one run of the reference; the language model without its head."""

    vision: int
    qformer: int
    language_model: int
    head: int

    @property
    def total(self) -> int:
        return self.vision + self.qformer + self.language_model + self.head

    def bound(self, image_share: float, label_share: float = 1.0) -> float:
        """The ratio that is left if only these shares of the images and of the head's rows are computed."""
        images = self.vision + self.qformer
        return self.total / (images * image_share + self.language_model + self.head * label_share)

    def describe(self, num_prompts: int) -> str:
        """The parts in GFLOP per prompt, and scaled to the full ViT's 0.52."""
        parts = (self.vision, self.qformer, self.language_model, self.head)
        each = " : ".join(f"{part / num_prompts / 1e9:.3g}" for part in parts)
        scaled = " : ".join(f"{0.52 * part / self.vision:.2f}" for part in parts)
        return f"ViT : Q-Former : language model : head = {each} GFLOP a prompt, as {scaled}"


def count_flops(run: Callable[[], object]) -> int:
    """Floating-point operations of one run."""
    with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
        run()
    return counter.get_total_flops()


def count_part_flops(
    model: Blip2ForConditionalGeneration, pixel_values: torch.Tensor, run: Callable[[], object]
) -> PartFlops:
    """The reference's operations by part, of its backward pass as well where something trains.

    The image side is counted by running it alone: what belongs to which module in a backward pass is not always told
    apart. The projection belongs to the Q-Former here, as both are computed once per image.

    Args:
        pixel_values: the images of `run`, one row per prompt.
    """
    with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
        run()
    head = sum(sum(counts.values()) for name, counts in counter.get_flop_counts().items() if name.endswith(".lm_head"))
    with torch.no_grad():
        vision = count_flops(lambda: model.vision_model(pixel_values))
    images = count_flops(lambda: _run_image_side(model, pixel_values))
    model.zero_grad()
    return PartFlops(vision, images - vision, counter.get_total_flops() - images - head, head)


def _run_image_side(model: Blip2ForConditionalGeneration, pixel_values: torch.Tensor) -> None:
    features = model.get_image_features(pixel_values).pooler_output
    if features.requires_grad:
        features.sum().backward()
