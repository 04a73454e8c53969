"""Generates answers during a Trainer's evaluation, for the same few images in every language.

With transformers' Trainer:

    generation = GenerationEvaluation(processor, [xgqa(Setup(), questions=..., images=...)], num_images=16)
    Trainer(..., callbacks=[generation], args=TrainingArguments(
        eval_strategy="steps", metric_for_best_model=generation.main, greater_is_better=True, ...))

The loss measures how likely the right tokens are; only generated answers show whether the model finds them. With
several processes each one answers its share and receives all figures.
"""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from mblip.data.features import FeatureSet

from .model_inputs import Model, Processor
from .results import score_predictions
from .runner import DEFAULT_SETTINGS, RunSettings, run_task
from .task import SHUFFLED, EvaluationTask
from .trial import fixed_subset


class GenerationEvaluation(TrainerCallback):
    """Adds scores of generated answers to the metrics of an evaluation.

    The metrics are `eval_<task>_<language>`, their mean `eval_<task>`, and the mean over tasks `main`. Choose the best
    checkpoint by `main`: greater is better. Tasks whose figure should be low (CHAIR) do not count in `main`.

    Args:
        tasks: benchmark tasks. Examples with shuffled images are skipped.
        num_images: the number of image sets per language.
        features: of all images, from `mblip encode`. Then the model needs no image encoder.

    Raises:
        ValueError: `num_images` is less than one, or no task counts in `main`.
    """

    main = "eval_generation"

    def __init__(
        self,
        processor: Processor,
        tasks: Sequence[EvaluationTask],
        *,
        num_images: int = 32,
        settings: RunSettings = DEFAULT_SETTINGS,
        features: FeatureSet | None = None,
    ) -> None:
        self.judged_by = [task.name for task in tasks if task.metric.greater_is_better]
        if not self.judged_by:
            found = ", ".join(task.name for task in tasks) or "no task"
            raise ValueError(
                f"Found {found}, expected at least one task whose figure should be high, to choose the best "
                "checkpoint. Add another benchmark."
            )
        self.processor = processor
        self.tasks = [fixed_subset(_without_controls(task), num_images) for task in tasks]
        self.settings = settings
        self.features = features

    def figures(self, model: Model, *, is_shared: bool = True) -> dict[str, float]:
        """The figures of a model in its current state. Its training mode is restored.

        Args:
            is_shared: False: every process answers everything, in step with the others, as a model in shards must.
        """
        figures: dict[str, float] = {}
        for task in self.tasks:
            predictions = run_task(
                model, self.processor, task, settings=self.settings, is_shared=is_shared, features=self.features
            )
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
        """Add the figures to the evaluation's metrics, where the Trainer looks for `metric_for_best_model`, and to the
        log."""
        figures = self.figures(model)
        state.log_history.append({"step": state.global_step, "epoch": state.epoch, **figures})
        if metrics is not None:
            metrics.update(figures)


def _without_controls(task: EvaluationTask) -> EvaluationTask:
    return replace(task, examples=[example for example in task.examples if example.condition != SHUFFLED])
