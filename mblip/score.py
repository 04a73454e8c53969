"""Score the predictions of any system under a task's metric: the same files as `mblip eval`, also for `mblip compare`.

    mblip score TASK PREDICTIONS ... --system NAME [--task.KEY VALUE ...]
    mblip score RECIPE PREDICTIONS ... --system NAME [--task TASK]               one of the recipe's tasks
    mblip score xm3600 "results_{language}.json" --system PaLI --task.captions captions.jsonl
    mblip score pope "answers_{condition}.json" --system LLaVA --task.questions "coco_pope_{split}.json"
    mblip score chair caption=captions.jsonl --system LLaVA --task.objects ...   one condition (or language) alone

PREDICTIONS are files of `mblip eval`, lmms-eval or VLMEvalKit, COCO's or VQA's results, or JSON lines or CSV
of your own (mblip/evaluation/other_systems.py tells their fields). Images need not be there. Other options are
those of `mblip eval`, such as --output_dir, --languages and --protocol. Results of the same system in the folder are
kept, so that each of its benchmarks can be scored into it.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import get_args, get_type_hints

from mblip.data.recipes.strict_loading import to_plain
from mblip.data.sources.image_names import Images
from mblip.eval import write
from mblip.evaluation import predictions_path, read_results
from mblip.evaluation.command_line import RECIPE_SUFFIXES, parse_command_line
from mblip.evaluation.environment import ModelFacts
from mblip.evaluation.evaluate import results_of
from mblip.evaluation.other_systems import MissingAnswers, match_answers, predictions_files
from mblip.evaluation.predictions import predict, write_predictions
from mblip.evaluation.processes import alone_in
from mblip.evaluation.recipe import EvaluationRecipe, EvaluationRun
from mblip.evaluation.reports.files import RESULTS_FILE
from mblip.evaluation.results import Results
from mblip.evaluation.task import EvaluationTask
from mblip.recipes import recipe_names

NOT_KNOWN = "not known"
OF_A_MODEL = ("--model", "--dtype", "--load_in", "--batch_size", "--image_batch_size")


def main(arguments: list[str]) -> None:
    """The command: read the task and the predictions, score, and write the files of an evaluation."""
    parser = argparse.ArgumentParser(
        prog="mblip score",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s TASK_OR_RECIPE PREDICTIONS ... --system NAME [--task.KEY VALUE ...] [options]",
        allow_abbrev=False,
    )
    parser.add_argument("--system", required=True, help="the system that answered, for reports")
    parser.add_argument("--task", help="with a recipe of several tasks: the one to score")
    parser.add_argument("--missing", choices=get_args(MissingAnswers), default="error", help="default error")
    parser.add_argument("--answer_field", help="the field of the answers, if it is not one that we know")
    names = list(takewhile(lambda word: not word.startswith("--"), arguments))
    given, others = parser.parse_known_args(arguments[len(names) :])
    if len(names) < 2:
        parser.error("expected a task or a recipe, then files of predictions")
    if wrong := [word for word in others if word.partition("=")[0] in OF_A_MODEL]:
        parser.error(f"{wrong[0]} is for a model that answers here, not for predictions that are there")
    run = _read_run(names[0], given.system, given.task, others)
    with alone_in(run.output_dir):
        earlier = read_results(run.output_dir) if Path(run.output_dir, RESULTS_FILE).is_file() else {}
        if strangers := [found.model.name for found in earlier.values() if found.system != given.system]:
            raise ValueError(
                f"{run.output_dir} has results of {strangers[0]}, expected those of {given.system} alone. Choose "
                "another --output_dir."
            )
        (task,) = _without_images(run).build_tasks()
        result = score_files(
            task, names[1:], system=given.system, missing=given.missing, answer_field=given.answer_field
        )
        write_predictions(predictions_path(run.output_dir, task.name), result.predictions)
        write(run.output_dir, earlier | {task.name: replace(result, recipe=to_plain(run))})


def score_files(
    task: EvaluationTask,
    names: Sequence[str],
    *,
    system: str,
    missing: MissingAnswers = "error",
    answer_field: str | None = None,
) -> Results:
    """Score the predictions of a system in files that are named as on the command line. Arguments and errors are those
    of `match_answers`."""
    began = time.monotonic()
    files = predictions_files(names, task)
    task, outputs = match_answers(task, files, missing=missing, answer_field=answer_field)
    task = replace(task, changes=(*task.changes, f"prompts and decoding {NOT_KNOWN}"))
    answers = zip(task.examples, outputs, strict=True)
    result = results_of(
        task,
        [predict(task.name, task.protocol, *answer) for answer in answers],
        model=ModelFacts(system, None, None, None, precision=NOT_KNOWN),
        generation=task.generation,
        hardware=NOT_KNOWN,
        began=began,
    )
    return replace(result, system=system, prompts={}, generation=None, answering=NOT_KNOWN)


def _read_run(source: str, system: str, task: str | None, options: Sequence[str]) -> EvaluationRun:
    """What `mblip eval` would run, with the system in the model's place: one task, whose images need not be there."""
    folder = f"outputs/evaluation/{system.strip('/').replace('/', '--')}"
    is_recipe = source.endswith(RECIPE_SUFFIXES) or source in recipe_names()
    named = [source, "--model", system] if is_recipe else [system, "--task", source]
    run = parse_command_line([*named, "--output_dir", folder, *options, "--missing_images", "unchecked"])
    chosen = [recipe for recipe in run.evaluation.tasks if task in (None, recipe.name)]
    if len(chosen) != 1:
        found = ", ".join(recipe.name for recipe in run.evaluation.tasks)
        raise ValueError(f"Found the tasks {found} and --task {task}, expected one task. Choose it with --task.")
    return replace(run, evaluation=replace(run.evaluation, tasks=tuple(chosen)))


def _without_images(run: EvaluationRun) -> EvaluationRecipe:
    """The evaluation, with a folder of images that need not be there where the recipe names none."""
    (task,) = run.evaluation.tasks
    hints = {} if "dataset" in task.arguments else get_type_hints(task.function, include_extras=True)
    unread = {name: "images" for name, hint in hints.items() if hint == Images | None}
    return replace(run.evaluation, tasks=(replace(task, arguments=unread | dict(task.arguments)),))
