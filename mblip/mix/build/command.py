"""Build a training mix from a recipe.

    mblip build mix_corrected --output mix --workers 16
    mblip build mix_corrected --output mix --tables_only   # only show what it will hold
    mblip build mix_corrected --output mix --push me/my-mix

If it is killed or fails, run the same command again: it continues where it stopped. Another recipe needs another
folder. `--executor slurm` or `ray` shares the tasks among machines that see the output folder. Slurm's jobs are
submitted, and the command ends, unless you give `--wait`.
"""

import argparse
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mblip.atomic_write import locked, write_text
from mblip.data.recipes.ranges import count
from mblip.data.recipes.yaml_values import read_yaml, to_plain_values
from mblip.recipes import find_recipe

from .cluster import Left, last_failure, run_on_ray, slurm_queue, submit_to_slurm, wait_for_slurm
from .finishing import CARD, finish, plan, push
from .folder import BuildFolder
from .images import fetch_for_shard
from .reading import read_source
from .recipe import MixRecipe, read_mix_recipe
from .shards import build_shard

EXECUTORS = ("processes", "slurm", "ray")
LOCK_FILE = "building.lock"


@dataclass(frozen=True)
class _Step:
    """A step of a build: a function that does one task by number, and the number of tasks."""

    name: str
    run: Callable[[int], None]
    num_tasks: int
    is_done: Callable[[int], bool]

    def left(self) -> list[int]:
        """The tasks that have no result."""
        return [number for number in range(self.num_tasks) if not self.is_done(number)]


def main(arguments: Sequence[str]) -> None:
    """The command."""
    given = _parser().parse_args(arguments)
    if given.workers < 1:
        raise ValueError(f"--workers is {given.workers}, expected at least 1.")
    path, folder = find_recipe(given.recipe), BuildFolder(given.output.absolute())
    recipe = read_mix_recipe(path)
    steps = _steps(recipe, folder, num_at_once=min(given.workers, recipe.num_shards))
    if given.task is not None:
        _keep_recipe(path, folder)
        _run_task(given.task, steps)
        return
    steps = steps[:1] if given.tables_only else steps
    with locked(folder.work, LOCK_FILE, "building"):
        _keep_recipe(path, folder)
        if is_left := bool(_left(steps)):
            (folder.root / CARD).unlink(missing_ok=True)  # it is written last, so it says that all is done
        if given.executor == "slurm" and not _run_on_slurm(given, arguments, steps, folder):
            return
        _run_here(given, arguments, steps[0])
        print(plan(recipe, folder))
        for step in steps[1:]:
            _run_here(given, arguments, step)
    if not is_left:
        print("Nothing is left to do.")
    if given.tables_only:
        return
    print(f"The mix is in {folder.root}: `load_dataset({str(given.output)!r})`.")
    if given.push is not None:
        print(push(folder, given.push, is_private=given.private))


def _steps(recipe: MixRecipe, folder: BuildFolder, num_at_once: int) -> list[_Step]:
    def is_built(number: int) -> bool:
        return folder.is_built(number, recipe.num_shards)

    fetch = partial(fetch_for_shard, recipe, folder, num_at_once)
    return [
        _Step("reading", partial(read_source, recipe, folder), len(recipe.sources), folder.is_read),
        _Step("fetching", fetch, recipe.num_shards, is_built),
        _Step("shards", partial(build_shard, recipe, folder), recipe.num_shards, is_built),
        _Step("finishing", partial(finish, recipe, folder), 1, lambda number: (folder.root / CARD).is_file()),
    ]


def _left(steps: Sequence[_Step]) -> Left:
    return {step.name: step.left() for step in steps if step.left()}


def _run_task(task: str, steps: Sequence[_Step]) -> None:
    """Run `STEP:NUMBER`, or with `STEP:NUMBER:STRIDE` every STRIDE-th task from there."""
    name, *numbers = task.split(":")
    step = next((step for step in steps if step.name == name), None)
    if step is None or len(numbers) not in (1, 2) or not all(map(str.isdecimal, numbers)):
        raise ValueError(
            f"--task is {task!r}, expected such as `shards:3`; steps: {', '.join(s.name for s in steps)}."
        )
    first, stride = int(numbers[0]), int(numbers[1]) if len(numbers) == 2 else step.num_tasks
    for number in range(first, step.num_tasks, stride):
        step.run(number)


