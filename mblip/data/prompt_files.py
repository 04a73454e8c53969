"""The files of wordings, prompts/<code>.yaml: read and checked.

en.yaml holds the English wordings, every other file native ones, in the language that names it. A file maps tasks to
`wordings`, a list, and, in English, `held_out`, the one that training never sees. A wording is a `text` and the
`source` it comes from.

A text has a placeholder for every input of its task ("{question}"). English ones may name the example's language in
English ("{language}"); native ones need not, and must not.

Native wordings are written by hand, or by a translation engine: `native_wordings_from` checks what an engine made and
notes which one it was, `wordings_yaml` makes the file.
"""

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from .languages import ENGLISH, get_language

NUM_ENGLISH_WORDINGS = 6  # at least so many a task

Inputs = Mapping[str, tuple[str, ...]]  # task -> the names of its inputs


@dataclass(frozen=True)
class Wording:
    """A way to ask for a task, and where it comes from."""

    text: str
    source: str


@dataclass(frozen=True)
class TaskWordings:
    """The wordings of a task in a language; native ones have none held out."""

    wordings: tuple[Wording, ...]
    held_out: Wording | None = None


@dataclass(frozen=True)
class WordingTranslation:
    """A wording of `task` that an engine made of an English one."""

    task: str
    text: str
    engine: str
    model: str
    revision: str


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would keep the last without a word."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [self.construct_object(key) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.YAMLError(f"{', '.join(twice)} stands twice, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def read_wordings(language: str, inputs: Inputs, folder: Path | None = None) -> Mapping[str, TaskWordings]:
    """The wordings of a language by task; empty where it has no file.

    Args:
        inputs: the names of the inputs of all tasks.
        folder: where the file is; None: among the package's own.

    Raises:
        ValueError: the file is not as the head of this module says; the message names file and task.
    """
    name = f"{get_language(language).code}.yaml"
    file = (folder or files("mblip.data").joinpath("prompts")).joinpath(name)
    if not file.is_file() and language != ENGLISH:
        return {}
    called = f"prompts/{name}" if folder is None else str(file)
    return parse_wordings(file.read_text(encoding="utf-8"), called, inputs, is_english=language == ENGLISH)


def parse_wordings(text: str, file: str, inputs: Inputs, *, is_english: bool) -> Mapping[str, TaskWordings]:
    """The content of a file of wordings; `file` is what errors call it. Raises what `read_wordings` raises."""
    try:
        content = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{file} cannot be read: {error}.") from error
    return _check(content, file, inputs, is_english=is_english)


def native_wordings_from(translations: Iterable[WordingTranslation], inputs: Inputs) -> Mapping[str, TaskWordings]:
    """What an engine made of English wordings, as native ones with the engine as their source; equal ones become one.

    Raises:
        ValueError: a translation has lost a placeholder or has another, or its task is unknown.
    """
    texts: dict[str, dict[str, str]] = {}
    for made in translations:
        source = f"translated by {made.engine} {made.model} {made.revision}"
        texts.setdefault(made.task, {}).setdefault(made.text, source)
    content = {
        task: {"wordings": [{"text": text, "source": source} for text, source in of_task.items()]}
        for task, of_task in texts.items()
    }
    return _check(content, "Translated wordings", inputs, is_english=False)


def wordings_yaml(wordings: Mapping[str, TaskWordings]) -> str:
    """The file of native wordings, as `parse_wordings` reads it."""
    content = {
        task: {"wordings": [{"text": wording.text, "source": wording.source} for wording in of_task.wordings]}
        for task, of_task in wordings.items()
    }
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=10_000)


def _check(content: Any, file: str, inputs: Inputs, *, is_english: bool) -> Mapping[str, TaskWordings]:
    if not isinstance(content, dict) or not set(content) <= set(inputs):
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{file} holds {found}, expected some of the tasks {', '.join(inputs)}.")
    read = {task: _task(content[task], f"{file}, {task}", inputs[task], is_english) for task in content}
    if is_english and set(read) != set(inputs):
        raise ValueError(f"{file} lacks the tasks {sorted(set(inputs) - set(read))}. English has wordings for all.")
    asks_for: dict[str, str] = {}
    for task, of_task in read.items():
        for wording in of_task.wordings:
            if asks_for.setdefault(wording.text, task) != task:
                raise ValueError(f"{file}, {task}: {wording.text!r} asks for {asks_for[wording.text]} too.")
    return read


def _task(content: Any, place: str, inputs: tuple[str, ...], is_english: bool) -> TaskWordings:
    expected = {"wordings", "held_out"} if is_english else {"wordings"}
    if not isinstance(content, dict) or set(content) != expected or not isinstance(content["wordings"], list):
        raise ValueError(f"{place}: found {content!r}, expected {sorted(expected)}, the wordings as a list.")
    allowed = {*inputs, "language"} if is_english else {*inputs}
    wordings = tuple(_wording(wording, place, inputs, allowed) for wording in content["wordings"])
    held_out = _wording(content["held_out"], place, inputs, allowed) if is_english else None
    texts = [wording.text for wording in (*wordings, *([held_out] if held_out else []))]
    twice = sorted({text for text in texts if texts.count(text) > 1})
    if twice:
        raise ValueError(f"{place}: {twice} stands more than once. Take all but one out; held_out is never drawn.")
    num_expected = NUM_ENGLISH_WORDINGS if is_english else 1
    if len(wordings) < num_expected:
        raise ValueError(
            f"{place}: found {len(wordings)} wording(s), expected at least {num_expected}. "
            "A model learns the wording instead of the task where there are few."
        )
    return TaskWordings(wordings, held_out)


def _wording(content: Any, place: str, inputs: tuple[str, ...], allowed: set[str]) -> Wording:
    if not isinstance(content, dict) or set(content) != {"text", "source"}:
        raise ValueError(f"{place}: found the wording {content!r}, expected `text` and `source`.")
    text, source = content["text"], content["source"]
    if not (isinstance(text, str) and text.strip() and isinstance(source, str) and source.strip()):
        raise ValueError(f"{place}: found text {text!r} and source {source!r}, expected words for both, in quotes.")
    found = placeholders(text, place)
    if not set(inputs) <= found <= allowed:
        raise ValueError(
            f"{place}: {text!r} has the placeholders {sorted(found)}, "
            f"expected {sorted(inputs)}, and besides at most {sorted(allowed - set(inputs))}."
        )
    return Wording(text, source)


def placeholders(text: str, place: str) -> set[str]:
    """The names in braces of a wording.

    Raises:
        ValueError: a brace stands alone, or a placeholder is more than a name.
    """
    try:
        parsed = [(name, spec, conversion) for _, name, spec, conversion in string.Formatter().parse(text)]
    except ValueError as error:
        raise ValueError(f"{place}: {text!r} has a brace that stands alone ({error}). Write it twice.") from error
    for name, spec, conversion in parsed:
        if name is not None and (spec or conversion or not name.isidentifier()):
            raise ValueError(f"{place}: {text!r} has the placeholder {name!r}, expected a plain name in braces.")
    return {name for name, _, _ in parsed if name is not None}
