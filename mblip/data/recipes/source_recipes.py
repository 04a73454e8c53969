"""A source in a recipe: its name, its arguments, and the keys that the recipe itself has for it."""

from collections.abc import Mapping
from typing import Any

from ..languages import get_language
from .source_arguments import LanguageCode, NestedSource
from .sources import SOURCES
from .strict_loading import Converter, arguments_for, convert, join, wrong_type
from .yaml_values import Located


def convert_source(
    found: Located, path: str, own_keys: Mapping[str, Any], converters: Mapping[Any, Converter]
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """`{source: NAME, ...own keys, ...arguments of the function NAME}` as name, values of the own keys, and arguments.

    Args:
        own_keys: key -> type; those that are not given are left out of the values.

    Raises:
        ValueError: there is no such source, or a key or value that is none of it; the message names the place.
    """
    if not isinstance(found.value, dict) or "source" not in found.value:
        raise wrong_type(found, path, f"a mapping with `source`, one of {', '.join(SOURCES)}")
    name = found.value["source"]
    if name.value not in SOURCES:
        raise wrong_type(name, join(path, "source"), f"one of {', '.join(SOURCES)}")
    own = {
        key: convert(found.value[key], expected, join(path, key), converters)
        for key, expected in own_keys.items()
        if key in found.value
    }
    rest = {key: value for key, value in found.value.items() if key != "source" and key not in own_keys}
    arguments = arguments_for(SOURCES[name.value], Located(rest, found.place), path, with_nested_sources(converters))
    return name.value, own, arguments


def with_nested_sources(converters: Mapping[Any, Converter]) -> dict[Any, Converter]:
    """The converters with one for a source within the arguments of another, which has no keys of the recipe's."""

    def convert_nested(found: Located, path: str) -> NestedSource:
        name, _, arguments = convert_source(found, path, {}, converters)
        return NestedSource({"source": name, **arguments})

    return {**converters, NestedSource: convert_nested}


def convert_language(found: Located, path: str) -> LanguageCode:
    """A code of languages.tsv."""
    try:
        return LanguageCode(get_language(found.value).code)
    except ValueError as error:
        raise ValueError(f"{found.place}: `{path}`: {error}") from error
