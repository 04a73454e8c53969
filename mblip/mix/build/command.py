"""Build a training mix from a recipe.

    mblip build mix_corrected --output mix --workers 16
    mblip build mix_corrected --output mix --tables_only   # only show what it will hold
    mblip build mix_corrected --output mix --push me/my-mix

If it is killed or fails, run the same command again: it continues where it stopped. Another recipe needs another
folder. `--executor slurm` or `ray` shares the tasks among machines that see the output folder.
"""

import argparse
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from mblip.atomic_write import locked, write_text
from mblip.data.recipes.ranges import count
from mblip.data.recipes.yaml_values import read_yaml, to_plain_values
from mblip.recipes import find_recipe

from .finishing import finish, plan, push
from .folder import BuildFolder
from .images import fetch_for_shard
from .reading import read_source
from .recipe import read_mix_recipe
from .shards import build_shard

Kind = Literal["processes", "local", "slurm", "ray"]

LOCK_FILE = "building.lock"
INSTALL = "datatrove is not installed: `pip install mblip[scale]`, or build with `--executor processes`."


@dataclass(frozen=True)
class _Tasks:
    """A step of a build: a function that does one task by number, and the number of tasks.

    A task checks whether its result exists, so whoever runs the tasks need not remember which are done.
    """

    name: str
    run: Callable[[int], None]
    num_tasks: int

    def __call__(self, data: Any, rank: int, world_size: int) -> None:
        """Run a task as datatrove runs the steps of a pipeline."""
        self.run(rank)


def main(arguments: Sequence[str]) -> None:
    """The command."""
    given = _parser().parse_args(arguments)
    if given.workers < 1:
        raise ValueError(f"--workers is {given.workers}, expected at least 1.")
    path, folder = find_recipe(given.recipe), BuildFolder(given.output.absolute())
    recipe = read_mix_recipe(path)
    # the steps, each a list of tasks
    reading = _Tasks("reading", partial(read_source, recipe, folder), len(recipe.sources))
    num_at_once = min(given.workers, recipe.num_shards)
    rest = [
        _Tasks("fetching", partial(fetch_for_shard, recipe, folder, num_at_once), recipe.num_shards),
        _Tasks("shards", partial(build_shard, recipe, folder), recipe.num_shards),
        _Tasks("finishing", partial(finish, recipe, folder), 1),
    ]
    # run them on other machines, or here with the plan in between
    if given.executor in ("slurm", "ray"):
        _keep_recipe(path, folder)
        _run_elsewhere(given, [reading] if given.tables_only else [reading, *rest], folder)
        return
    with locked(folder.work, LOCK_FILE, "building"):
        _keep_recipe(path, folder)
        _run_here(given, [reading], folder)
        print(plan(recipe, folder))
        if given.tables_only:
            return
        _run_here(given, rest, folder)
    print(f"The mix is in {folder.root}: `load_dataset({str(given.output)!r})`.")
    if given.push is not None:
        print(push(folder, given.push, is_private=given.private))


def _run_here(given: argparse.Namespace, steps: Sequence[_Tasks], folder: BuildFolder) -> None:
    if given.executor == "local":
        _run_by_datatrove(steps, "local", num_workers=given.workers, logs=folder.logs, options={})
        return
    for tasks in steps:
        _run_in_processes(tasks, given.workers)


def _run_elsewhere(given: argparse.Namespace, steps: Sequence[_Tasks], folder: BuildFolder) -> None:
    if given.push is not None:
        raise ValueError(
            f"The {given.executor} tasks end later. Remove --push, and run it again with --push when all are done."
        )
    options = {} if given.executor_options is None else to_plain_values(read_yaml(find_recipe(given.executor_options)))
    _run_by_datatrove(steps, given.executor, num_workers=given.workers, logs=folder.logs, options=options)


def _run_in_processes(tasks: _Tasks, num_workers: int) -> None:
    """Run the tasks of a step in this process, or in `num_workers` processes.

    Raises:
        The error of the first task that fails, after the others have finished.
    """
    if num_workers == 1:
        for number in range(tasks.num_tasks):
            tasks.run(number)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, mp_context=context) as pool:
        futures = [pool.submit(tasks.run, number) for number in range(tasks.num_tasks)]
        for future in as_completed(futures):
            future.result()


def _run_by_datatrove(
    steps: Sequence[_Tasks], kind: Kind, *, num_workers: int, logs: Path, options: Mapping[str, Any]
) -> None:
    """Hand the steps to executors of datatrove. Each step waits for the one before.

    Args:
        kind: "local": processes of this machine; "slurm": a job array per step, submitted without waiting; "ray": a
            Ray cluster.
        num_workers: the number of tasks at a time.
        logs: the folder for datatrove's logs.
        options: further arguments of the executor, such as `time` and `partition` for Slurm.
    Raises:
        ImportError: datatrove is not installed.
    """
    executor_class = _executor_class(kind)
    before = None
    for tasks in steps:
        arguments = {
            "pipeline": [tasks],
            "tasks": tasks.num_tasks,
            "workers": min(num_workers, tasks.num_tasks),
            "logging_dir": str(logs / tasks.name),
            "skip_completed": False,
            "depends": before,
        }
        if kind == "slurm":
            arguments["job_name"] = f"mix-{tasks.name}"
        before = executor_class(**arguments | dict(options))
    assert before is not None  # a build has steps
    before.run()


def _executor_class(kind: Kind) -> Any:
    try:
        from datatrove import executor
    except ImportError as error:
        raise ImportError(INSTALL) from error
    return {
        "local": executor.LocalPipelineExecutor,
        "slurm": executor.SlurmPipelineExecutor,
        "ray": executor.RayPipelineExecutor,
    }[kind]


def _keep_recipe(path: Path, folder: BuildFolder) -> None:
    """Write the recipe into the folder, or check that it is the folder's recipe.

    Raises:
        ValueError: the folder has another recipe.
    """
    text = path.read_text(encoding="utf-8")
    if folder.recipe.is_file() and folder.recipe.read_text(encoding="utf-8") != text:
        raise ValueError(
            f"{folder.root} was started with another recipe, {folder.recipe}. "
            "Give another --output, or delete the folder."
        )
    if not folder.recipe.is_file():
        write_text(folder.recipe, text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mblip build", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", help="a YAML file, or its short name; mblip/mix/build/recipe.py lists its fields")
    parser.add_argument("--output", type=Path, required=True, help="the folder of the dataset")
    parser.add_argument("--tables_only", action="store_true", help="read the sources, print the table, and stop")
    parser.add_argument("--workers", type=count, default=1, help="tasks at a time; default: %(default)s")
    parser.add_argument("--executor", choices=get_args(Kind), default="processes", help="default: %(default)s")
    parser.add_argument("--executor_options", metavar="RECIPE", help="arguments of datatrove's Slurm or Ray executor")
    parser.add_argument("--push", metavar="REPOSITORY", help="upload the finished dataset to the Hub")
    parser.add_argument("--private", action="store_true", help="with --push: a private repository")
    return parser
