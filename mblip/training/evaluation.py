"""Step 6 of train.py: evaluate the finished model on the recipe's tasks, and write answers, scores and a table.

With `compare_with_components`, we also evaluate a composition before training, and its BLIP-2 in English. BLIP-2 can
do in English what the trained model should do in every language.
"""

import dataclasses
from collections.abc import Sequence

import torch
from torch import nn

from mblip.data.features import FeatureSet
from mblip.data.languages import ENGLISH
from mblip.data.recipes.strict_loading import to_plain
from mblip.evaluation import (
    EvaluationTask,
    Results,
    alignment_table,
    conditions_table,
    evaluate_task,
    predictions_path,
    write_results,
)
from mblip.evaluation.in_training import GenerationEvaluation
from mblip.evaluation.runner import forget_partial
from mblip.evaluation.task import AS_IS
from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor

from .recipe import ModelRecipe, Recipe
from .run_folder import Run
from .starting_model import Model, build_model

BEFORE, ENGLISH_BLIP2 = "before", "english_parent"


def build_tasks(recipe: Recipe) -> list[EvaluationTask]:
    """The tasks of `evaluation`, with their files read; empty if the recipe has no evaluation.

    A run is bound to its recipe, so a mistake found at the end could not be corrected any more.

    Raises:
        ValueError: files of a benchmark are missing, or `compare_with_components` names no task.
    """
    if recipe.evaluation is None:
        return []
    tasks = recipe.evaluation.build_tasks()
    names = [task.name for task in tasks]
    if recipe.compare_with_components not in (None, *names):
        raise ValueError(
            f"`compare_with_components` is {recipe.compare_with_components!r}, expected one of the tasks in "
            f"`evaluation`: {', '.join(names)}."
        )
    return tasks


def generation_evaluations(
    run: Run, processor: MBlipProcessor, tasks: Sequence[EvaluationTask], features: FeatureSet | None
) -> list[GenerationEvaluation | None]:
    """The evaluation during the training of each stage; None for a stage without evaluation."""
    if run.recipe.evaluation is None:
        return [None for _ in run.stages]
    settings = run.recipe.evaluation.settings
    return [
        None
        if stage.training.get("eval_steps") is None
        else GenerationEvaluation(
            processor, tasks, num_images=stage.training["eval_images"], settings=settings, features=features
        )
        for stage in run.stages
    ]


def evaluate(
    model: MBlipForConditionalGeneration,
    processor: MBlipProcessor,
    run: Run,
    built: Sequence[EvaluationTask],
    features: FeatureSet | None,
) -> str:
    """Evaluate the model, and write `results.json`, `table.md` and the answers into the run's folder.

    Args:
        features: of all images; None: the model encodes them. The components that it is compared with always do.

    Returns:
        The table as Markdown; empty if the recipe has no evaluation.
    """
    if not built:
        return ""
    tasks = {task.name: task for task in built}
    results = {name: _evaluate(model, processor, task, name, run, features) for name, task in tasks.items()}
    tables = {name: conditions_table(result) for name, result in results.items()}
    if (name := run.recipe.compare_with_components) is not None:
        compared = _evaluate_components(tasks[name], run)
        tables[name] = alignment_table(
            results[name], before=compared[BEFORE], english_blip2=compared.get(ENGLISH_BLIP2)
        )
        results |= {f"{name}_{parent}": result for parent, result in compared.items()}
    table = "\n".join(tables.values())
    write_results(run.folder, results, table)
    for name in results:
        forget_partial(predictions_path(run.folder, name))
    return table


def _evaluate_components(task: EvaluationTask, run: Run) -> dict[str, Results]:
    """Evaluate the composition before training and, if the task has English examples, BLIP-2 in English."""
    as_is = [example for example in task.examples if example.condition == AS_IS]
    before = build_model(run.recipe.model, run.recipe.seed)
    asked = dataclasses.replace(task, examples=as_is)
    results = {BEFORE: _evaluate(*before, asked, f"{task.name}_{BEFORE}", run)}
    if in_english := [example for example in as_is if example.language == ENGLISH]:
        parent = ModelRecipe(name_or_path=run.recipe.model.blip2, dtype=run.recipe.model.dtype)
        asked = dataclasses.replace(task, examples=in_english)
        results[ENGLISH_BLIP2] = _evaluate(*build_model(parent, seed=0), asked, f"{task.name}_{ENGLISH_BLIP2}", run)
    return results


def _evaluate(
    model: Model,
    processor: MBlipProcessor,
    task: EvaluationTask,
    name: str,
    run: Run,
    features: FeatureSet | None = None,
) -> Results:
    assert run.recipe.evaluation is not None
    if torch.cuda.is_available():
        nn.Module.cuda(model)
    return evaluate_task(
        model,  # type: ignore[arg-type]  # its `generate` is typed as transformers has it, with all its outputs
        processor,
        task,
        settings=run.recipe.evaluation.settings,
        predictions_path=predictions_path(run.folder, name),
        recipe=to_plain(run.recipe),
        keeps_partial=True,
        features=features,
    )
