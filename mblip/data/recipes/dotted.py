"""A function or class by its dotted path, `my_module:my_function`, found beside the recipe that names it."""

import importlib
import sys
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any


def is_dotted(name: str) -> bool:
    """Whether a recipe's name is a dotted path, `my_module:my_function`, rather than something built in."""
    return ":" in name


def import_dotted(name: str, folder: Path) -> Callable[..., Any]:
    """The function or class at a dotted path. Importing runs the module's code.

    `folder`, the recipe's, is put first on `sys.path` and stays there, as Python does with the folder of a script. The
    working directory is put last, because a recipe's paths are relative to it.

    Raises:
        ValueError: there is no such module, the module lacks the name, or the object is not callable.
    """
    folder = folder.resolve()
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise ValueError(f"Found the dotted path `{name}`, expected `my_module:my_function`.")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    importlib.invalidate_caches()  # the file may be newer than Python's listing of the folder
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module exists, but one that it imports is missing
        raise ValueError(
            f"`{name}`: found no module `{error.name}` in {folder} or on Python's path. Put it beside the recipe."
        ) from error
    _check_origin(module_name, getattr(module, "__file__", None), folder)
    found = getattr(module, attribute, None)
    if not callable(found):
        there = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
        nearest = get_close_matches(attribute, there, n=1, cutoff=0.5)
        hint = f"Did you mean `{nearest[0]}`?" if nearest else "Expected a function or class of that file."
        what = f"`{attribute}` is not a function or class" if hasattr(module, attribute) else f"no `{attribute}`"
        raise ValueError(f"`{name}`: {what} in {getattr(module, '__file__', module_name)}. {hint}")
    return found


def _check_origin(module_name: str, file: str | None, folder: Path) -> None:
    """Raise ValueError if a module of the same name, imported before, hides the one beside the recipe."""
    first = module_name.partition(".")[0]
    is_beside = (folder / f"{first}.py").is_file() or (folder / first).is_dir()
    if is_beside and file is not None and not Path(file).resolve().is_relative_to(folder):
        raise ValueError(
            f"`{first}` beside the recipe in {folder} is hidden by {file}, imported before. Rename your module."
        )
