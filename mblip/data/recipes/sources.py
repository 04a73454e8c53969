"""A source in a recipe: its name, its arguments, and its examples.

A source is a generator function `def my_source(seed, *, ...) -> Iterator[Example]`. It is built in
(sources/__init__.py), or named by a dotted path and found beside the recipe (dotted.py). Its typed keyword parameters
are the keys that a recipe may give. `seed` is the recipe's. If a source has a parameter `skipped`, it gets the counter
of skipped examples.
"""

import difflib
import importlib
import inspect
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from ..example import Example
from ..languages import Language, LanguageCode, add_languages, get_language
from ..skipped import SkipReport
from ..sources import NOT_STATED, SOURCES, Origin
from .dotted import import_beside, import_dotted, is_dotted
from .strict_loading import Converter, arguments_for, convert, join, wrong_type
from .yaml_values import Located

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A source that a recipe names, with its arguments. `folder` is the recipe's."""

    source: str
    arguments: Mapping[str, Any]
    folder: Path = field(default=Path(), compare=False, kw_only=True)

    @property
    def function(self) -> Callable[..., Iterator[Example]]:
        """The named function. Raises as `find_source`."""
        return find_source(self.source, self.folder)

    @property
    def stated(self) -> Origin:
        """The publisher of the data, and their licence."""
        return getattr(self.function, "origin", NOT_STATED)

    def examples(self, seed: int, skipped: SkipReport | None = None) -> Iterator[Example]:
        """The examples, in the source's order.

        If the caller passes no `skipped`, a table of skipped examples is logged when the reading ends.
        """
        counted = SkipReport() if skipped is None else skipped
        counter = {SKIPPED: counted} if SKIPPED in inspect.signature(self.function).parameters else {}
        try:
            yield from self.function(seed, **counter, **self.arguments)
        finally:
            if skipped is None and counted.counts:
                logger.info("Skipped in the source %s:\n%s", self.source, counted.table())

    def check_paths(self, *, may_lack_images: bool = False) -> None:
        """Raise FileNotFoundError if an argument is a path to nothing. Nothing is opened.

        Args:
            may_lack_images: only warn if it is the path of images, which are then counted as missing.
        """
        hints = get_type_hints(self.function, include_extras=True)
        for name, value in self.arguments.items():
            for entry in value if isinstance(value, tuple | list) else [value]:
                if isinstance(entry, Source):
                    entry.check_paths(may_lack_images=may_lack_images)
                path = _on_disk(entry, hints.get(name))
                if path is None or path.exists():
                    continue
                found = f"The source {self.source}: there is no file or folder {path} (`{name}`)."
                if not (may_lack_images and isinstance(entry, str)):  # images are texts with a path or URL
                    raise FileNotFoundError(f"{found} Paths are relative to the working directory, {Path.cwd()}.")
                logger.warning("%s Its images count as missing. Give the folder, if this is a mistake.", found)


SKIPPED = "skipped"  # a parameter that recipes never give


def _on_disk(value: Any, hint: Any) -> Path | None:
    """The path of an argument: a `Path`, or where the function in `Annotated[str, function]` finds it in a text."""
    if isinstance(value, str):
        for kind in (hint, *get_args(hint)):  # X or X | None
            if get_origin(kind) is Annotated and callable(kind.__metadata__[0]):
                return kind.__metadata__[0](value)
    return value if isinstance(value, Path) else None


def find_source(name: str, folder: Path) -> Callable[..., Iterator[Example]]:
    """The function of a source that a recipe in `folder` names.

    Raises:
        ValueError: there is no such source (the message names the nearest), a dotted path leads nowhere, or the
            function has positional parameters that a recipe cannot give.
    """
    if name in SOURCES:
        module, _, attribute = SOURCES[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    if not is_dotted(name):
        nearest = difflib.get_close_matches(name, SOURCES, n=1)
        hint = f"Did you mean `{nearest[0]}`?" if nearest else f"Expected one of {', '.join(SOURCES)}."
        raise ValueError(f"there is no source {name!r}. {hint} Name your own as `my_module:my_source`.")
    function = import_dotted(name, folder)
    parameters = inspect.signature(function).parameters.values()
    by_position = [parameter.name for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
    if by_position not in (["seed"], ["seed", SKIPPED]):
        raise ValueError(
            f"`{name}` takes ({', '.join(by_position)}) by position, expected (seed) or (seed, {SKIPPED}). "
            "Make the recipe's keys keyword-only: `def my_source(seed, *, path: Path)`."
        )
    return function


def convert_source(
    found: Located, path: str, own_keys: Mapping[str, Any], converters: Mapping[Any, Converter]
) -> tuple[Source, dict[str, Any]]:
    """Convert `{source: NAME, ...own keys, ...arguments of the function NAME}` to a source and the own keys' values.

    Args:
        own_keys: key -> type. Keys that are not given have no value.
    Raises:
        ValueError: there is no such source, or a key or value is wrong. The message names the location.
    """
    if not isinstance(found.value, dict) or "source" not in found.value:
        raise wrong_type(found, path, "a mapping with `source`")
    name = found.value["source"]
    if not isinstance(name.value, str):
        raise wrong_type(name, join(path, "source"), "the name of a source")
    try:
        function = find_source(name.value, name.folder)
    except ValueError as error:
        raise ValueError(f"{name.location}: `{join(path, 'source')}`: {error}") from error
    own, arguments = own_and_arguments(function, found, path, {**own_keys, "source": str}, converters, (SKIPPED,))
    del own["source"]
    return Source(name.value, arguments, folder=name.folder), own


def own_and_arguments(
    function: Callable[..., Any],
    found: Located,
    path: str,
    own_keys: Mapping[str, Any],
    converters: Mapping[Any, Converter],
    not_given: Collection[str] = (),
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of a mapping's own keys, and the arguments that its other keys give to `function`."""
    own = {
        key: convert(found.value[key], expected, join(path, key), converters)
        for key, expected in own_keys.items()
        if key in found.value
    }
    rest = Located({key: value for key, value in found.value.items() if key not in own_keys}, found.location)
    return own, arguments_for(function, rest, path, with_nested_sources(converters), not_given=not_given)


def with_nested_sources(converters: Mapping[Any, Converter]) -> dict[Any, Converter]:
    """The converters, plus one for a source in another's arguments. Such a source has no own keys of the recipe."""
    return {**converters, Source: lambda found, path: convert_source(found, path, {}, converters)[0]}


def convert_language(found: Located, path: str) -> LanguageCode:
    """A code of languages.tsv."""
    try:
        return LanguageCode(get_language(found.value).code)
    except ValueError as error:
        raise ValueError(f"{found.location}: `{path}`: {error}") from error


def prepared(found: Located) -> Located:
    """A recipe, after its `imports` are imported and its `add_languages` added: its other fields may need them."""
    fields = found.value if isinstance(found.value, dict) else {}
    if (imports := fields.get("imports")) is not None:
        for name in convert(imports, tuple[str, ...], "imports", {}):
            try:
                import_beside(name, found.folder, name)
            except ValueError as error:
                raise ValueError(f"{imports.location}: `imports`: {error}") from error
    if (added := fields.get("add_languages")) is not None:
        try:
            add_languages(convert(added, tuple[Language, ...], "add_languages", {}))
        except ValueError as error:
            raise ValueError(str(error) if "add_languages" in str(error) else f"{added.location}: {error}") from error
    return found
