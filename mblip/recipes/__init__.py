"""The recipes that come with the package. List them, or print one to change it.

    mblip recipes
    mblip recipes fine_tune_own > mine.yaml

`mblip train`, `eval`, `build`, `embed` and `retrieval` take a recipe by its path or by its short name.
"""

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from glob import escape
from pathlib import Path
from textwrap import shorten

FOLDER = Path(__file__).parent


def recipe_names() -> list[str]:
    """The short names, such as `fine_tune_own` for `fine_tune_own.yaml`."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find_recipe(name: str) -> Path:
    """Find the file of a recipe by its path, or by its short name if there is no such file.

    Raises:
        ValueError: there is no such recipe. The message gives a recipe of that name in the working directory or one
            of its folders, or the nearest short name.
    """
    if Path(name).is_file():
        return Path(name)
    if name in recipe_names():
        return FOLDER / f"{name}.yaml"
    stem = Path(name).stem
    below = [path for folder in (".", "*") for path in sorted(Path().glob(f"{folder}/{escape(stem)}.yaml"))]
    nearest = [path.as_posix() for path in below] or get_close_matches(stem, recipe_names(), n=1)
    hint = f"Did you mean `{nearest[0]}`?" if nearest else "`mblip recipes` lists those that come with the package."
    raise ValueError(f"There is no recipe {name}. Paths are relative to the working directory, {Path.cwd()}. {hint}")


def main(arguments: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="mblip recipes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", help="print this one")
    given = parser.parse_args(arguments)
    if given.name is not None:
        print(find_recipe(given.name).read_text(encoding="utf-8"), end="")
        return
    width = max(map(len, recipe_names()))
    for name in recipe_names():
        print(f"{name:<{width}}  {shorten(_title(name), 90, placeholder=' ...')}")


def _title(name: str) -> str:
    """The first sentence of a recipe's header."""
    header = []
    for line in (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines():
        if not line.startswith("# "):
            break
        header.append(line.removeprefix("# "))
    return " ".join(header).partition(". ")[0].removesuffix(".")
