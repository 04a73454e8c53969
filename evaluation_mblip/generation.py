"""How a model is made to answer: greedy or beam search, never sampling, so that a score can be had again."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from data_mblip.chat_prompts import answer_lead, uses_chat_template

from .model_inputs import Model, Processor


@dataclass(frozen=True)
class GenerationSettings:
    """Arguments of transformers' `generate`; the defaults are greedy search.

    `max_new_tokens` None: what the task says. `length_penalty` acts with several beams only.
    """

    max_new_tokens: int | None = None
    num_beams: int = 1
    length_penalty: float = 1.0
    repetition_penalty: float = 1.0

    def with_default_length(self, max_new_tokens: int) -> "GenerationSettings":
        """The settings, with the task's `max_new_tokens` where they name none."""
        return self if self.max_new_tokens is not None else replace(self, max_new_tokens=max_new_tokens)

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `generate`."""
        arguments: dict[str, Any] = {
            "max_new_tokens": self.max_new_tokens,
            "num_beams": self.num_beams,
            "do_sample": False,
        }
        if self.num_beams > 1:
            arguments["length_penalty"] = self.length_penalty
        if self.repetition_penalty != 1.0:
            arguments["repetition_penalty"] = self.repetition_penalty
        return arguments


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every module is in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, is_training in modes:
            module.training = is_training


def are_cut(model: Model, ids_BL: torch.Tensor) -> list[bool]:
    """For each answer as `generate` returned it whether it lacks an end: it grew to its longest length."""
    ends = model.generation_config.eos_token_id
    if ends is None:
        return [True] * len(ids_BL)
    new_BL = ids_BL[:, 1:] if model.config.is_encoder_decoder else ids_BL  # some start with their end token
    return (~torch.isin(new_BL, torch.tensor(ends, device=new_BL.device)).any(dim=1)).tolist()


def answer_texts(processor: Processor, ids_BL: torch.Tensor) -> list[str]:
    """The answers as text, without what the language model's chat template has a model say before each."""
    lead = answer_lead(processor).strip() if uses_chat_template(processor) else ""
    texts = processor.batch_decode(ids_BL, skip_special_tokens=True)
    return [text.strip().removeprefix(lead).strip() for text in texts]
