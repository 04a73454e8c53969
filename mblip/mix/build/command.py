"""Build a training mix by a recipe.

    mblip build mix_corrected --output mix --workers 16
    mblip build mix_corrected --output mix --tables_only   # what it will hold, and no more
    mblip build mix_corrected --output mix --push me/my-mix

Killed, or ended by an error, it goes on where it was when the same line is run again. Another recipe wants another
folder. `--executor slurm` or `ray` shares the tasks among machines that see the output folder.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from mblip.data.locking import locked
from mblip.data.recipes.yaml_values import read_yaml, to_plain_values
from mblip.data.whole_files import write_text
from mblip.recipes import find_recipe

from .executors import Kind, Tasks, run_by_datatrove, run_in_processes
from .finishing import FinishingStep, planned_counts, planned_table, push, write_planned_chart
from .folder import BuildFolder
from .images import FetchingStep
from .reading import ReadingStep
from .recipe import MixRecipe, read_mix_recipe
from .shards import ShardStep

LOCK_FILE = "building.lock"


def main(arguments: Sequence[str]) -> None:
    """The command."""
    given = _parser().parse_args(arguments)
    if given.workers < 1:
        raise ValueError(f"--workers is {given.workers}, expected at least 1.")
    path, folder = find_recipe(given.recipe), BuildFolder(given.output.absolute())
    recipe = read_mix_recipe(path)
    _keep_recipe(path, folder)
    reading = Tasks("reading", ReadingStep(recipe, folder), len(recipe.sources))
    rest = [
        Tasks("fetching", FetchingStep(recipe, folder, min(given.workers, recipe.num_shards)), recipe.num_shards),
        Tasks("shards", ShardStep(recipe, folder), recipe.num_shards),
        Tasks("finishing", FinishingStep(recipe, folder), 1),
    ]
    if given.executor in ("slurm", "ray"):
        _run_elsewhere(given, [reading] if given.tables_only else [reading, *rest], folder)
        return
    with locked(folder.work, LOCK_FILE, "building"):
        _run_here(given, [reading], folder)
        print(_plan(recipe, folder))
        if given.tables_only:
            return
        _run_here(given, rest, folder)
    print(f"The mix is in {folder.root}: `load_dataset({str(given.output)!r})`.")
    if given.push is not None:
        print(push(folder, given.push, is_private=given.private))


def _run_here(given: argparse.Namespace, steps: Sequence[Tasks], folder: BuildFolder) -> None:
    if given.executor == "local":
        run_by_datatrove(steps, "local", num_workers=given.workers, logs=folder.logs, options={})
        return
    for tasks in steps:
        run_in_processes(tasks, given.workers)


def _run_elsewhere(given: argparse.Namespace, steps: Sequence[Tasks], folder: BuildFolder) -> None:
    if given.push is not None:
        raise ValueError(
            f"The {given.executor} tasks end later: leave out --push, and run it again when all are done."
        )
    options = {} if given.executor_options is None else to_plain_values(read_yaml(find_recipe(given.executor_options)))
    run_by_datatrove(steps, given.executor, num_workers=given.workers, logs=folder.logs, options=options)


def _keep_recipe(path: Path, folder: BuildFolder) -> None:
    """Write the recipe into the folder, or see that it is the one that the folder was begun with.

    Raises:
        ValueError: it is another.
    """
    text = path.read_text(encoding="utf-8")
    if folder.recipe.is_file() and folder.recipe.read_text(encoding="utf-8") != text:
        raise ValueError(
            f"{folder.root} was begun with another recipe, which lies in {folder.recipe}. Give another --output, or "
            "delete the folder."
        )
    if not folder.recipe.is_file():
        write_text(folder.recipe, text)


def _plan(recipe: MixRecipe, folder: BuildFolder) -> str:
    num_examples = sum(planned_counts(recipe, folder).values())
    return (
        f"{num_examples:,} examples by language and task, before translation:\n\n{planned_table(recipe, folder)}\n"
        f"As a chart: {write_planned_chart(recipe, folder)}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mblip build", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", help="a YAML file, or its short name; its fields stand in mblip/mix/build/recipe.py")
    parser.add_argument("--output", type=Path, required=True, help="the folder of the dataset")
    parser.add_argument("--tables_only", action="store_true", help="read the sources, print the table, and stop")
    parser.add_argument("--workers", type=int, default=1, help="tasks at a time; default: %(default)s")
    parser.add_argument("--executor", choices=get_args(Kind), default="processes", help="default: %(default)s")
    parser.add_argument("--executor_options", metavar="RECIPE", help="arguments of datatrove's Slurm or Ray executor")
    parser.add_argument("--push", metavar="REPOSITORY", help="put the finished dataset on the Hub")
    parser.add_argument("--private", action="store_true", help="with --push: a private repository")
    return parser
