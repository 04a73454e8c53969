"""From YAML to typed arguments, strictly: unknown keys and wrong types are errors that name their location.

A recipe's schema is the code that takes it: expected types come from the signature of a function or frozen dataclass.
`path` is a value's position in the recipe: `stages.1.learning_rate`.
"""

import dataclasses
import difflib
import functools
import inspect
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from .ranges import FINITE, Range
from .yaml_values import Located, to_plain_values

Converter = Callable[[Located, str], Any]

SCALARS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
}


def convert(found: Located, expected: Any, path: str, converters: Mapping[Any, Converter]) -> Any:
    """The value of `found` as the type `expected`.

    Args:
        converters: converters for types with rules of their own.
    Raises:
        ValueError: the value is not of that type or outside its `Range`. The message names the location, the path,
            the value and what is expected.
    """
    if expected in converters:
        return converters[expected](found, path)
    if expected is Any:
        return to_plain_values(found)
    if expected in SCALARS:
        return _convert_scalar(found, expected, path)
    if isinstance(expected, type) and dataclasses.is_dataclass(expected):
        return call_with(expected, found, path, converters)
    origin, arguments = get_origin(expected), get_args(expected)
    if origin is Annotated:
        value = convert(found, arguments[0], path, converters)
        if isinstance(arguments[1], Range):
            _check_range(found, arguments[1], path)
        return value
    if origin in (Union, types.UnionType):
        if found.value is None and type(None) in arguments:
            return None
        return convert(found, _wanted(found, arguments), path, converters)
    if origin is Literal:
        if found.value not in arguments or isinstance(found.value, bool):
            raise wrong_type(found, path, f"one of {', '.join(map(str, arguments))}")
        return found.value
    if origin in (tuple, frozenset, list, Sequence):
        return _convert_list(found, list if origin is Sequence else origin, arguments, path, converters)
    if origin in (dict, Mapping):
        if not isinstance(found.value, dict):
            raise wrong_type(found, path, "a mapping of keys to values")
        return {key: convert(entry, arguments[1], join(path, key), converters) for key, entry in found.value.items()}
    raise ValueError(f"{found.location}: `{path}` has the type {expected} in the code, which a recipe cannot give.")


def _wanted(found: Located, arguments: tuple[Any, ...]) -> Any:
    """The type to read a union's value as: X for X | None; for int | float, the type of the value."""
    wanted = [argument for argument in arguments if argument is not type(None)]
    if len(wanted) == 1:
        return wanted[0]
    assert set(wanted) == {int, float}, f"no rule for the union {arguments}"
    return int if isinstance(found.value, int) else float


@functools.singledispatch
def to_plain(value: Any) -> Any:
    """Convert a recipe, or part of one, to plain YAML or JSON values. Reading them again gives the same recipe."""
    if dataclasses.is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: to_plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list | frozenset):
        entries = sorted(value) if isinstance(value, frozenset) else value
        return [to_plain(entry) for entry in entries]
    return value.as_posix() if isinstance(value, Path) else value


def call_with(function: Callable[..., Any], found: Located, path: str, converters: Mapping[Any, Converter]) -> Any:
    """Call a dataclass with the mapping `found`. Its errors get the location added."""
    arguments = arguments_for(function, found, path, converters)
    try:
        return function(**arguments)
    except ValueError as error:
        raise ValueError(f"{found.location}: `{path}`: {error}" if path else f"{found.location}: {error}") from error


def arguments_for(
    function: Callable[..., Any],
    found: Located,
    path: str,
    converters: Mapping[Any, Converter],
    *,
    not_given: Collection[str] = (),
) -> dict[str, Any]:
    """The keyword arguments that the mapping `found` gives to a function or dataclass.

    Args:
        not_given: parameters that no recipe gives.
    Raises:
        ValueError: a key is unknown (the message names the nearest) or missing, or a value has a wrong type.
    """
    if not isinstance(found.value, dict):
        raise wrong_type(found, path, "a mapping of keys to values")
    hints = get_type_hints(function if inspect.isfunction(function) else function.__init__, include_extras=True)
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if (dataclasses.is_dataclass(function) or parameter.kind is inspect.Parameter.KEYWORD_ONLY)
        and name not in not_given
    }
    for key, value in found.value.items():
        if key not in parameters:
            raise unknown_key(key, value.location, path, parameters)
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and name not in found.value
    ]
    if missing:
        where = f"`{path}` lacks" if path else "the recipe lacks"
        raise ValueError(f"{found.location}: {where} {', '.join(f'`{name}`' for name in missing)}. Add it.")
    if untyped := [name for name in found.value if name not in hints]:
        raise ValueError(
            f"{found.location}: `{join(path, untyped[0])}` has no type in the code. Write it: `{untyped[0]}: str`."
        )
    return {key: convert(value, hints[key], join(path, key), converters) for key, value in found.value.items()}


def unknown_key(key: str, location: str, path: str, known: Mapping[str, Any]) -> ValueError:
    """The error for an unknown key."""
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    some = f"{', '.join(list(known)[:40])}{', ...' if len(known) > 40 else ''}"
    hint = f"Did you mean `{nearest[0]}`?" if nearest else f"Expected one of {some}."
    return ValueError(f"{location}: the key `{join(path, key)}` is unknown. {hint}")


