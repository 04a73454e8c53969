"""The command line of `mblip eval`: either a recipe, or a model and one task with its arguments."""

import argparse
import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mblip.data.recipes.ranges import count
from mblip.data.recipes.strict_loading import SCALARS
from mblip.data.recipes.yaml_values import Located, parse_scalar, read_yaml, replace_field
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
    to_evaluation_run,
)
from .runner import RunSettings

RECIPE_SUFFIXES = (".yaml", ".yml")
TASK_PREFIX = "--task."
FIELD_PREFIX = "--evaluation"  # the fields of a recipe, by their path
HOW_TO_SET = f"write a task's arguments as {TASK_PREFIX}KEY VALUE, and a recipe's as {FIELD_PREFIX}.TASK.KEY VALUE"
SETUP_OPTIONS = ("protocol", "language_names", "missing_images", "templates")
SETTINGS_OPTIONS = ("batch_size", "image_batch_size")
TRIAL_OPTIONS = ("languages", "num_images")
RUN_OPTIONS = ("dtype", "load_in", "features")


def parse_command_line(arguments: Sequence[str]) -> EvaluationRun:
    """Read the command line.

    Raises:
        ValueError: the recipe, one of its fields, the task or one of its arguments is wrong.
        SystemExit: the command line is malformed or asks for help.
    """
    parser = _parser()
    plain, fields = _split(arguments, parser)
    known, unknown = parser.parse_known_args(plain)
    given = {name: value for name, value in vars(known).items() if value is not None}
    if given.pop("help", False):
        print(task_help(known.task) if known.task else parser.format_help())
        raise SystemExit(0)
    if unknown:
        parser.error(f"{unknown[0]} is unknown; {HOW_TO_SET}")
    if known.model_or_recipe is None:
        parser.error("expected a model or a recipe")
    source = given.pop("model_or_recipe")
    setup = {name: given.pop(name) for name in SETUP_OPTIONS if name in given}
    settings = {name: given.pop(name) for name in SETTINGS_OPTIONS if name in given}
    trial = {name: given.pop(name) for name in TRIAL_OPTIONS if name in given}
    path, has_folder = _find_recipe(source, given), "output_dir" in given
    if path is None:
        one = _one_task(source, given, Setup(**setup), RunSettings(**settings), fields)
        return _with_trial(one, trial, has_folder)
    if "task" in given or any(option.startswith(TASK_PREFIX) for option, _ in fields):
        raise ValueError(
            f"Found --task with the recipe {source}, which lists its own tasks. Change one with "
            f"{FIELD_PREFIX}.TASK.KEY VALUE."
        )
    found = read_yaml(path)
    short = {f"{FIELD_PREFIX}.setup.{name}": name for name in setup}
    short |= {f"{FIELD_PREFIX}.settings.{name}": name for name in settings}
    for option, text in fields:
        name = short.get(option, "")
        if name and parse_scalar(text, option).value != (setup | settings)[name]:
            raise ValueError(
                f"Found {option} {text} as well as --{name} {(setup | settings)[name]}. Give one of them."
            )
        found = replace_field(found, option.removeprefix("--"), parse_scalar(text, option, found.folder))
    run = replace(to_evaluation_run(found), **given)
    evaluation = run.evaluation
    evaluation = replace(
        evaluation, setup=replace(evaluation.setup, **setup), settings=replace(evaluation.settings, **settings)
    )
    return _with_trial(replace(run, evaluation=evaluation), trial, has_folder)


def _with_trial(run: EvaluationRun, trial: Mapping[str, Any], has_folder: bool) -> EvaluationRun:
    """The run with the trial of the command line. It goes to a folder of its own, lest it replace whole results."""
    if not trial:
        return run
    folder = run.output_dir if has_folder else run.output_dir.with_name(f"{run.output_dir.name}_trial")
    evaluation = replace(run.evaluation, trial=replace(run.evaluation.trial, **trial))
    return replace(run, evaluation=evaluation, output_dir=folder)


def task_help(name: str) -> str:
    """A task's description and arguments."""
    function = find_task(name, Path.cwd())
    types = get_type_hints(function)
    lines = [f"{name}: {inspect.getdoc(function) or 'no description'}", "", "arguments:"]
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            is_needed = parameter.default is parameter.empty
            kind = _type_in_words(types.get(parameter.name, parameter.annotation))
            default = "required" if is_needed else _default_in_words(parameter.default)
            lines.append(f"  {TASK_PREFIX}{parameter.name} ({kind}): {default}")
    return "\n".join([*lines, "", "`mblip eval --help` lists the other options."])


