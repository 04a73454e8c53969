"""Your own code beside a recipe: a function or class by its dotted path, `my_module:my_function`, or whole modules."""

import importlib
import os
import sys
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any


def is_dotted(name: str) -> bool:
    """Whether a recipe's name is a dotted path, `my_module:my_function`, rather than something built in."""
    return ":" in name


def import_dotted(name: str, folder: Path) -> Callable[..., Any]:
    """The function or class at a dotted path, see `import_beside`.

    Raises:
        ValueError: there is no such module, the module lacks the name, or the object is not callable.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise ValueError(f"Found the dotted path `{name}`, expected `my_module:my_function`.")
    module = import_beside(module_name, folder, name)
    found = getattr(module, attribute, None)
    if not callable(found):
        there = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
        nearest = get_close_matches(attribute, there, n=1, cutoff=0.5)
        hint = f"Did you mean `{nearest[0]}`?" if nearest else "Expected a function or class of that file."
        what = f"`{attribute}` is not a function or class" if hasattr(module, attribute) else f"no `{attribute}`"
        raise ValueError(f"`{name}`: {what} in {getattr(module, '__file__', module_name)}. {hint}")
    return found


def import_beside(module_name: str, folder: Path, name: str) -> ModuleType:
    """Import a module of your own, which runs its code. `name` is for messages.

    `folder`, the recipe's, is put first on `sys.path` and stays there, as Python does with the folder of a script. The
    working directory is put last, because a recipe's paths are relative to it.

    Raises:
        ValueError: there is no such module, or another one hides it.
    """
    folder = folder.resolve()
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
    _check_origin(module_name, module.__file__, folder)
    return module


def import_files(paths: str) -> None:
    """Import Python files, whose paths are separated as in PATH: what `imports` of a recipe does, without a recipe.

    Raises:
        ValueError: there is no such file.
    """
    for path in paths.split(os.pathsep):
        if not Path(path).is_file():
            raise ValueError(f"`{path}` is no file. Expected paths of Python files, separated by {os.pathsep!r}.")
        import_beside(Path(path).stem, Path(path).parent, path)


def _check_origin(module_name: str, file: str | None, folder: Path) -> None:
    """Raise ValueError if a module of the same name, imported before, hides the one beside the recipe."""
    first = module_name.partition(".")[0]
    is_beside = (folder / f"{first}.py").is_file() or (folder / first).is_dir()
    if is_beside and file is not None and not Path(file).resolve().is_relative_to(folder):
        raise ValueError(
            f"`{first}` beside the recipe in {folder} is hidden by {file}, imported before. Rename your module."
        )
