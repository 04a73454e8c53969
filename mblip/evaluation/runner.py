"""Asks a model the questions of a task.

Every image goes through the ViT once, however many prompts, languages and conditions ask about it. Otherwise the ViT
would take half of the time of an evaluation in many languages.

The plan of chunks and batches depends on the examples alone. The order of the examples, the number of processes
(torchrun) and an earlier run that was killed do not change it. All of them therefore give the same batches, and the
same answers to the last bit. One process encodes the images of a chunk. All prompts about an image set are in one
chunk.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from mblip.data.features import FeatureSet
from mblip.data.recipes.ranges import Count

from .answering import Answerer
from .generation_settings import GenerationChanges
from .model_inputs import Fitting, Model, Processor, encode_images, encode_prompts, evaluating
from .partial_answers import Key, PartialAnswers
from .predictions import Prediction
from .processes import gather, is_main_process, num_processes, rank, wait_for_all
from .progress import Progress
from .run_identity import run_identity
from .task import EvaluationExample, EvaluationTask

# The number of image sets in a chunk, whose features we keep in memory. In large chunks more batches consist of one
# prompt, so their answers end together. Small chunks share the work more evenly between processes.
MIN_IMAGES, MAX_IMAGES, NUM_CHUNKS = 64, 512, 16
MAX_PROMPTS = 8192


@dataclass(frozen=True)
class RunSettings:
    """How to run a task. `batch_size` counts prompts, `image_batch_size` images in the ViT; both are halved when the
    device runs out of memory. `generation` changes the decoding of the task's protocol."""

    batch_size: Count = 256
    image_batch_size: Count = 64
    generation: GenerationChanges = field(default_factory=GenerationChanges)


DEFAULT_SETTINGS = RunSettings()


def run_task(
    model: Model,
    processor: Processor,
    task: EvaluationTask,
    *,
    settings: RunSettings = DEFAULT_SETTINGS,
    predictions_path: str | Path | None = None,
    weights: str | None = None,
    later: Sequence[EvaluationTask] = (),
    is_shared: bool = True,
    features: FeatureSet | None = None,
) -> list[Prediction]:
    """The model's answer to every example of a task, in the order of the examples, without scores.

    In a process group (torch.distributed) each process answers its chunks and receives all answers.

    Args:
        model: with an encoder-decoder or a decoder-only language model. Its training mode is restored.
        predictions_path: the final file. We keep partial answers next to it; None keeps none. You write the final file
            and then call `forget_partial`.
        later: the tasks that this run comes to later, for the estimate of its time.
        is_shared: False: the other processes have other tasks. This one answers all of its own.
        features: of all images, from `mblip encode`. Then the model needs no image encoder.

    Raises:
        ValueError: an image cannot be read, or has no features, or the partial answers belong to another run.
        OSError: another run is writing partial answers there, or the folder is not writable.
    """
    run = _Run(model, processor, task, settings, predictions_path, weights, later, features)
    with run.kept(), evaluating(model):
        parts = gather(run.answer(slice(rank(), None, num_processes()))) if is_shared else [run.answer(slice(None))]
    everyone = {key: prediction for part in parts for key, prediction in part.items()}
    return [everyone[example.condition, example.id] for example in task.examples]


def forget_partial(predictions_path: str | Path) -> None:
    """Remove the partial answers. Call it after the final file is written."""
    PartialAnswers(predictions_path).remove()


def seconds_before(predictions_path: str | Path | None) -> float:
    """The seconds that earlier, killed starts of this run took for the answers we reuse."""
    return 0.0 if predictions_path is None else PartialAnswers(predictions_path).seconds()


class _Run:
    """A task under way, on one process."""

    def __init__(
        self,
        model: Model,
        processor: Processor,
        task: EvaluationTask,
        settings: RunSettings,
        path: str | Path | None,
        weights: str | None,
        later: Sequence[EvaluationTask],
        features: FeatureSet | None,
    ) -> None:
        self.model, self.processor, self.task, self.settings, self.later = model, processor, task, settings, later
        self.answerer = Answerer(model, processor, task, settings.generation.applied_to(task.generation))
        self.fitting_prompts, self.fitting_images = Fitting("prompts"), Fitting("images")
        self.partial = None if path is None else PartialAnswers(path)
        self.weights, self.features, self.last = weights, features, time.monotonic()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Lock the folder of partial answers and check that they belong to this run. The main process goes first,
        because it creates the folder."""
        if self.partial is None:
            yield
            return
        settings = f"{self.answerer.generation}, batches of {self.settings.batch_size}"
        identity = run_identity(self.model, self.processor, self.task, settings, self.weights)
        with self.partial.alone() if is_main_process() else nullcontext():
            if is_main_process():
                self.partial.begin(identity)
            wait_for_all()
            if not is_main_process():
                self.partial.begin(identity)
            yield

    def answer(self, part: slice) -> dict[Key, Prediction]:
        """The answers to a part of the chunks."""
        chunks = list(enumerate(plan_chunks(self.task.examples)))[part]
        num_answers = sum(len(chunk) for _, chunk in chunks)
        changes = self.settings.generation
        with Progress(self.task, changes, num_answers=num_answers, later=self.later) as progress:
            predictions = [each for number, chunk in chunks for each in self.answer_chunk(number, chunk, progress)]
        return {(prediction.condition, prediction.id): prediction for prediction in predictions}

    def answer_chunk(
        self, number: int, examples: Sequence[EvaluationExample], progress: Progress
    ) -> Iterator[Prediction]:
        """The answers to the examples of a chunk. Batches that are already on disk come first."""
        ids = encode_prompts(
            self.processor,
            [example.prompt for example in examples],
            [len(example.images) for example in examples],
        )
        found = {} if self.partial is None else self.partial.read(number)
        batches = list(plan_batches(examples, ids, self.settings.batch_size))
        left = [batch for batch in batches if not all(_key(examples[i]) in found for i in batch)]
        known = [found[_key(examples[i])] for batch in batches if batch not in left for i in batch]
        progress.add(len(known), is_new=False)
        yield from known
        images = encode_images(
            self.model,
            self.processor,
            [examples[i] for batch in batches for i in batch],
            batch_size=self.settings.image_batch_size,
            fitting=self.fitting_images,
            wanted={examples[i].image_id for batch in left for i in batch},
            stored=self.features,
        )
        for batch in left:
            predictions = self.fitting_prompts.run(
                lambda part: self.answerer.answer(images, [examples[i] for i in part], [ids[i] for i in part]), batch
            )
            if self.partial is not None:
                self.partial.append(number, predictions)
                self._count_time(self.partial)
            progress.add(len(predictions))
            yield from predictions

    def _count_time(self, partial: PartialAnswers) -> None:
        """Record how long a batch took. Processes run at the same time, so only the main one counts."""
        last, self.last = self.last, time.monotonic()
        if is_main_process():
            partial.add_seconds(self.last - last)


def plan_chunks(
    examples: Sequence[EvaluationExample], *, max_prompts: int = MAX_PROMPTS
) -> list[list[EvaluationExample]]:
    """Split the examples into chunks. All examples with the same `image_id` are in one chunk.

    A chunk has 64 to 512 image sets; with enough of them there are at least 16 chunks. It ends early with the image
    set that brings it to `max_prompts`.
    """
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
    """Group the examples of a chunk (by position) into batches.

    Prompts of similar length go together, so that there is little padding. Equal prompts go together, because answers
    in one language have similar lengths.
    """
    order = sorted(range(len(ids)), key=lambda i: (len(ids[i]), ids[i], examples[i].image_id))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def _key(example: EvaluationExample) -> Key:
    return example.condition, example.id
