"""The answers of a model to the prompts of a batch: written, written as one of given candidates, or ranked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from .generation import answer_texts, are_cut
from .generation_settings import GenerationSettings
from .likelihood.calibration import ContentFree, PictureProcessor, grey_features
from .likelihood.constrained import candidates_only
from .likelihood.prompt_batch import ScoringModel
from .likelihood.ranking import rank
from .model_inputs import EncodedImages, Model, Processor, prompt_tensors
from .predictions import Prediction, predict
from .task import Answering, EvaluationExample, EvaluationTask

MIN_CANDIDATES = 16  # run at once, however few prompts a batch has
NUM_KEPT = 5  # log-likelihoods of so many candidates are kept with an answer


@dataclass(frozen=True)
class Asked:
    """An example with the token ids of its prompt."""

    example: EvaluationExample
    ids: Sequence[int]


@dataclass(frozen=True)
class Answerer:
    """Answers the questions of a task, batch by batch."""

    model: Model
    processor: Processor
    task: EvaluationTask
    generation: GenerationSettings

    def answer(self, images: EncodedImages, batch: Sequence[Asked]) -> list[Prediction]:
        """The answers to a batch, not scored yet; `images` holds its images, and may hold others."""
        return WAYS[self.task.answering](self, images, batch)

    def prediction(self, example: EvaluationExample, output: str, **facts: Any) -> Prediction:
        """An answer of this task."""
        return replace(predict(self.task.name, self.task.protocol, example, output), **facts)


def _generate(answerer: Answerer, images: EncodedImages, batch: Sequence[Asked]) -> list[Prediction]:
    examples, model = [asked.example for asked in batch], answerer.model
    inputs = prompt_tensors(model, answerer.processor, [asked.ids for asked in batch])
    ids_BL = model.generate(**inputs, **images.shown_to(examples), **answerer.generation.arguments())
    outputs = answer_texts(answerer.processor, ids_BL)
    return [
        answerer.prediction(example, output, is_cut=is_cut)
        for example, output, is_cut in zip(examples, outputs, are_cut(model, ids_BL), strict=True)
    ]


def _generate_candidates(answerer: Answerer, images: EncodedImages, batch: Sequence[Asked]) -> list[Prediction]:
    examples, model = [asked.example for asked in batch], answerer.model
    inputs = prompt_tensors(model, answerer.processor, [asked.ids for asked in batch])
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
    ids_BL = model.generate(**inputs, **images.shown_to(examples), **arguments)
    chosen = allowed.chosen(ids_BL, begins_with_start=model.config.is_encoder_decoder)
    return [
        answerer.prediction(example, "" if number is None else example.candidates[number], is_cut=number is None)
        for example, number in zip(examples, chosen, strict=True)
    ]


def _rank(answerer: Answerer, images: EncodedImages, batch: Sequence[Asked]) -> list[Prediction]:
    examples = [asked.example for asked in batch]
    ranked = rank(
        cast(ScoringModel, answerer.model),
        answerer.processor,
        [example.prompt for example in examples],
        [example.candidates for example in examples],
        image_features=images.features,
        image_rows=[images.rows[example.image_id] for example in examples],
        scoring=answerer.task.rank_by,
        content_free=_content_free(answerer, examples),
        batch_size=max(len(batch), MIN_CANDIDATES),
    )
    predictions = []
    for example, answers in zip(examples, ranked, strict=True):
        first = answers.scores.topk(min(NUM_KEPT, len(answers.scores))).indices.tolist()
        kept = {answers.candidates[i]: float(answers.log_likelihoods[i]) for i in first}
        predictions.append(answerer.prediction(example, answers.best, log_likelihoods=kept))
    return predictions


def _content_free(answerer: Answerer, examples: Sequence[EvaluationExample]) -> ContentFree | None:
    """What calibrates: each prompt without its content, about a grey picture; None where nothing is calibrated."""
    if answerer.task.rank_by != "calibrated":
        return None
    prompts = [example.content_free or "" for example in examples]
    processor = cast(PictureProcessor, answerer.processor)
    has_images = any(example.images for example in examples)
    return ContentFree(prompts, grey_features(answerer.model, processor) if has_images else None)


WAYS: Mapping[Answering, Callable[[Answerer, EncodedImages, Sequence[Asked]], list[Prediction]]] = {
    "generate": _generate,
    "constrained": _generate_candidates,
    "rank": _rank,
}
