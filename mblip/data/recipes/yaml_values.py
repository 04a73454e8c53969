"""YAML with locations: every value knows its file and line, so that errors can name them.

Unquoted scalars follow YAML 1.2. PyYAML follows YAML 1.1, where a bare `no` (Norwegian in a list of languages) is
False and `2e-5` is text. Here only `true` and `false` are booleans, and `2e-5` is a number. A repeated key is an
error. So are aliases and tags, which no recipe needs: a few lines of aliases can stand for gigabytes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import yaml

MAX_BYTES = 1 << 20
MAX_DEPTH = 50  # lists and mappings inside one another


@dataclass(frozen=True)
class Located:
    """A value and its location. `value` is a dict of str to `Located`, a list of `Located`, or a plain scalar.

    `folder` is the recipe's. Dotted paths are looked up there.
    """

    value: Any
    location: str
    folder: Path = Path()


class _Loader(yaml.SafeLoader):
    """Resolves unquoted scalars by the core schema of YAML 1.2."""

    folder = Path()  # the recipe's
    depth = 0  # of the node that is read

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        problem = None
        if isinstance(event, yaml.AliasEvent):
            problem = f"found the alias *{event.anchor}, expected the value itself"
        elif event.tag is not None:
            problem = f"found the tag {event.tag}, expected a value without one"
        elif self.depth == MAX_DEPTH:
            problem = f"found more than {MAX_DEPTH} lists and mappings inside one another"
        if problem is not None:
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        self.depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 (PyYAML's own declaration)


class _Dumper(yaml.SafeDumper):
    """Quotes text that either YAML version would read as something else, and writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    yaml_implicit_resolvers = {  # noqa: RUF012
        character: list(resolvers) for character, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }


for _tag, _pattern, _first_characters in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
):
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first_characters)


def read_yaml(path: Path) -> Located:
    """The content of a YAML file.

    Raises:
        ValueError: the file is missing, empty or too large, is not YAML, repeats a key, or has an alias or a tag. The
            message names file and line.
    """
    if not path.is_file():
        raise ValueError(f"There is no recipe {path}. Paths are relative to the working directory, {Path.cwd()}.")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes, expected a recipe of at most {MAX_BYTES:,}.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8, expected a recipe: {error}.") from error
    return _parse(text, str(path), path.parent.absolute())


def parse_yaml(text: str, name: str) -> Any:
    """The plain values of a YAML text. Raises ValueError as `read_yaml`, with `name` as the file's."""
    return to_plain_values(_parse(text, name, Path()))


def parse_scalar(text: str, location: str, folder: Path = Path()) -> Located:
    """A command-line value for a recipe in `folder`, read as YAML: `20`, `2e-5`, `true`, `[de, no]`. `{language}` is
    text."""
    is_mark = re.fullmatch(r"\{\w+\}\S*", text)
    return Located(text, location, folder) if is_mark else _parse(text, location, folder, has_lines=False)


def found_beside(found: Located, folder: Path) -> Located:
    """The same values, with dotted paths looked up in `folder`."""
    value = found.value
    if isinstance(value, dict):
        value = {key: found_beside(entry, folder) for key, entry in value.items()}
    elif isinstance(value, list):
        value = [found_beside(entry, folder) for entry in value]
    return Located(value, found.location, folder)


def replace_field(found: Located, path: str, value: Located) -> Located:
    """Replace or add the field at `path`, such as `stages.1.learning_rate`. Conversion checks later whether it may
    exist.

    Raises:
        ValueError: the path leads to a position that a list does not have, or is too deep.
    """
    if path.count(".") > MAX_DEPTH:
        raise ValueError(f"{value.location[:60]}...: found {path.count('.'):,} points, expected at most {MAX_DEPTH}.")
    return _replace(found, path.split("."), value, ())


def to_plain_values(found: Located) -> Any:
    """The values without their locations."""
    if isinstance(found.value, dict):
        return {key: to_plain_values(value) for key, value in found.value.items()}
    if isinstance(found.value, list):
        return [to_plain_values(value) for value in found.value]
    return found.value


def locate(value: Any, location: str) -> Located:
    """Plain values, all with one location."""
    if isinstance(value, dict):
        value = {key: locate(entry, location) for key, entry in value.items()}
    elif isinstance(value, list):
        value = [locate(entry, location) for entry in value]
    return Located(value, location)


