"""The answers of a model to the prompts of a batch: generated, generated among candidates, or ranked."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .generation import answer_texts, are_cut
from .generation_settings import GenerationSettings
from .model_inputs import EncodedImages, Model, Processor, prompt_tensors
from .predictions import Prediction, predict
from .task import EvaluationExample, EvaluationTask


@dataclass(frozen=True)
class Asked:
    """An example with the token ids of its prompt, (T,)."""

    example: EvaluationExample
    ids: torch.Tensor


def answer(
    model: Model,
    processor: Processor,
    task: EvaluationTask,
    generation: GenerationSettings,
    images: EncodedImages,
    batch: Sequence[Asked],
) -> list[Prediction]:
    """The model's answers to a batch, not scored yet."""
    examples = [asked.example for asked in batch]
    inputs = prompt_tensors(model, processor, [asked.ids for asked in batch])
    ids_BL = model.generate(**inputs, **images.shown_to(examples), **generation.arguments())
    outputs = answer_texts(processor, ids_BL)
    return [
        predict(task.name, task.protocol, example, output, is_cut=is_cut)
        for example, output, is_cut in zip(examples, outputs, are_cut(model, ids_BL), strict=True)
    ]
