"""Puts the questions of a task to a model.

Every image goes through the ViT once, however many prompts, languages and conditions ask about it: half of the cost of
asking in many languages is otherwise a ViT run again on an image already seen. Prompts that are alike share a batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm.auto import tqdm

from .generation import GenerationSettings, answer_texts, are_cut, evaluating
from .model_inputs import (
    Model,
    Processor,
    batch_like_prompts,
    chunk_by_images,
    encode_images,
    encode_prompts,
    prompt_tensors,
)
from .predictions import Prediction, open_predictions
from .task import EvaluationExample, EvaluationTask

# Features are held of so many images at once. The more, the more batches are of one prompt, so that answers end
# together.
IMAGES_PER_CHUNK = 512
BATCHES_PER_CHUNK = 32


@dataclass(frozen=True)
class RunSettings:
    """How a task is run. `batch_size` counts prompts, `image_batch_size` pictures in the ViT."""

    batch_size: int = 256
    image_batch_size: int = 64
    generation: GenerationSettings = field(default_factory=GenerationSettings)


DEFAULT_SETTINGS = RunSettings()


def run_task(
    model: Model,
    processor: Processor,
    task: EvaluationTask,
    *,
    settings: RunSettings = DEFAULT_SETTINGS,
    predictions_path: Path | None = None,
) -> list[Prediction]:
    """The model's answer to every example of a task, in the order of the examples.

    Args:
        model: with an encoder-decoder or a decoder-only language model; its mode is restored.
        predictions_path: where answers are written as they come, as JSON lines; None: nowhere.

    Raises:
        ValueError: an image cannot be read; the message names it.
    """
    answers: dict[tuple[str, str], Prediction] = {}
    progress = tqdm(total=len(task.examples), desc=task.name, unit="prompt", disable=None)
    with evaluating(model), open_predictions(predictions_path) as writer, progress:
        chunks = chunk_by_images(
            task.examples, num_images=IMAGES_PER_CHUNK, num_prompts=settings.batch_size * BATCHES_PER_CHUNK
        )
        for chunk in chunks:
            for prediction in _answer(model, processor, chunk, task, settings):
                writer.write(prediction)
                answers[prediction.condition, prediction.id] = prediction
                progress.update()
    return [answers[example.condition, example.id] for example in task.examples]


def _answer(
    model: Model,
    processor: Processor,
    examples: Sequence[EvaluationExample],
    task: EvaluationTask,
    settings: RunSettings,
) -> Iterator[Prediction]:
    """The answers to the examples of some image sets, batch by batch."""
    images = encode_images(model, processor, examples, settings.image_batch_size)
    ids = encode_prompts(processor, examples)
    arguments = settings.generation.with_default_length(task.max_new_tokens).arguments()
    for positions in batch_like_prompts(ids, settings.batch_size):
        batch = [examples[i] for i in positions]
        inputs = prompt_tensors(model, processor, [ids[i] for i in positions])
        ids_BL = model.generate(**inputs, **images.shown_to(batch), **arguments)
        outputs = answer_texts(processor, ids_BL)
        for example, output, is_cut in zip(batch, outputs, are_cut(model, ids_BL), strict=True):
            is_right = task.is_right(output, example.references)
            yield Prediction.of(example, output, is_right=is_right, is_cut=is_cut)