def _type_in_words(kind: Any) -> str:
    """What to write on the command line for a type."""
    arguments = [argument for argument in get_args(kind) if argument not in (type(None), Ellipsis)]
    if get_origin(kind) is Literal:
        return " | ".join(map(str, arguments))
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(_type_in_words, arguments))
    if get_origin(kind) in (tuple, frozenset, list):
        return f"list of {', '.join(map(_type_in_words, arguments))}"
    if is_dataclass(kind):
        return f"keys: {', '.join(field.name for field in dataclass_fields(kind))}"
    return SCALARS[kind].removeprefix("a ") if kind in SCALARS else inspect.formatannotation(kind)


def _default_in_words(value: Any) -> str:
    if value is None:
        return "optional"
    if isinstance(value, tuple | list | frozenset):
        return f"default [{', '.join(map(str, value))}]"
    return f"default {str(value).lower() if isinstance(value, bool) else value}"


def _find_recipe(name: str, given: Collection[str]) -> Path | None:
    """The recipe that the first argument names, or None if it names a model.

    Raises:
        ValueError: it is no recipe, but was probably meant as one. The message has the nearest short name.
    """
    if name.endswith(RECIPE_SUFFIXES):
        return find_recipe(name)
    if "/" in name or Path(name).is_dir():
        return None
    resembles_one = "task" not in given and get_close_matches(name, recipe_names(), n=1, cutoff=0.75)
    is_beside_model = "task" not in given and "model" in given
    return find_recipe(name) if name in recipe_names() or resembles_one or is_beside_model else None


def _one_task(
    model: str, given: dict[str, Any], setup: Setup, settings: RunSettings, fields: Sequence[tuple[str, str]]
) -> EvaluationRun:
    if "model" in given:
        raise ValueError(f"Found --model as well as the model {model}. Give one of them.")
    if "task" not in given:
        raise ValueError(f"Found no --task with the model {model}, expected one of {TASKS}.")
    found = Located({}, "--task", Path.cwd())
    for option, text in fields:
        if not option.startswith(TASK_PREFIX):
            raise ValueError(f"Found {option} with the model {model}, expected it with a recipe; {HOW_TO_SET}.")
        value = parse_scalar(text, option, found.folder)
        found = replace(replace_field(found, option.removeprefix(TASK_PREFIX), value), location="--task")
    task = replace(convert_task(given.pop("task"), found, "task"), location="")  # there is no other task to tell from
    output_dir = given.pop("output_dir", Path("outputs", "evaluation", model.strip("/").replace("/", "--")))
    return EvaluationRun(model, output_dir, EvaluationRecipe((task,), setup, settings), **given)


def _split(arguments: Sequence[str], parser: argparse.ArgumentParser) -> tuple[list[str], list[tuple[str, str]]]:
    """The arguments that the parser knows, and `--task.KEY VALUE`, `--evaluation.KEY VALUE` as pairs. `=` may stand
    between an option and its value."""
    plain: list[str] = []
    fields: list[tuple[str, str]] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        option, separator, text = word.partition("=")
        if not option.startswith((TASK_PREFIX, f"{FIELD_PREFIX}.")) and option != FIELD_PREFIX:
            plain.append(word)
        elif separator:
            fields.append((option, text))
        elif not words or words[0].startswith("--"):
            parser.error(f"{option} has no value; {HOW_TO_SET}")
        else:
            fields.append((option, words.pop(0)))
    return plain, fields


def _codes(text: str) -> tuple[str, ...]:
    return tuple(code.strip() for code in text.split(","))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mblip eval",
        usage="%(prog)s RECIPE [--evaluation.KEY VALUE ...] [options]\n"
        "       %(prog)s MODEL --task NAME [--task.KEY VALUE ...] [options]",
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
    parser.add_argument(
        "--load_in",
        choices=("none", *get_args(LoadIn)),
        help="the language model's weights; default: the protocol's (paper: 8bit)",
    )
    parser.add_argument("--features", type=Path, help="the folder of `mblip encode` with the images' features")
    parser.add_argument("--protocol", choices=get_args(ProtocolName), help="whose evaluation to follow")
    parser.add_argument("--language_names", choices=get_args(LanguageNames), help="names of languages in prompts")
    parser.add_argument("--missing_images", choices=get_args(MissingImages), help="what to do about missing images")
    parser.add_argument("--templates", action="store_true", default=None, help="ask with every prompt template")
    parser.add_argument("--languages", type=_codes, help="a trial in these languages alone, such as en,sw")
    parser.add_argument("--num_images", type=count, help="a trial of so many images per language")
    parser.add_argument("--batch_size", type=count, help="prompts per batch")
    parser.add_argument("--image_batch_size", type=count, help="images per batch of the ViT")
    parser.add_argument(
        "-h", "--help", action="store_true", default=None, help="show this help; with --task, that of the task"
    )
    return parser
