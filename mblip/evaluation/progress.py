"""What a run will cost, and how far it is.

A terminal shows tqdm's bar. Where there is none, as in a cluster's log, we write a line to stderr every minute. After
the first minute with answers we also write, once per task, how long the whole run will take.
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
    """The cost of each task in a line, and that of all of them, from their examples alone."""
    lines, totals = [], [0, 0, 0]
    for task in tasks:
        num_images = sum(len(images) for images in {e.image_id: e.images for e in task.examples}.values())
        num_tokens = _most_tokens(task, changes)
        if task.answering == "rank":
            num_tokens, how = 0, f", ranked among {max(len(e.candidates) for e in task.examples):,} candidates"
        elif task.answering == "constrained":
            how = f", each one of {max(len(e.candidates) for e in task.examples):,} candidates"
        else:
            how = f" of at most {num_tokens:,} new tokens"
        num_answers = len(task.examples)
        lines.append(f"{task.name}: at most {num_images:,} images to encode, {num_answers:,} answers{how}.")
        totals = [a + b for a, b in zip(totals, (num_images, num_answers, num_answers * num_tokens), strict=True)]
    if len(tasks) > 1:
        images, answers, tokens = totals
        lines.append(
            f"In total: at most {images:,} images to encode, {answers:,} answers, at most {tokens:,} new tokens."
        )
    return "\n".join(lines)


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
        self.whose = f" of process 0 of {num_processes()}" if num_processes() > 1 else ""
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
            num_done, num_new = self.num_done, self.num_new
            left, line = self.num_answers - num_done, f"{self.name}: {num_done:,} of {self.num_answers:,} answers"
            line += f"{self.whose} ({100 * num_done // self.num_answers} %)"
            seconds_each = (monotonic() - self.start) / num_new if num_new else None
            if seconds_each is not None:
                line += f", {1 / seconds_each:.3g} a second, about {duration(left * seconds_each)} left"
            if self.bar.disable:
                tqdm.write(line, file=sys.stderr)
            if seconds_each is not None and not has_estimate:
                more = f" and {self.num_later} more task(s)" if self.num_later else ""
                tqdm.write(
                    f"The whole run: about {duration((left + self.later_answers) * seconds_each)} left, estimated "
                    f"from {num_new:,} of its answers ({self.name}{more}).",
                    file=sys.stderr,
                )
                has_estimate = True


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 90:
        number = max(1, round(seconds))
        return f"{number} second{'' if number == 1 else 's'}"
    return f"{round(seconds / 60)} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _most_tokens(task: EvaluationTask, changes: GenerationChanges) -> int:
    return changes.applied_to(task.generation).max_new_tokens