def wrong_type(found: Located, path: str, expected: str) -> ValueError:
    """The error for a value of a wrong type."""
    kinds = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}
    kind = kinds.get(type(found.value), "a number")
    shown = "" if isinstance(found.value, dict | list) or found.value is None else f"{found.value!r}, "
    return ValueError(f"{found.location}: `{path or 'recipe'}` is {shown}{kind}, expected {expected}.")


def join(path: str, key: str) -> str:
    """The path of `key` below `path`."""
    return f"{path}.{key}" if path else key


def _convert_scalar(found: Located, expected: Any, path: str) -> Any:
    value = found.value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if expected is float and is_number:
        _check_range(found, FINITE, path)
        return float(value)
    if expected is Path and isinstance(value, str):
        return Path(value)
    if type(value) is not expected:
        raise wrong_type(found, path, SCALARS[expected])
    return value


def _check_range(found: Located, expected: Range, path: str) -> None:
    value = found.value
    if isinstance(value, int | float) and not expected.holds(value):
        raise ValueError(f"{found.location}: `{path}` is {value}, expected {expected}.")


def _convert_list(
    found: Located, origin: Any, arguments: tuple[Any, ...], path: str, converters: Mapping[Any, Converter]
) -> Any:
    """A list as a tuple, list or frozenset. `tuple[X, ...]` takes any length, `tuple[X, Y]` exactly two."""
    if not isinstance(found.value, list):
        raise wrong_type(found, path, "a list")
    is_any_length = origin is not tuple or arguments[-1] is Ellipsis
    wanted = [arguments[0]] * len(found.value) if is_any_length else list(arguments)
    if len(wanted) != len(found.value):
        raise ValueError(f"{found.location}: `{path}` has {len(found.value)} entries, expected {len(wanted)}.")
    pairs = enumerate(zip(found.value, wanted, strict=True))
    return origin(convert(entry, kind, join(path, str(i)), converters) for i, (entry, kind) in pairs)


def plain_arguments(known: Mapping[str, Any], found: Located, path: str, instead: Mapping[str, str]) -> dict[str, Any]:
    """The keyword arguments that `found` gives to a library's class. The library checks most of them itself.

    Args:
        known: the type of each argument, as the library declares it, perhaps with a `Range`.
        instead: forbidden arguments, each with what to do instead.
    Raises:
        ValueError: an argument is unknown (the message names the nearest) or forbidden, or has a wrong type.
    """
    if not isinstance(found.value, dict):
        raise wrong_type(found, path, "a mapping of keys to values")
    for key, value in found.value.items():
        if key in instead:
            raise ValueError(f"{value.location}: `{join(path, key)}` cannot be given: {instead[key]}")
        if key not in known:
            raise unknown_key(key, value.location, path, known)
        _check_library_value(value, known[key], join(path, key))
    return {key: to_plain_values(value) for key, value in found.value.items()}


def _check_library_value(found: Located, expected: Any, path: str) -> None:
    value, kinds = to_plain_values(found), _kinds(expected)
    ranges = [get_args(kind)[1] for kind in kinds if get_origin(kind) is Annotated]
    kinds = tuple(get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds)
    enums = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Enum)]
    members = [str(member.value) for enum in enums for member in enum]
    if enums and isinstance(value, str) and value not in members:
        begun = [member for member in members if member.startswith(value)]
        nearest = begun or difflib.get_close_matches(value, members, n=1, cutoff=0.5)
        hint = f"Did you mean `{nearest[0]}`?" if nearest else f"Expected one of {', '.join(members)}."
        raise ValueError(f"{found.location}: `{path}` is {value!r}, which is unknown. {hint}")
    if not any(_fits(value, kind) for kind in kinds):
        words = {**SCALARS, type(None): "nothing", list: "a list", tuple: "a list", Literal: "a name that is known"}
        expected_words = dict.fromkeys(words.get(get_origin(kind) or kind, "a mapping") for kind in kinds)
        raise wrong_type(found, path, " or ".join(expected_words))
    for expected_range in ranges:
        _check_range(found, expected_range, path)


def _kinds(expected: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type."""
    return get_args(expected) if get_origin(expected) in (Union, types.UnionType) else (expected,)


def _fits(value: Any, kind: Any) -> bool:
    """Whether a plain value may be of a type. For types outside YAML, the library decides."""
    origin = get_origin(kind) or kind
    if origin is Literal:  # compare a name with a number to fill in, `pissa_niter_[number of iters]`, by its beginning
        options = get_args(kind)
        return value in options or any(
            isinstance(value, str) and "[" in str(option) and value.startswith(option.partition("[")[0])
            for option in options
        )
    if origin in (list, tuple):
        (entry, *_) = get_args(kind) or (Any,)
        return isinstance(value, list) and all(any(_fits(each, one) for one in _kinds(entry)) for each in value)
    if origin is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if origin in (bool, int, str, type(None)):
        return type(value) is origin
    if origin is dict or dataclasses.is_dataclass(origin):
        return isinstance(value, dict)
    return True
