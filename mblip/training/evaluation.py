"""Step 6 of train.py: the finished model on the recipe's evaluation tasks; answers, figures and a table beside it.

In the drawn world a composition is also compared with the same model before training, and with its English parent, for
there the parent can do what the model is to do in every language.
"""

import dataclasses

import torch
from torch import nn

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
from mblip.evaluation.runner import forget_unfinished
from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor

from .recipe import ModelRecipe, Recipe
from .run_folder import Run
from .starting_model import Model, build_model

BEFORE, ENGLISH_PARENT = "before", "english_parent"


def generation_evaluation(recipe: Recipe, processor: MBlipProcessor) -> GenerationEvaluation | None:
    """What is asked while a recipe trains; None where it asks nothing.

    Raises:
        ValueError: files of a benchmark lack, also of one that is asked at the end alone: found then, the recipe could
            not be mended, for what is trained is bound to it.
    """
    if recipe.evaluation is None:
        return None
    tasks = recipe.evaluation.build_tasks()
    if recipe.training.eval_steps is None:
        return None
    return GenerationEvaluation(
        processor,
        tasks,
        num_images=recipe.training.eval_images,
        settings=recipe.evaluation.settings,
    )


def evaluate(model: MBlipForConditionalGeneration, processor: MBlipProcessor, run: Run) -> str:
    """Evaluate, and write `results.json`, `table.md` and the answers into the run's folder.

    Returns:
        The table as Markdown; empty where the recipe has no evaluation.
    """
    if run.recipe.evaluation is None:
        return ""
    results = {
        task.name: _evaluate(model, processor, task, task.name, run) for task in run.recipe.evaluation.build_tasks()
    }
    tables = {name: conditions_table(result) for name, result in results.items()}
    if "scenes" in results and run.recipe.model.name_or_path is None:
        compared = _evaluate_parents(run)
        tables["scenes"] = alignment_table(
            results["scenes"], before=compared[BEFORE], english_parent=compared[ENGLISH_PARENT]
        )
        results |= {f"scenes_{name}": result for name, result in compared.items()}
    table = "\n".join(tables.values())
    write_results(run.folder, results, table)
    for name in results:
        forget_unfinished(predictions_path(run.folder, name))
    return table


def _evaluate_parents(run: Run) -> dict[str, Results]:
    """The composition before training, and the English parent in English, on the same pictures."""
    assert run.recipe.evaluation is not None
    assert run.recipe.evaluation.scenes is not None
    scenes = dataclasses.replace(run.recipe.evaluation.scenes, conditions=("as_is",))
    setup = run.recipe.evaluation.setup
    before = build_model(run.recipe.model, run.recipe.seed)
    english_parent = build_model(
        ModelRecipe(name_or_path=run.recipe.model.blip2, dtype=run.recipe.model.dtype), seed=0
    )
    in_english = dataclasses.replace(scenes, languages=("en",)).build(setup)
    return {
        BEFORE: _evaluate(*before, scenes.build(setup), f"scenes_{BEFORE}", run),
        ENGLISH_PARENT: _evaluate(*english_parent, in_english, f"scenes_{ENGLISH_PARENT}", run),
    }


def _evaluate(model: Model, processor: MBlipProcessor, task: EvaluationTask, name: str, run: Run) -> Results:
    assert run.recipe.evaluation is not None
    if torch.cuda.is_available():
        nn.Module.cuda(model)
    return evaluate_task(
        model,  # type: ignore[arg-type]  # its `generate` is typed as transformers has it, with all its outputs
        processor,
        task,
        settings=run.recipe.evaluation.settings,
        predictions_path=predictions_path(run.folder, name),
        keeps_unfinished=True,
    )
