"""Evaluates a model on a task.

results = evaluate_task(model, processor, xm3600(Setup(), captions=Path("captions.jsonl"), images="photos"))
print(markdown_table({"XM3600": results.by_language("as_is")}))
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mblip.data.example import IMAGE_TOKEN
from mblip.data.features import FeatureSet

from .benchmark import shows_stand_ins
from .environment import (
    ModelFacts,
    code_commit,
    describe_hardware,
    describe_model,
    package_versions,
    peak_memory_gb,
)
from .generation_settings import GenerationSettings
from .model_inputs import Model, Processor
from .predictions import Prediction, write_predictions
from .processes import gather, is_main_process, num_processes
from .protocol import changes_of_run
from .results import MetricRecord, Results, mean_scores, score_predictions
from .run_identity import digest_weights
from .runner import DEFAULT_SETTINGS, RunSettings, forget_partial, run_task, seconds_before
from .task import EvaluationTask


def evaluate_task(
    model: Model,
    processor: Processor,
    task: EvaluationTask,
    *,
    settings: RunSettings = DEFAULT_SETTINGS,
    predictions_path: str | Path | None = None,
    keeps_partial: bool = False,
    base: str | None = None,
    weights: str | None = None,
    recipe: Mapping[str, Any] = MappingProxyType({}),
    later: Sequence[EvaluationTask] = (),
    features: FeatureSet | None = None,
) -> Results:
    """Ask a model the questions of a task and score its answers.

    In a process group all processes take part, and the main one writes.

    Args:
        predictions_path: the file for the answers and their scores, one JSON line each. We keep partial answers next
            to it, and a run that was killed continues from them. None writes nothing.
        keeps_partial: keep the partial answers until you call `forget_partial`. If a run of several tasks is killed,
            it then need not repeat the tasks that were complete.
        base: the base model of an adapter that was merged into `model`.
        weights: the digest of the model's weights (`digest_weights`), if it is known.
        recipe: the recipe of the run, for the record.
        later: the tasks that this run comes to later, for the estimate of its time.
        features: of all images, from `mblip encode`. Then the model needs no image encoder.

    Raises:
        ValueError: an image cannot be read, or has no features, or the partial answers belong to another run.
    """
    start = time.monotonic()
    earlier = seconds_before(predictions_path)
    weights = weights or digest_weights(model)
    predictions = run_task(
        model,
        processor,
        task,
        settings=settings,
        predictions_path=predictions_path,
        weights=weights,
        later=later,
        features=features,
    )
    generation = settings.generation.applied_to(task.generation)
    results = results_of(
        task,
        predictions,
        model=describe_model(model, base),
        generation=generation,
        hardware=describe_hardware(model.device),
        began=start - earlier,
    )
    if predictions_path is not None and is_main_process():
        write_predictions(predictions_path, results.predictions)
        if not keeps_partial:
            forget_partial(predictions_path)
    return replace(
        results,
        changes=(*task.changes, *changes_of_run(task, generation, results.model.precision)),
        num_new_tokens=None if task.answering == "rank" else _num_tokens(processor, predictions),
        peak_memory_gb=max(gather(peak_memory_gb(model.device))),
        weights=weights,
        recipe=dict(recipe),
        batch_size=settings.batch_size,
        image_batch_size=settings.image_batch_size,
    )


def results_of(
    task: EvaluationTask,
    predictions: Sequence[Prediction],
    *,
    model: ModelFacts,
    generation: GenerationSettings,
    hardware: str,
    began: float,
) -> Results:
    """Score answers, and record all that the task and this code tell of them. `began` is of the monotonic clock."""
    scores, scored = score_predictions(task, predictions)
    prompts: dict[str, dict[str, str]] = {}
    for example in task.examples:
        prompts.setdefault(example.condition, {}).setdefault(example.language, example.prompt)
    return Results(
        task=task.name,
        protocol=task.protocol,
        metric=task.metric.main,
        description=task.metric.description,
        model=model,
        num_images=len({example.image_id for example in task.examples}),
        scores=scores,
        prompts=prompts,
        answering=f"rank, {task.rank_by}" if task.answering == "rank" else task.answering,
        generation=generation,
        origin=task.origin,
        left_out=dict(task.skipped.counts),
        left_out_names=dict(task.skipped.names),
        has_stand_ins=shows_stand_ins(task.examples),
        seconds=time.monotonic() - began,
        commit=code_commit(),
        versions=package_versions(),
        hardware=hardware,
        num_processes=num_processes(),
        predictions=scored,
        files=task.files,
        changes=task.changes,
        marks=task.marks,
        greater_is_better=task.metric.greater_is_better,
        means=mean_scores(scores, scored),
        metric_record=MetricRecord.of(task.metric),
        others=dict(task.metric.others),
    )


def _num_tokens(processor: Processor, predictions: Sequence[Prediction]) -> int:
    """The tokens of all answers, as the tokenizer splits them again."""
    texts = [prediction.output.replace(IMAGE_TOKEN, "") for prediction in predictions]
    return sum(map(len, processor.encode(texts, [0] * len(texts))))
