"""Puts the questions of a task to a model.

Every image goes through the ViT once, however many prompts, languages and conditions ask about it: half of the cost of
asking in many languages is otherwise a ViT run again on an image already seen.

Which prompts are answered together, and by which process, is a plan that depends on the examples alone: not on their
order, not on the number of processes (torchrun), not on what an earlier run that was killed has answered. So each of
these gives the same batches, and the same answers to the last bit. A chunk is what one process encodes the images of;
all prompts about an image set are in one chunk.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from tqdm.auto import tqdm

from .answering import Answerer
from .generation_settings import GenerationChanges
from .model_inputs import Fitting, Model, Processor, encode_images, encode_prompts, evaluating
from .partial_answers import Key, PartialAnswers, run_identity
from .predictions import Prediction
from .processes import gather, is_main_process, num_processes, rank, wait_for_all
from .task import EvaluationExample, EvaluationTask

# Features are held of so many image sets at once. The more, the more batches are of one prompt, so that answers end
# together; the fewer, the more evenly processes share the work.
MIN_IMAGES, MAX_IMAGES, NUM_CHUNKS = 64, 512, 16
MAX_PROMPTS = 8192


@dataclass(frozen=True)
class RunSettings:
    """How a task is run. `batch_size` counts prompts, `image_batch_size` images in the ViT; both are halved where
    the memory of the device is too small. `generation` changes the decoding that the task's protocol says."""

    batch_size: int = 256
    image_batch_size: int = 64
    generation: GenerationChanges = field(default_factory=GenerationChanges)


DEFAULT_SETTINGS = RunSettings()


def run_task(
    model: Model,
    processor: Processor,
    task: EvaluationTask,
    *,
    settings: RunSettings = DEFAULT_SETTINGS,
    predictions_path: str | Path | None = None,
) -> list[Prediction]:
    """The model's answer to every example of a task, in the order of the examples, not scored yet.

    In a process group (torch.distributed) each process answers its chunks, and all get all answers.

    Args:
        model: with an encoder-decoder or a decoder-only language model; its mode is restored.
        predictions_path: the final file, beside which answers are kept as they come; None keeps none. It is the
            caller's to write the file, and then to call `forget_partial`.

    Raises:
        ValueError: an image cannot be read, or answers of another run lie beside `predictions_path`.
        OSError: another run is answering there, or nothing can be written there.
    """
    run = _Run(model, processor, task, settings, predictions_path)
    with run.kept(), evaluating(model):
        parts = gather(run.answer())
    everyone = {key: prediction for part in parts for key, prediction in part.items()}
    return [everyone[example.condition, example.id] for example in task.examples]


def forget_partial(predictions_path: str | Path) -> None:
    """Remove the answers kept as they came, when the final file is there."""
    PartialAnswers(predictions_path).remove()


def seconds_before(predictions_path: str | Path | None) -> float:
    """How long earlier starts of a killed run took for the answers that are taken up."""
    return 0.0 if predictions_path is None else PartialAnswers(predictions_path).seconds()


class _Run:
    """A task under way, on one process."""

    def __init__(
        self, model: Model, processor: Processor, task: EvaluationTask, settings: RunSettings, path: str | Path | None
    ) -> None:
        self.model, self.processor, self.task, self.settings = model, processor, task, settings
        self.answerer = Answerer(model, processor, task, settings.generation.applied_to(task.generation))
        self.fitting_prompts, self.fitting_images = Fitting("prompts"), Fitting("images")
        self.partial = None if path is None else PartialAnswers(path)
        self.last = time.monotonic()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Take up what an earlier run has left, and let no other run answer there; the main process first, for it
        makes the folder."""
        if self.partial is None:
            yield
            return
        settings = f"{self.answerer.generation}, batches of {self.settings.batch_size}"
        identity = run_identity(self.model, self.task, settings)
        with self.partial.alone() if is_main_process() else nullcontext():
            if is_main_process():
                self.partial.begin(identity)
            wait_for_all()
            if not is_main_process():
                self.partial.begin(identity)
            yield

    def answer(self) -> dict[Key, Prediction]:
        """The answers of this process."""
        chunks = list(enumerate(plan_chunks(self.task.examples)))[rank() :: num_processes()]
        total = sum(len(chunk) for _, chunk in chunks)
        progress = tqdm(total=total, desc=self.task.name, unit="prompt", disable=None if is_main_process() else True)
        answers: dict[Key, Prediction] = {}
        with progress:
            for number, chunk in chunks:
                for prediction in self.answer_chunk(number, chunk):
                    answers[prediction.condition, prediction.id] = prediction
                    progress.update()
        return answers

    def answer_chunk(self, number: int, examples: Sequence[EvaluationExample]) -> Iterator[Prediction]:
        """The answers to the examples of a chunk, those of batches that are on disk already first."""
        ids = encode_prompts(
            self.processor,
            [example.prompt for example in examples],
            [len(example.images) for example in examples],
        )
        found = {} if self.partial is None else self.partial.read(number)
        batches = list(plan_batches(examples, ids, self.settings.batch_size))
        left = [batch for batch in batches if not all(_key(examples[i]) in found for i in batch)]
        yield from [found[_key(examples[i])] for batch in batches if batch not in left for i in batch]
        images = encode_images(
            self.model,
            self.processor,
            [examples[i] for batch in batches for i in batch],
            batch_size=self.settings.image_batch_size,
            fitting=self.fitting_images,
            wanted={examples[i].image_id for batch in left for i in batch},
        )
        for batch in left:
            predictions = self.fitting_prompts.run(
                lambda part: self.answerer.answer(images, [examples[i] for i in part], [ids[i] for i in part]), batch
            )
            if self.partial is not None:
                self.partial.append(number, predictions)
                self._count_time(self.partial)
            yield from predictions

    def _count_time(self, partial: PartialAnswers) -> None:
        """Put on disk what a batch took, for the record; processes answer at once, so that of the main one counts."""
        last, self.last = self.last, time.monotonic()
        if is_main_process():
            partial.add_seconds(self.last - last)


def plan_chunks(
    examples: Sequence[EvaluationExample], *, max_prompts: int = MAX_PROMPTS
) -> list[list[EvaluationExample]]:
    """The examples in chunks, all of an `image_id` in one of them: at most 512 image sets, and sixteen chunks or more
    where there are enough. A chunk ends early with the image set that brings it to `max_prompts`."""
    groups: dict[str, list[EvaluationExample]] = {}
    for example in examples:
        groups.setdefault(example.image_id, []).append(example)
    num_images = max(MIN_IMAGES, min(MAX_IMAGES, math.ceil(len(groups) / NUM_CHUNKS)))
    chunks: list[list[EvaluationExample]] = [[]]
    num_held = 0
    for image_id in sorted(groups):
        if num_held == num_images or len(chunks[-1]) >= max_prompts:
            chunks.append([])
            num_held = 0
        chunks[-1] += sorted(groups[image_id], key=_key)
        num_held += 1
    return chunks


def plan_batches(
    examples: Sequence[EvaluationExample], ids: Sequence[list[int]], batch_size: int
) -> Iterator[list[int]]:
    """Positions of the examples of a chunk in batches of like length, so that little is padding, and of equal prompts
    as far as may be: answers in one language end at about the same length."""
    order = sorted(range(len(ids)), key=lambda i: (len(ids[i]), ids[i], examples[i].image_id))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def _key(example: EvaluationExample) -> Key:
    return example.condition, example.id
