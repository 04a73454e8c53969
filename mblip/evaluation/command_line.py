"""The command line of eval.py: a recipe, or a model with the few options that most evaluations need."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from mblip.recipes import find_recipe, recipe_names

from .languages import LanguageNames
from .protocol import MissingImages, ProtocolName
from .recipe import DtypeName, EvaluationRecipe, EvaluationRun, LoadIn
from .tasks.babel_imagenet import BabelImageNetRecipe
from .tasks.scenes import ScenesRecipe

RECIPE_SUFFIXES = (".yaml", ".yml")
PRECISION_OPTIONS = ("dtype", "load_in")
SETUP_OPTIONS = ("protocol", "language_names", "missing_images")
TASK_OPTIONS = {
    "scenes": ("languages", "num_images", "seed", "conditions", "wording"),
    "babel_imagenet": ("photos", "labels", "languages", "splits", "wording"),
}


def parse_command_line(arguments: Sequence[str], read_recipe: Callable[[Path], EvaluationRun]) -> EvaluationRun:
    """The evaluation that a command line asks for.

    Args:
        read_recipe: reads a YAML file.

    Raises:
        ValueError: an option does not belong to the task, or has a wrong value.
        SystemExit: the command line is malformed, or asks for help.
    """
    given = {name: value for name, value in vars(_parser().parse_args(arguments)).items() if value is not None}
    source = given.pop("model_or_recipe")
    output_dir = given.pop("output_dir", None)
    precision = {name: given.pop(name) for name in PRECISION_OPTIONS if name in given}
    setup = {name: given.pop(name) for name in SETUP_OPTIONS if name in given}
    if source in recipe_names() and not Path(source).exists():
        source = str(find_recipe(source))
    if source.endswith(RECIPE_SUFFIXES):
        run = _from_recipe(read_recipe(Path(source)), output_dir, given)
        evaluation = replace(run.evaluation, setup=replace(run.evaluation.setup, **setup))
        return replace(run, evaluation=evaluation, **precision)
    if setup:
        raise ValueError(f"Found {_options(list(setup))} without a recipe, whose benchmarks they concern. Give one.")
    if output_dir is None:
        output_dir = Path("outputs", "evaluation", source.strip("/").replace("/", "--"))
    return EvaluationRun(source, output_dir, _one_task(given.pop("task", "scenes"), given), **precision)


def _from_recipe(run: EvaluationRun, output_dir: Path | None, given: dict[str, Any]) -> EvaluationRun:
    run = replace(run, model=given.pop("model", run.model), output_dir=output_dir or run.output_dir)
    if given:
        raise ValueError(
            f"Found {_options(given)} beside a recipe, which takes --model, --output_dir, "
            f"{_options((*PRECISION_OPTIONS, *SETUP_OPTIONS))} only. Write the rest into the recipe."
        )
    return run


def _one_task(task: str, given: dict[str, Any]) -> EvaluationRecipe:
    if foreign := [name for name in given if name not in TASK_OPTIONS[task]]:
        known = _options(TASK_OPTIONS[task])
        raise ValueError(f"Found {_options(foreign)} with the task {task}, which takes {known}.")
    if task == "scenes":
        return EvaluationRecipe(scenes=ScenesRecipe(**given))
    if missing := [name for name in ("photos", "labels") if name not in given]:
        raise ValueError(f"The task {task} lacks {_options(missing)}. Add it.")
    return EvaluationRecipe(babel_imagenet=BabelImageNetRecipe(**given))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mblip eval", description="Evaluate a model on a task, or on all tasks of a recipe.", allow_abbrev=False
    )
    parser.add_argument("model_or_recipe", help="a model folder, a model's name on the Hub, or a recipe")
    parser.add_argument("--model", help="with a recipe: this model instead of the recipe's")
    parser.add_argument("--output_dir", type=Path, help="where answers, results.json and table.md go")
    parser.add_argument("--dtype", choices=get_args(DtypeName), help="of ViT and language model; auto if left out")
    parser.add_argument("--load_in", choices=get_args(LoadIn), help="quantise the language model (4bit: nf4)")
    parser.add_argument("--protocol", choices=get_args(ProtocolName), help="with a recipe: how benchmarks are asked")
    parser.add_argument("--language_names", choices=get_args(LanguageNames), help="with a recipe: in prompts")
    parser.add_argument("--missing_images", choices=get_args(MissingImages), help="with a recipe")
    parser.add_argument("--task", choices=TASK_OPTIONS, help="with a model: the task, scenes if left out")
    parser.add_argument("--languages", type=_list, help="codes with commas between, such as sw,hi")
    parser.add_argument("--wording", choices=("first", "held_out"), help="the wording of the prompts")
    parser.add_argument("--num_images", type=int, help="scenes: how many pictures")
    parser.add_argument("--seed", type=int, help="scenes: which pictures")
    parser.add_argument("--conditions", type=_list, help="scenes: of as_is,shuffled,seen,questions")
    parser.add_argument("--photos", type=Path, help="babel_imagenet: the folder of photos")
    parser.add_argument("--labels", type=Path, help="babel_imagenet: the label file")
    parser.add_argument("--splits", type=_list, help="babel_imagenet: of train,held_out")
    return parser


def _list(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _options(names: Sequence[str] | dict[str, Any]) -> str:
    return ", ".join(f"--{name}" for name in names)