def _run_here(given: argparse.Namespace, arguments: Sequence[str], step: _Step) -> None:
    if given.executor == "ray" and (left := step.left()):
        run_on_ray(arguments, step.name, left, _options(given), given.workers)
    else:
        _run_in_processes(step, given.workers)


def _run_on_slurm(
    given: argparse.Namespace, arguments: Sequence[str], steps: Sequence[_Step], folder: BuildFolder
) -> bool:
    """Submit what is left, unless jobs are in the queue, and with --wait, wait for them. Return whether all is done.

    Raises:
        ValueError: Slurm refuses a job, or a task has failed.
    """
    if not (left := _left(steps)):
        return True
    if given.push is not None and not given.wait:
        raise ValueError("Slurm's jobs end later. Add --wait, or give --push in the same command when all are done.")
    if jobs := slurm_queue(folder):
        print(f"Nothing is submitted, because jobs of this build are in the queue: {jobs}")
    else:
        if failure := last_failure(left, folder):
            print(failure)
        submit_to_slurm(arguments, left, folder, _options(given), given.workers)
    print(f"Logs: {folder.logs}")
    if not given.wait:
        print("When all jobs have ended, the same command submits what is left, or says that nothing is.")
        return False
    wait_for_slurm(folder)
    if left := _left(steps):
        failure = last_failure(left, folder) or "The jobs were cancelled before they began."
        raise ValueError(f"{failure}\nThe same command submits what is left.")
    return True


def _options(given: argparse.Namespace) -> dict[str, Any]:
    options = {} if given.executor_options is None else to_plain_values(read_yaml(find_recipe(given.executor_options)))
    if not isinstance(options, dict):
        raise ValueError(
            f"{given.executor_options} holds a {type(options).__name__}, expected options by their names."
        )
    return options


def _run_in_processes(step: _Step, num_workers: int) -> None:
    """Run what is left of a step in this process, or in `num_workers` processes.

    Raises:
        The error of the first task that fails, after the others have finished.
    """
    if num_workers == 1:
        for number in step.left():
            step.run(number)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, mp_context=context) as pool:
        futures = [pool.submit(step.run, number) for number in step.left()]
        for future in as_completed(futures):
            future.result()


def _keep_recipe(path: Path, folder: BuildFolder) -> None:
    """Write the recipe into the folder, or check that it is the folder's recipe.

    Raises:
        ValueError: the folder has another recipe.
    """
    text = path.read_text(encoding="utf-8")
    if not folder.recipe.is_file():
        write_text(folder.recipe, text)
    elif folder.recipe.read_text(encoding="utf-8") != text:
        raise ValueError(
            f"{folder.root} was started with another recipe, {folder.recipe}. "
            "Give another --output, or delete the folder."
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mblip build", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", help="a YAML file, or its short name; mblip/mix/build/recipe.py lists its fields")
    parser.add_argument("--output", type=Path, required=True, help="the folder of the dataset")
    parser.add_argument("--tables_only", action="store_true", help="read the sources, print the table, and stop")
    parser.add_argument("--workers", type=count, default=1, help="tasks at a time; default: %(default)s")
    parser.add_argument("--executor", choices=EXECUTORS, default="processes", help="default: %(default)s")
    parser.add_argument("--executor_options", metavar="RECIPE", help="options of sbatch or ray.remote")
    parser.add_argument("--wait", action="store_true", help="with --executor slurm: wait until the jobs have ended")
    parser.add_argument("--task", metavar="STEP:NUMBER", help="run one task, such as shards:3, as nodes do")
    parser.add_argument("--push", metavar="REPOSITORY", help="upload the finished dataset to the Hub")
    parser.add_argument("--private", action="store_true", help="with --push: a private repository")
    return parser