def write_yaml(value: Any) -> str:
    """Plain values as YAML, keys in order. `read_yaml` gives the same values back."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def without_folders(value: Any) -> Any:
    """Values without this machine's folders, which others cannot use and need not know."""
    if isinstance(value, dict):
        return {key: without_folders(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [without_folders(entry) for entry in value]
    return without_folder(value) if isinstance(value, str) else value


def without_folder(name: str) -> str:
    """A path of this machine reduced to its last part, also behind `::` or file://. Other text stays unchanged."""
    member, separator, file = name.rpartition("::")
    path = file.removeprefix("file://")
    is_elsewhere = PurePath(path).is_absolute() or path.startswith(("..", "~"))
    return f"{member}{separator}{PurePath(path).name}" if is_elsewhere else name


def _replace(found: Located, keys: Sequence[str], value: Located, above: tuple[str, ...]) -> Located:
    """`found` with the field at the path `keys` replaced or added. Conversion checks later whether it may exist."""
    if not keys:
        return value
    key, *rest = keys
    if isinstance(found.value, list):
        if not key.isdecimal() or len(key) > 9 or int(key) >= len(found.value):
            raise ValueError(
                f"{value.location}: `{'.'.join(above)}` is a list of {len(found.value)} entries, but found the "
                f"position {key!r}. Give a number from 0 to {len(found.value) - 1}."
            )
        entries = list(found.value)
        entries[int(key)] = _replace(entries[int(key)], rest, value, (*above, key))
        return Located(entries, _location(found, value), found.folder)
    fields = found.value if isinstance(found.value, dict) else {}
    for known in fields:  # a key may contain dots, such as the dotted path of a user's own task
        if "." in known and list(keys[: known.count(".") + 1]) == known.split("."):
            key, rest = known, list(keys[known.count(".") + 1 :])
    entry = fields.get(key)
    inner = Located({}, value.location, value.folder) if entry is None or (rest and entry.value is None) else entry
    return Located(fields | {key: _replace(inner, rest, value, (*above, key))}, _location(found, value), found.folder)


def _location(found: Located, value: Located) -> str:
    """The location of a value, part of which the command line replaces: `recipe.yaml, line 4, with --seed`."""
    if value.location in found.location:
        return found.location
    return f"{found.location}{', ' if ', with --' in found.location else ', with '}{value.location}"


def _parse(text: str, name: str, folder: Path, *, has_lines: bool = True) -> Located:
    def error(line: int, problem: str | None) -> ValueError:
        where = f", line {line}" if has_lines else ""
        return ValueError(f"{name} cannot be read as YAML{where}: {problem}.")

    try:
        loader = _Loader(text)
        loader.folder = folder
        node = loader.get_single_node()
        if node is None:
            if has_lines:
                raise ValueError(f"{name} is empty, expected YAML.")
            return Located(None, name, folder)
        return _locate(node, loader, name, has_lines)
    except yaml.reader.ReaderError as found:
        raise error(text.count("\n", 0, found.position) + 1, f"the character {text[found.position]!a}") from found
    except yaml.MarkedYAMLError as found:
        mark = found.problem_mark or found.context_mark
        raise error(mark.line + 1 if mark else 1, found.problem or found.context) from found


def _locate(node: yaml.Node, loader: _Loader, name: str, has_lines: bool) -> Located:
    location = f"{name}, line {node.start_mark.line + 1}" if has_lines else name
    if isinstance(node, yaml.MappingNode):
        return Located(_locate_mapping(node, loader, name, has_lines), location, loader.folder)
    if isinstance(node, yaml.SequenceNode):
        return Located([_locate(entry, loader, name, has_lines) for entry in node.value], location, loader.folder)
    if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":int"):
        if len(node.value) > 4000:  # Python converts no more than 4,300
            raise ValueError(f"{location}: found a number of {len(node.value):,} digits, expected at most 4,000.")
        return Located(int(node.value), location, loader.folder)  # PyYAML would read 010 as eight
    return Located(loader.construct_object(node), location, loader.folder)


def _locate_mapping(node: yaml.MappingNode, loader: _Loader, name: str, has_lines: bool) -> dict[str, Located]:
    entries: dict[str, Located] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise ValueError(f"{name}, line {line}: found a list or mapping as a key, expected text.")
        key = key_node.value
        value = _locate(value_node, loader, name, has_lines)
        if key in entries:
            raise ValueError(f"{name}, line {line}: the key {key!r} is repeated. Keep one of them.")
        entries[key] = value
    return entries
