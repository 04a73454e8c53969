"""The functions that evaluate a model: one for any task, and one for each task there is.

results = evaluate_scenes(model, processor, languages=["sw", "hi"], num_images=200)
print(markdown_table({"unseen": results.by_language("as_is"), "shuffled": results.by_language("shuffled")}))
"""

import time
from collections.abc import Sequence
from pathlib import Path

from data_mblip.scenes.languages import SCENE_LANGUAGES

from .environment import describe_hardware, describe_precision, package_versions
from .model_inputs import Model, Processor
from .results import Results, score_predictions
from .runner import DEFAULT_SETTINGS, RunSettings, run_task
from .task import EvaluationTask
from .tasks.scenes import SceneCondition, scenes_task
from .wordings import WordingChoice


def evaluate_task(
    model: Model,
    processor: Processor,
    task: EvaluationTask,
    *,
    settings: RunSettings = DEFAULT_SETTINGS,
    predictions_path: Path | None = None,
) -> Results:
    """Ask a model the questions of a task and score its answers; arguments as those of `run_task`."""
    start = time.monotonic()
    predictions = run_task(model, processor, task, settings=settings, predictions_path=predictions_path)
    prompts: dict[str, dict[str, str]] = {}
    for example in task.examples:
        prompts.setdefault(example.condition, {}).setdefault(example.language, example.prompt)
    return Results(
        task=task.name,
        metric=task.metric,
        model=model.config.name_or_path,
        num_images=len({example.image_id for example in task.examples}),
        scores=score_predictions(predictions),
        prompts=prompts,
        generation=settings.generation.with_default_length(task.max_new_tokens),
        seconds=time.monotonic() - start,
        versions=package_versions(),
        hardware=describe_hardware(model.device),
        precision=describe_precision(model),
        predictions=tuple(predictions),
    )


def evaluate_scenes(
    model: Model,
    processor: Processor,
    *,
    languages: Sequence[str] = SCENE_LANGUAGES,
    num_images: int = 200,
    seed: int = 0,
    conditions: Sequence[SceneCondition] = ("as_is", "shuffled"),
    wording: WordingChoice = "first",
    settings: RunSettings = DEFAULT_SETTINGS,
    predictions_path: Path | None = None,
) -> Results:
    """Caption (and ask about) pictures of the drawn world; see `scenes_task`."""
    task = scenes_task(languages=languages, num_images=num_images, seed=seed, conditions=conditions, wording=wording)
    return evaluate_task(model, processor, task, settings=settings, predictions_path=predictions_path)
