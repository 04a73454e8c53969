"""Generation inside a Trainer's evaluation: the same few images in every language, at every evaluation.

With transformers' own Trainer:

    generation = GenerationEvaluation(processor, [xgqa(Setup(), questions=..., images=...)], num_images=16)
    Trainer(..., callbacks=[generation], args=TrainingArguments(
        eval_strategy="steps", metric_for_best_model=generation.main, greater_is_better=True, ...))

Its loss says how likely the right tokens are; only answers say whether a model, encoder-decoder or decoder-only, has
found them. In several processes each answers its share, and all get all figures.
"""

import hashlib
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .model_inputs import Model, Processor
from .results import score_predictions
from .runner import DEFAULT_SETTINGS, RunSettings, run_task
from .task import SHUFFLED, EvaluationExample, EvaluationTask


class GenerationEvaluation(TrainerCallback):
    """Answers to tasks as figures of an evaluation: `eval_<task>_<language>`, their mean `eval_<task>`, and the mean
    of the tasks, `main`, by which the best checkpoint is told: the greater the better. Tasks whose figure is better
    the lower it is (CHAIR, where saying nothing is best) have no part in `main`.

    Args:
        tasks: as benchmarks have them; controls with shuffled images are skipped.
        num_images: so many image sets are asked about in each language.

    Raises:
        ValueError: `num_images` is less than one, or no task is left for `main`.
    """

    main = "eval_generation"

    def __init__(
        self,
        processor: Processor,
        tasks: Sequence[EvaluationTask],
        *,
        num_images: int = 32,
        settings: RunSettings = DEFAULT_SETTINGS,
    ) -> None:
        self.judged_by = [task.name for task in tasks if task.metric.greater_is_better]
        if not self.judged_by:
            found = ", ".join(task.name for task in tasks) or "no task"
            raise ValueError(
                f"Found {found}, expected at least one task whose figure is better the higher it is, to tell the best "
                "checkpoint by. Add another benchmark."
            )
        self.processor = processor
        self.tasks = [fixed_subset(task, num_images) for task in tasks]
        self.settings = settings

    def figures(self, model: Model) -> dict[str, float]:
        """The figures of a model as it is; it is left in the mode it was in."""
        figures: dict[str, float] = {}
        for task in self.tasks:
            predictions = run_task(model, self.processor, task, settings=self.settings)
            by_language: dict[str, list[float]] = defaultdict(list)
            for score in score_predictions(task, predictions)[0]:
                by_language[score.language].append(score.value)
            means = {language: statistics.mean(values) for language, values in by_language.items()}
            figures |= {f"eval_{task.name}_{language}": mean for language, mean in means.items()}
            figures[f"eval_{task.name}"] = statistics.mean(means.values())
        figures[self.main] = statistics.mean(figures[f"eval_{name}"] for name in self.judged_by)
        return figures

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Add the figures to those of the evaluation, from which the Trainer takes its best, and to its log."""
        figures = self.figures(model)
        state.log_history.append({"step": state.global_step, "epoch": state.epoch, **figures})
        if metrics is not None:
            metrics.update(figures)


def fixed_subset(task: EvaluationTask, num_images: int) -> EvaluationTask:
    """A task with `num_images` image sets in each language and condition, without shuffled images. Which they are
    depends on their `image_id` alone, so that languages share them as far as the benchmark does.

    Raises:
        ValueError: `num_images` is less than one.
    """
    if num_images < 1:
        raise ValueError(f"Found `num_images` {num_images}, expected at least 1.")
    groups: dict[tuple[str, str], list[EvaluationExample]] = defaultdict(list)
    for example in task.examples:
        if example.condition != SHUFFLED:
            groups[example.condition, example.language].append(example)
    chosen = []
    for group in groups.values():
        image_ids = sorted({example.image_id for example in group}, key=_draw)[:num_images]
        chosen += [example for example in group if example.image_id in image_ids]
    return replace(task, examples=chosen)


def _draw(image_id: str) -> str:
    return hashlib.sha256(image_id.encode()).hexdigest()
