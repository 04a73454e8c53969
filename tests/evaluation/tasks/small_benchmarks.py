"""Images for small benchmarks, and runs of their tasks from end to end."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from mblip.evaluation import (
    EvaluationTask,
    GenerationChanges,
    Prediction,
    Results,
    RunSettings,
    Score,
    Setup,
    TaskRecipe,
    evaluate_task,
    score_predictions,
)
from mblip.evaluation.predictions import predict
from tests.evaluation.table_model import knows_all
from tests.tiny import tiny_model, tiny_processor

UNCHECKED = Setup(missing_images="unchecked")
SHORT = RunSettings(generation=GenerationChanges(max_new_tokens=3, num_beams=2))


def task_of(function: Callable[..., EvaluationTask], **arguments: object) -> TaskRecipe:
    """What a recipe says of a task."""
    return TaskRecipe(function.__name__, function, arguments)


def draw(positions: Iterable[Path]) -> None:
    """An image at each path, each of another colour."""
    for number, position in enumerate(sorted(set(positions))):
        position.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number * 7 % 256, number * 31 % 256, 90)).save(position)


def answered_by_one_who_knows(task: EvaluationTask) -> Results:
    """The results of a model that gives the first reference of every example, if it sees that example's image."""
    opened = {example.images: (Image.open(str(example.images[0])).convert("RGB"),) for example in task.examples}
    task = replace(task, examples=[replace(example, images=opened[example.images]) for example in task.examples])
    return evaluate_task(*knows_all(task.examples), task)


def answered_by_a_tiny_model(task: EvaluationTask, family: str) -> Results:
    """The results of a random model of a family."""
    return evaluate_task(tiny_model(family), tiny_processor(family), task, settings=SHORT)


def scores_of(task: EvaluationTask, outputs: Sequence[str]) -> tuple[tuple[Score, ...], tuple[Prediction, ...]]:
    """The scores of answers to the examples of a task, in their order, and the answers with their own scores."""
    answers = zip(task.examples, outputs, strict=True)
    return score_predictions(task, [predict(task.name, task.protocol, *answer) for answer in answers])
