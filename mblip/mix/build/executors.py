"""Who runs the tasks of a build: this process, several processes, or datatrove's executors on one machine or many.

A task is called as datatrove calls the steps of a pipeline, `step(data, rank, world_size)`. Tasks look themselves
whether their result is there, so an executor need not remember which are done.
"""

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Step = Callable[[Any, int, int], None]
Kind = Literal["processes", "local", "slurm", "ray"]
INSTALL = "datatrove is not installed: `pip install mblip[scale]`, or build with `--executor processes`."


@dataclass(frozen=True)
class Tasks:
    """A step of a build, and how many tasks it has."""

    name: str
    step: Step
    num_tasks: int


def run_in_processes(tasks: Tasks, num_workers: int) -> None:
    """Run the tasks of a step in this process, or in so many processes.

    Raises:
        what the first task that fails has raised; the others are run to their end before.
    """
    ranks = range(tasks.num_tasks)
    if num_workers == 1:
        for rank in ranks:
            tasks.step(None, rank, tasks.num_tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, mp_context=context) as pool:
        futures = [pool.submit(tasks.step, None, rank, tasks.num_tasks) for rank in ranks]
        for future in as_completed(futures):
            future.result()


def run_by_datatrove(
    steps: Sequence[Tasks], kind: Kind, *, num_workers: int, logs: Path, options: Mapping[str, Any]
) -> None:
    """Hand the steps, each waiting for the one before, to executors of datatrove.

    Args:
        kind: "local": processes of this machine; "slurm": a job array for each step, which this process submits and
            does not wait for; "ray": a Ray cluster.
        num_workers: tasks at a time.
        logs: where datatrove logs.
        options: further arguments of the executor, such as `time` and `partition` for Slurm.

    Raises:
        ImportError: datatrove is not installed.
    """
    executor_class = _executor_class(kind)
    before = None
    for tasks in steps:
        arguments = {
            "pipeline": [tasks.step],
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
