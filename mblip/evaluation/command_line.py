"""The command line of `mblip eval`: either a recipe, or a model and one task with its arguments."""

import argparse
import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from mblip.data.recipes.yaml_values import Located, parse_scalar
from mblip.recipes import find_recipe, recipe_names

from .languages import LanguageNames
from .protocol import MissingImages, ProtocolName, Setup
from .recipe import (
    TASKS,
    DtypeName,
    EvaluationRecipe,
    EvaluationRun,
    LoadIn,
    convert_task,
    find_task,
    read_evaluation_run,
)
from .runner import RunSettings

RECIPE_SUFFIXES = (".yaml", ".yml")
TASK_PREFIX = "--task."
SETUP_OPTIONS = ("protocol", "language_names", "missing_images", "templates")
SETTINGS_OPTIONS = ("batch_size", "image_batch_size")
RUN_OPTIONS = ("dtype", "load_in")


def parse_command_line(arguments: Sequence[str]) -> EvaluationRun:
    """Read the command line.

    Raises:
        ValueError: the recipe, the task or one of its arguments is wrong.
        SystemExit: the command line is malformed or asks for help.
    """
    parser = _parser()
    known, rest = parser.parse_known_args(arguments)
    given = {name: value for name, value in vars(known).items() if value is not None}
    if given.pop("help", False):
        print(f"{parser.format_help()}\n{task_help(known.task)}" if known.task else parser.format_help())
        raise SystemExit(0)
    if known.model_or_recipe is None:
        parser.error("expected a model or a recipe")
    source, task_arguments = given.pop("model_or_recipe"), _task_arguments(rest, parser)
    setup = {name: given.pop(name) for name in SETUP_OPTIONS if name in given}
    settings = {name: given.pop(name) for name in SETTINGS_OPTIONS if name in given}
    if source in recipe_names() and not Path(source).exists():
        source = str(find_recipe(source))
    if not source.endswith(RECIPE_SUFFIXES):
        return _one_task(source, given, Setup(**setup), RunSettings(**settings), task_arguments)
    if "task" in given or task_arguments:
        raise ValueError(f"Found --task with the recipe {source}, which lists its own tasks. Add it to the recipe.")
    run = replace(read_evaluation_run(Path(source)), **given)
    evaluation = run.evaluation
    return replace(
        run,
        evaluation=replace(
            evaluation, setup=replace(evaluation.setup, **setup), settings=replace(evaluation.settings, **settings)
        ),
    )


def task_help(name: str) -> str:
    """A task's description and arguments."""
    function = find_task(name, Path.cwd())
    lines = [f"{name}: {inspect.getdoc(function) or 'no description'}", "", "arguments:"]
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            is_needed = parameter.default is parameter.empty
            kind = inspect.formatannotation(parameter.annotation)
            default = "required" if is_needed else f"default {parameter.default!r}"
            lines.append(f"  {TASK_PREFIX}{parameter.name} ({kind}): {default}")
    return "\n".join(lines)


def _one_task(
    model: str, given: dict[str, Any], setup: Setup, settings: RunSettings, arguments: dict[str, Located]
) -> EvaluationRun:
    if "model" in given:
        raise ValueError(f"Found --model as well as the model {model}. Give one of them.")
    if "task" not in given:
        raise ValueError(f"Found no --task with the model {model}, expected one of {TASKS}.")
    task = convert_task(given.pop("task"), Located(arguments, "--task", Path.cwd()), "task")
    output_dir = given.pop("output_dir", Path("outputs", "evaluation", model.strip("/").replace("/", "--")))
    return EvaluationRun(model, output_dir, EvaluationRecipe((task,), setup, settings), **given)


def _task_arguments(rest: Sequence[str], parser: argparse.ArgumentParser) -> dict[str, Located]:
    """Read `--task.KEY VALUE` or `--task.KEY=VALUE`, with YAML values. `--task.dataset.path X` sets a nested key."""
    found: dict[str, Located] = {}
    words = list(rest)
    while words:
        option, separator, text = words.pop(0).partition("=")
        if not option.startswith(TASK_PREFIX) or not (separator or words):
            parser.error(f"{option} is unknown or has no value; write a task's arguments as {TASK_PREFIX}KEY VALUE")
        value = parse_scalar(text if separator else words.pop(0), option, Path.cwd())
        *outer, last = option.removeprefix(TASK_PREFIX).split(".")
        fields = found
        for key in outer:
            fields = fields.setdefault(key, Located({}, option, Path.cwd())).value
        fields[last] = value
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mblip eval",
        usage="%(prog)s RECIPE [options] | %(prog)s MODEL --task NAME [--task.KEY VALUE ...] [options]",
        description="Evaluate a model on a task, or on all tasks of a recipe.",
        epilog=f"tasks: {TASKS}, in the working directory. `--task NAME --help` lists a task's arguments.",
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("model_or_recipe", nargs="?", help="a model folder, a model's name on the Hub, or a recipe")
    parser.add_argument("--task", help="with a model: the task; set its arguments with --task.KEY VALUE")
    parser.add_argument("--model", help="with a recipe: this model instead of the recipe's")
    parser.add_argument("--output_dir", type=Path, help="folder for answers, results.json and table.md")
    parser.add_argument("--dtype", choices=get_args(DtypeName), help="dtype of ViT and language model; default auto")
    parser.add_argument("--load_in", choices=get_args(LoadIn), help="quantise the language model (4bit is nf4)")
    parser.add_argument("--protocol", choices=get_args(ProtocolName), help="prompts and decoding")
    parser.add_argument("--language_names", choices=get_args(LanguageNames), help="names of languages in prompts")
    parser.add_argument("--missing_images", choices=get_args(MissingImages), help="what to do about missing images")
    parser.add_argument("--templates", action="store_true", default=None, help="ask with every prompt template")
    parser.add_argument("--batch_size", type=int, help="prompts per batch")
    parser.add_argument("--image_batch_size", type=int, help="images per batch of the ViT")
    parser.add_argument(
        "-h", "--help", action="store_true", default=None, help="show this help; with --task, also its arguments"
    )
    return parser
