"""What does a release do that is newer than the bounds of pyproject.toml allow? Prints it, and fails nothing.

    python tests/newest.py [--folder FOLDER] [--with-torch] [any argument of pytest]

Needs the network. Makes a virtual environment with the newest release of every dependency that is not torch
(--with-torch: of torch as well, several GB where it comes with CUDA), runs the default tests and the quickstart's
first 20 steps in it, and the 20 steps in the environment that runs this file, too; prints the versions, the tests and
the losses that differ.
"""

import argparse
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
EXTRAS = ("train", "eval", "scale", "ja", "th", "test")
WARM_UP = (
    "[{stage: warm_up, learning_rate: 5e-3, batch_size: 24, max_steps: 20, warmup_steps: 20, "
    "data: {sources: [{source: scenes.source:scenes, num_images: 3600, num_prompts: 4, question_share: 0.15}]}}]"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "outputs" / "newest", help="default: %(default)s")
    parser.add_argument("--with-torch", action="store_true")
    arguments, pytest_arguments = parser.parse_known_args()
    shutil.rmtree(arguments.folder, ignore_errors=True)
    newest = make_environment(arguments.folder / "environment", with_torch=arguments.with_torch)
    here = {entry.metadata["Name"].lower(): entry.version for entry in importlib.metadata.distributions()}
    there = versions(newest)
    print("\n| package | here | newest |\n|---|---|---|")
    for name in sorted(here.keys() & there.keys()):
        if here[name] != there[name]:
            print(f"| {name} | {here[name]} | {there[name]} |")
    ours, theirs = (
        first_losses(python, arguments.folder / name) for python, name in ((sys.executable, "here"), (newest, "there"))
    )
    print("\n| step | loss here | loss with the newest | difference |\n|---:|---:|---:|---:|")
    for step, (loss, other) in enumerate(zip(ours, theirs, strict=False), start=1):
        print(f"| {step} | {loss:.7f} | {other:.7f} | {other - loss:+.1e} |")
    if len(ours) != len(theirs):
        print(f"\n{len(ours)} steps here, {len(theirs)} with the newest: what its training said stands above.")
    print(f"\n{tests(newest, pytest_arguments)}")


def make_environment(folder: Path, *, with_torch: bool) -> str:
    """An environment with the newest of all that pyproject.toml names, whatever its bounds; its Python."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + [line for name in EXTRAS for line in project["optional-dependencies"][name]]
    names = {Requirement(line).name for line in lines} - {"mblip"}
    if not with_torch:
        names = names - {"torch"} | {f"torch=={importlib.metadata.version('torch').partition('+')[0]}"}
    pip = [python, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, *sorted(names)], check=True)
    subprocess.run([*pip, "--no-deps", "--editable", str(ROOT)], check=True)
    return python


def versions(python: str) -> dict[str, str]:
    """The versions of an environment's packages by their names."""
    listed = subprocess.run([python, "-m", "pip", "list", "--format=json"], check=True, capture_output=True, text=True)
    return {entry["name"].lower(): entry["version"] for entry in json.loads(listed.stdout)}


def first_losses(python: str, folder: Path) -> list[float]:
    """The losses of the quickstart's first 20 steps, which are all in its warm-up's rising part."""
    command = [python, "train.py", "--output_dir", str(folder), "--stages", WARM_UP]
    done = subprocess.run(
        [*command, "--training.logging_steps", "1", "--evaluation", "null"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"\n{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return []
    entries = map(json.loads, (folder / "training_log.jsonl").read_text(encoding="utf-8").splitlines())
    return [entry["loss"] for entry in entries if "loss" in entry]


def tests(python: str, pytest_arguments: list[str]) -> str:
    """The tests that do not pass, and how many do."""
    command = [python, "-m", "pytest", "-rfE", *pytest_arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if re.match(r"(FAILED|ERROR) |.* (passed|failed|error)", line)]
    return "\n".join(lines) or done.stdout[-2000:] + done.stderr[-2000:]


if __name__ == "__main__":
    main()
