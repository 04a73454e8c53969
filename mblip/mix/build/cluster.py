"""The tasks of a build on a cluster, whose nodes see the output folder: as arrays of Slurm jobs, or as tasks of Ray.

A task on a node is the same command with `--task STEP:NUMBER`, run by the same Python in the same working directory.
Slurm knows the jobs of a build by their comment, which is the output folder.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .folder import BuildFolder

Left = Mapping[str, Sequence[int]]  # step -> the numbers of its tasks without a result

ARRAY_SIZE = 1000  # tasks of an array; each cluster of Slurm allows 1,000 unless its MaxArraySize is lower
NEVER = r"Partition(Config|NodeLimit|TimeLimit)|BadConstraints|Invalid\w+|\w+NotAllowed|\w+PerJob\w*"
UNSCHEDULED = "pending (None)"  # until Slurm has looked at a job
NUM_LINES = 12  # of a failed task's log


def submit_to_slurm(
    arguments: Sequence[str], left: Left, folder: BuildFolder, options: Mapping[str, Any], num_at_once: int
) -> None:
    """Submit an array of jobs for each step that has tasks left. It starts when the one before has succeeded.

    Args:
        arguments: of `mblip build`.
        options: of sbatch, by their long names. True stands for an option without a value.
    Raises:
        ValueError: Slurm refuses a job, or says that it will never run it. The jobs are then cancelled.
    """
    flags = [f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items()]
    flags += [f"--comment={folder.root}", "--kill-on-invalid-dep=yes"]
    command = shlex.join([sys.executable, "-m", "mblip", "build", *arguments, "--task"])
    before: list[str] = []
    logs = str(folder.logs).replace("%", "%%")
    folder.logs.mkdir(parents=True, exist_ok=True)
    for step, numbers in left.items():
        array = sorted({number % ARRAY_SIZE for number in numbers})
        for number in array:
            _log(folder, step, number).unlink(missing_ok=True)  # of an earlier try
        own = [f"--job-name={step}", f"--array={_join(array)}%{num_at_once}", f"--output={logs}/{step}-%5a.log"]
        script = f"{command} {step}:$SLURM_ARRAY_TASK_ID:{ARRAY_SIZE}"
        asked = _slurm("sbatch", "--parsable", *flags, *own, *before, "--wrap", script)
        job = asked.strip().partition(";")[0]
        before = [f"--dependency=afterok:{job}"]
        print(f"Submitted to Slurm: {step}, {len(numbers)} task(s), job {job}")
    end = time.monotonic() + 10
    while UNSCHEDULED in slurm_queue(folder) and time.monotonic() < end:
        time.sleep(0.5)


def slurm_queue(folder: BuildFolder) -> str:
    """The jobs of a build that are pending or running, counted by step, job and state; empty if there are none.

    Raises:
        ValueError: Slurm will never run one of them. All are then cancelled.
    """
    lines = _slurm("squeue", "--me", "--array", "--noheader", "--format=%F|%j|%T|%r|%k").splitlines()
    jobs = [job[:4] for job in (line.split("|", 4) for line in lines) if job[4] == str(folder.root)]
    for job, step, _, reason in jobs:
        if re.fullmatch(NEVER, reason):
            _slurm("scancel", *sorted({job for job, *_ in jobs}))
            raise ValueError(
                f"Slurm will never run job {job} ({step}): {reason}. All jobs of this build are cancelled. Ask for "
                "less in --executor_options; `sinfo -o '%P %l %c %m %D'` shows time, CPUs and MB of each partition."
            )
    states = [f"pending ({reason})" if state == "PENDING" else state.lower() for *_, state, reason in jobs]
    counts = Counter(f"{step} {job}: {state}" for (job, step, *_), state in zip(jobs, states, strict=True))
    return "; ".join(f"{what} x {count}" for what, count in counts.items())


def wait_for_slurm(folder: BuildFolder, seconds: float = 5) -> None:
    """Wait until no job of a build is in the queue, and print what changes there. Raises as `slurm_queue`."""
    shown = ""
    while found := slurm_queue(folder):
        if found != shown:
            print(shown := found, flush=True)
        time.sleep(seconds)


def last_failure(left: Left, folder: BuildFolder) -> str:
    """The tasks of the last step that began on Slurm and have no result, with a log's end; empty if none began."""
    for step, numbers in reversed(list(left.items())):
        begun = [number for number in numbers if _log(folder, step, number).is_file()]
        if begun:
            log = _log(folder, step, begun[0])
            text = log.read_text(encoding="utf-8", errors="replace")
            return f"Step {step}, no result of task(s) {_join(begun)}. The end of {log}:\n{_end(text)}"
    return ""


def run_on_ray(
    arguments: Sequence[str], step: str, numbers: Sequence[int], options: dict[str, Any], num_at_once: int
) -> None:
    """Run tasks of a step on a running Ray cluster, and wait for them. Ray repeats a task whose worker dies.

    Args:
        arguments: of `mblip build`.
        options: of `ray.remote`.
    Raises:
        ImportError: Ray is not installed.
        ValueError: no cluster runs, no node has what a task asks for, or a task fails. The other tasks end first.
    """
    try:
        import ray
    except ImportError as error:
        raise ImportError("Ray is not installed. Install the release of your cluster: pip install ray.") from error
    path = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}  # workers have the cluster's
    try:
        if not ray.is_initialized():
            ray.init("auto", runtime_env={"env_vars": path})
    except ConnectionError as error:
        raise ValueError(
            "Found no running Ray cluster: `ray start --head` starts one, RAY_ADDRESS names it."
        ) from error
    options = {"num_cpus": 1} | options
    named = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
    asked = {name: options.get(key) for name, key in named.items()} | options.get("resources", {})
    asked = {name: amount for name, amount in asked.items() if amount}
    nodes = [{name: node["Resources"].get(name, 0) for name in asked} for node in ray.nodes() if node["Alive"]]
    if not any(all(node[name] >= asked[name] for name in asked) for node in nodes):
        raise ValueError(
            f"Each task asks for {asked}, which no node of the Ray cluster has. The nodes have: {nodes}. "
            "Ask for less in --executor_options."
        )
    run, waiting = ray.remote(**options)(_run_there), list(numbers)
    running: dict[Any, int] = {}
    failed: dict[int, Exception] = {}
    while waiting or running:
        while waiting and len(running) < num_at_once:
            number = waiting.pop(0)
            running[run.remote(os.getcwd(), [*arguments, "--task", f"{step}:{number}"])] = number
        (done,), _ = ray.wait(list(running), num_returns=1)
        number = running.pop(done)
        try:
            ray.get(done)
        except ray.exceptions.RayError as error:
            failed[number] = error
    if failed:
        number, cause = next(iter(failed.items()))
        what = f"Step {step}: task(s) {_join(failed)} failed on Ray. The end of the error of {number}:"
        raise ValueError(f"{what}\n{_end(str(cause))}") from cause


def _run_there(folder: str, arguments: Sequence[str]) -> None:
    from .command import main  # which imports this file

    os.chdir(folder)
    main(arguments)


def _log(folder: BuildFolder, step: str, number: int) -> Path:
    return folder.logs / f"{step}-{number % ARRAY_SIZE:05d}.log"


def _join(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def _end(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines()[-NUM_LINES:])


def _slurm(*command: str) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError as error:
        raise ValueError(f"There is no {command[0]} on this machine. Run this on a login node of Slurm.") from error
    except subprocess.CalledProcessError as error:
        raise ValueError(f"{command[0]} refuses: {error.stderr.strip()}") from error
