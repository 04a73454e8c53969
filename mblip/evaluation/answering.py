"""Answers a batch of prompts: by free generation, constrained generation or ranking of candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch

from mblip.data.token_ids import answer_lead, uses_chat_template

from .generation_settings import GenerationSettings
from .likelihood.constrained import candidates_only
from .likelihood.ranking import ContentFree, ImageInputProcessor, grey_features, rank
from .likelihood.read_prompts import ScoringModel
from .model_inputs import EncodedImages, Model, Processor, prompt_tensors
from .predictions import Prediction, predict
from .task import EvaluationExample, EvaluationTask

MIN_CANDIDATES = 16  # the smallest number of candidates to run at once
NUM_KEPT = 5  # candidates whose log-likelihoods we keep with an answer


@dataclass(frozen=True)
class Answerer:
    """Answers the questions of a task, batch by batch."""

    model: Model
    processor: Processor
    task: EvaluationTask
    generation: GenerationSettings

    def answer(
        self, images: EncodedImages, examples: Sequence[EvaluationExample], ids: Sequence[Sequence[int]]
    ) -> list[Prediction]:
        """The answers to a batch, without scores.

        Args:
            images: the encoded images of the examples; it may hold others.
            ids: the token ids of each example's prompt.
        """
        if self.task.answering == "rank":
            return _rank(self, images, examples)
        inputs = prompt_tensors(self.model, self.processor, ids) | images.shown_to(examples)
        write = _generate if self.task.answering == "generate" else _generate_candidates
        return write(self, inputs, examples)

    def prediction(self, example: EvaluationExample, output: str, **facts: Any) -> Prediction:
        """A prediction of this task."""
        return replace(predict(self.task.name, self.task.protocol, example, output), **facts)


def _generate(
    answerer: Answerer, inputs: Mapping[str, torch.Tensor], examples: Sequence[EvaluationExample]
) -> list[Prediction]:
    model = answerer.model
    ids_BL = model.generate(**inputs, **answerer.generation.arguments())
    outputs = answer_texts(answerer.processor, ids_BL)
    return [
        answerer.prediction(example, output, is_cut=is_cut)
        for example, output, is_cut in zip(examples, outputs, are_cut(model, ids_BL), strict=True)
    ]


def _generate_candidates(
    answerer: Answerer, inputs: Mapping[str, torch.Tensor], examples: Sequence[EvaluationExample]
) -> list[Prediction]:
    model = answerer.model
    allowed = candidates_only(
        model,
        answerer.processor,
        [example.prompt for example in examples],
        [example.candidates for example in examples],
        num_images=[len(example.images) for example in examples],
        input_ids=inputs["input_ids"],
    )
    arguments = answerer.generation.arguments() | {
        "max_new_tokens": allowed.max_new_tokens,
        "prefix_allowed_tokens_fn": allowed,
    }
    ids_BL = model.generate(**inputs, **arguments)
    chosen = allowed.chosen(ids_BL, begins_with_start=model.config.is_encoder_decoder)
    return [
        answerer.prediction(example, "" if number is None else example.candidates[number], is_cut=number is None)
        for example, number in zip(examples, chosen, strict=True)
    ]


def _rank(answerer: Answerer, images: EncodedImages, examples: Sequence[EvaluationExample]) -> list[Prediction]:
    ranked = rank(
        cast(ScoringModel, answerer.model),
        answerer.processor,
        [example.prompt for example in examples],
        [example.candidates for example in examples],
        image_features=images.features,
        image_rows=[images.rows[example.image_id] for example in examples],
        scoring=answerer.task.rank_by,
        content_free=_content_free(answerer, examples),
        batch_size=max(len(examples), MIN_CANDIDATES),
    )
    predictions = []
    for example, answers in zip(examples, ranked, strict=True):
        first = answers.scores.topk(min(NUM_KEPT, len(answers.scores))).indices.tolist()
        kept = {answers.candidates[i]: float(answers.log_likelihoods[i]) for i in first}
        predictions.append(answerer.prediction(example, answers.best, log_likelihoods=kept))
    return predictions


def _content_free(answerer: Answerer, examples: Sequence[EvaluationExample]) -> ContentFree | None:
    """The content-free inputs for calibration: each prompt without content, with a grey image. None if the task is not
    calibrated."""
    if answerer.task.rank_by != "calibrated":
        return None
    prompts = [example.content_free or "" for example in examples]
    processor = cast(ImageInputProcessor, answerer.processor)
    has_images = any(example.images for example in examples)
    return ContentFree(prompts, grey_features(answerer.model, processor) if has_images else None)


def are_cut(model: Model, ids_BL: torch.Tensor) -> list[bool]:
    """Whether each answer from `generate` reached the maximum length without an end token."""
    ends = model.generation_config.eos_token_id
    if ends is None:
        return [True] * len(ids_BL)
    new_BL = ids_BL[:, 1:] if model.config.is_encoder_decoder else ids_BL  # the start token may equal the end token
    return (~torch.isin(new_BL, torch.tensor(ends, device=new_BL.device)).any(dim=1)).tolist()


def answer_texts(processor: Processor, ids_BL: torch.Tensor) -> list[str]:
    """The answers as text, without the text that the chat template writes before every answer."""
    lead = answer_lead(processor).strip() if uses_chat_template(processor) else ""
    texts = processor.batch_decode(ids_BL, skip_special_tokens=True)
    return [text.strip().removeprefix(lead).strip() for text in texts]
