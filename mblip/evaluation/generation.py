"""How a model is made to answer, and what its answers are as text."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mblip.data.token_ids import answer_lead, uses_chat_template

from .model_inputs import Model, Processor


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
