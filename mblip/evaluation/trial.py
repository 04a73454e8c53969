"""A trial of a benchmark: some of its languages, or a few of its images. Its results are marked as one."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mblip.data.recipes.ranges import Count

from .languages import check_languages, mix_code
from .task import EvaluationExample, EvaluationTask

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """A part of each benchmark: these languages (none: all), and so many image sets per language and condition.

    Raises:
        ValueError: a language is unknown or repeated.
    """

    languages: tuple[str, ...] = ()
    num_images: Count | None = None

    def __post_init__(self) -> None:
        check_languages([mix_code(code) for code in self.languages])

    def of(self, tasks: Sequence[EvaluationTask]) -> list[EvaluationTask]:
        """The tasks' parts, marked unless they are all of it. Tasks that have none of the languages are skipped.

        Raises:
            ValueError: no task has one of the languages, or `num_images` is less than one.
        """
        wanted = [mix_code(code) for code in self.languages]
        found = sorted({example.language for task in tasks for example in task.examples})
        if missing := [code for code in wanted if code not in found]:
            raise ValueError(
                f"Found no examples in {', '.join(missing)}, only in {', '.join(found)}. Choose languages that a "
                "benchmark has."
            )
        parts = []
        for task in tasks:
            languages = {example.language for example in task.examples}
            if wanted and languages.isdisjoint(wanted):
                logger.warning("%s has no examples in %s: skipped in this trial.", task.name, ", ".join(wanted))
                continue
            part = self.in_languages(task) if wanted and not languages.issubset(wanted) else task
            parts.append(part if self.num_images is None else _few_images(part, self.num_images))
        return parts

    def in_languages(self, task: EvaluationTask) -> EvaluationTask:
        """The task in the trial's languages, marked."""
        wanted = [mix_code(code) for code in self.languages]
        examples = [example for example in task.examples if example.language in wanted]
        mark = f"trial in {', '.join(sorted({example.language for example in examples}))}"
        return replace(task, examples=examples, marks=(*task.marks, mark))


def _few_images(task: EvaluationTask, num_images: int) -> EvaluationTask:
    """The task with so many images, marked unless it has no more."""
    part = fixed_subset(task, num_images)
    is_whole = len(part.examples) == len(task.examples)
    return task if is_whole else replace(part, marks=(*task.marks, f"trial of {num_images:,} images"))


def fixed_subset(task: EvaluationTask, num_images: int) -> EvaluationTask:
    """A task with `num_images` image sets per language and condition.

    The choice depends on `image_id` alone, so languages share images wherever the benchmark does.

    Raises:
        ValueError: `num_images` is less than one.
    """
    if num_images < 1:
        raise ValueError(f"Found `num_images` {num_images}, expected at least 1.")
    groups: dict[tuple[str, str], list[EvaluationExample]] = defaultdict(list)
    for example in task.examples:
        groups[example.condition, example.language].append(example)
    chosen = []
    for group in groups.values():
        image_ids = set(sorted({example.image_id for example in group}, key=_draw)[:num_images])
        chosen += [example for example in group if example.image_id in image_ids]
    return replace(task, examples=chosen)


def _draw(image_id: str) -> str:
    return hashlib.sha256(image_id.encode()).hexdigest()
