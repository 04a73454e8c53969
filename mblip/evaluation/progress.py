"""What a run will cost, and how far it is.

A terminal shows tqdm's bar. Where there is none, as in a cluster's log, we write a line to stderr every minute. After
the first minute with answers we also write, once per task, how long the tasks that follow it will take, too.
"""

import sys
from collections.abc import Sequence
from threading import Event, Thread
from time import monotonic
from typing import Self

from tqdm.auto import tqdm

from .generation_settings import GenerationChanges
from .processes import is_main_process, num_processes
from .task import EvaluationTask

EVERY_SECONDS = 60.0


def run_cost(tasks: Sequence[EvaluationTask], changes: GenerationChanges) -> str:
    """The cost of each task in a line, and of all: image sets count with all their images, answers as if all were as
    long as allowed. Ranked answers are not generated."""
    costs: dict[str, tuple[int, ...]] = {}
    for task in tasks:
        shown = {example.image_id: len(example.images) for example in task.examples}
        num_tokens = 0 if task.answering == "rank" else _most_tokens(task, changes)
        costs[task.name] = (sum(shown.values()), len(task.examples), len(task.examples) * num_tokens)
    if len(tasks) > 1:
        costs["In total"] = tuple(map(sum, zip(*costs.values(), strict=True)))
    return "\n".join(
        f"{name}: at most {images:,} images to encode, {answers:,} answers, at most {tokens:,} new tokens."
        for name, (images, answers, tokens) in costs.items()
    )


class Progress:
    """Reports how far a task is, while the context lasts. Only the main process does.

    Args:
        num_answers: the answers that this process will give.
        later: the tasks of the same run that come after this one. We assume that they take as long per token.
    """

    def __init__(
        self, task: EvaluationTask, changes: GenerationChanges, *, num_answers: int, later: Sequence[EvaluationTask]
    ) -> None:
        self.name, self.num_answers, self.num_later = task.name, num_answers, len(later)
        tokens = sum(len(each.examples) * _most_tokens(each, changes) for each in later)
        self.later_answers = tokens / _most_tokens(task, changes) / num_processes()  # in answers of this task
        self.num_done = self.num_new = 0
        self.ended = Event()

    def __enter__(self) -> Self:
        is_main, self.start = is_main_process(), monotonic()
        on_terminal_alone = None if is_main else True
        self.bar = tqdm(total=self.num_answers, desc=self.name, unit="prompt", disable=on_terminal_alone)
        if is_main:
            Thread(target=self._report, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.bar.close()

    def add(self, num_answers: int, *, is_new: bool = True) -> None:
        """Count answers. They are not new if an earlier, killed start of this run gave them."""
        self.num_done += num_answers
        self.num_new += num_answers if is_new else 0
        self.bar.update(num_answers)

    def _report(self) -> None:
        has_estimate = False
        while not self.ended.wait(EVERY_SECONDS):
            done, new, left = self.num_done, self.num_new, self.num_answers - self.num_done
            seconds = (monotonic() - self.start) / new if new else 0.0  # for each answer
            rate = f", {1 / seconds:.3g} a second, about {duration(left * seconds)} left" if new else ""
            if self.bar.disable:
                share = f"{done:,} of {self.num_answers:,} answers ({100 * done // self.num_answers} %)"
                tqdm.write(f"{self.name}: {share}{rate}", file=sys.stderr)
            if new and self.num_later and not has_estimate:
                has_estimate = True
                whole = duration((left + self.later_answers) * seconds)
                tqdm.write(f"{self.name} and {self.num_later} later task(s): about {whole} left", file=sys.stderr)


def duration(seconds: float) -> str:
    """Seconds in words."""
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 1.5 else f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _most_tokens(task: EvaluationTask, changes: GenerationChanges) -> int:
    return changes.applied_to(task.generation).max_new_tokens
