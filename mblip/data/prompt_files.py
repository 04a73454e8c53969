"""The files of prompt templates, prompts/<code>.yaml: read and checked.

en.yaml holds the English templates. Every other file holds native templates, in the language of its name. A file maps
tasks to a list of `templates`. English tasks also have `held_out`, the template that training never uses. A template
has a `text` and the `source` it comes from.

A text has a placeholder for every input of its task ("{question}"). English texts may also name the example's language
in English ("{language}"). Native texts must not.

Native templates come from a person or from a translation engine. `native_templates_from` checks an engine's templates
and records the engine. `templates_yaml` writes the file.
"""

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from .languages import ENGLISH, get_language
from .recipes.yaml_values import parse_yaml

NUM_ENGLISH_TEMPLATES = 6  # the minimum per task

Inputs = Mapping[str, tuple[str, ...]]  # task -> the names of its inputs


@dataclass(frozen=True)
class PromptTemplate:
    """A prompt template, and where it comes from."""

    text: str
    source: str


@dataclass(frozen=True)
class TaskTemplates:
    """The templates of a task in one language. Native templates have no held-out one."""

    templates: tuple[PromptTemplate, ...]
    held_out: PromptTemplate | None = None


@dataclass(frozen=True)
class TemplateTranslation:
    """A template of `task` that an engine translated from English."""

    task: str
    text: str
    engine: str
    model: str
    revision: str


def read_templates(language: str, inputs: Inputs, folder: Path | None = None) -> Mapping[str, TaskTemplates]:
    """The templates of a language by task. Empty if the language has no file.

    Args:
        inputs: the names of the inputs of all tasks.
        folder: the file's folder. None: the package's own.
    Raises:
        ValueError: the file does not follow this module's description. The message names file and task.
    """
    name = f"{get_language(language).code}.yaml"
    file = (folder or files("mblip.data").joinpath("prompts")).joinpath(name)
    if not file.is_file() and language != ENGLISH:
        return {}
    called = f"prompts/{name}" if folder is None else str(file)
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{called} is not text in UTF-8, expected templates: {error}.") from error
    return parse_templates(text, called, inputs, is_english=language == ENGLISH)


def parse_templates(text: str, file: str, inputs: Inputs, *, is_english: bool) -> Mapping[str, TaskTemplates]:
    """The templates in a file's `text`. `file` is its name in errors, which are those of `read_templates`."""
    return _check(parse_yaml(text, file), file, inputs, is_english=is_english)


def native_templates_from(translations: Iterable[TemplateTranslation], inputs: Inputs) -> Mapping[str, TaskTemplates]:
    """Native templates from an engine's translations, with the engine as their source. Equal templates become one.

    Raises:
        ValueError: a translation lacks a placeholder or has an unknown one, or its task is unknown.
    """
    texts: dict[str, dict[str, str]] = {}
    for made in translations:
        source = f"translated by {made.engine} {made.model} {made.revision}"
        texts.setdefault(made.task, {}).setdefault(made.text, source)
    content = {
        task: {"templates": [{"text": text, "source": source} for text, source in of_task.items()]}
        for task, of_task in texts.items()
    }
    return _check(content, "Translated templates", inputs, is_english=False)


def templates_yaml(templates: Mapping[str, TaskTemplates]) -> str:
    """Native templates as YAML that `parse_templates` reads."""
    content = {
        task: {"templates": [{"text": template.text, "source": template.source} for template in of_task.templates]}
        for task, of_task in templates.items()
    }
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=10_000)


def _check(content: Any, file: str, inputs: Inputs, *, is_english: bool) -> Mapping[str, TaskTemplates]:
    if not isinstance(content, dict) or not set(content) <= set(inputs):
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{file} holds {found}, expected some of the tasks {', '.join(inputs)}.")
    read = {task: _task(content[task], f"{file}, {task}", inputs[task], is_english) for task in content}
    if is_english and set(read) != set(inputs):
        raise ValueError(
            f"{file} lacks the tasks {sorted(set(inputs) - set(read))}. English needs templates for all tasks."
        )
    asks_for: dict[str, str] = {}
    for task, of_task in read.items():
        for template in of_task.templates:
            if asks_for.setdefault(template.text, task) != task:
                raise ValueError(
                    f"{file}, {task}: {template.text!r} also stands under {asks_for[template.text]}. Keep one."
                )
    return read


def _task(content: Any, location: str, inputs: tuple[str, ...], is_english: bool) -> TaskTemplates:
    expected = {"templates", "held_out"} if is_english else {"templates"}
    if not isinstance(content, dict) or set(content) != expected or not isinstance(content["templates"], list):
        raise ValueError(f"{location}: found {content!r}, expected {sorted(expected)}, the templates as a list.")
    allowed = {*inputs, "language"} if is_english else {*inputs}
    templates = tuple(_template(template, location, inputs, allowed) for template in content["templates"])
    held_out = _template(content["held_out"], location, inputs, allowed) if is_english else None
    texts = [template.text for template in (*templates, *([held_out] if held_out else []))]
    twice = sorted({text for text in texts if texts.count(text) > 1})
    if twice:
        raise ValueError(f"{location}: {twice} appears more than once. Keep one; training never draws held_out.")
    num_expected = NUM_ENGLISH_TEMPLATES if is_english else 1
    if len(templates) < num_expected:
        raise ValueError(
            f"{location}: found {len(templates)} template(s), expected at least {num_expected}. "
            "With fewer, a model learns the template instead of the task."
        )
    return TaskTemplates(templates, held_out)


def _template(content: Any, location: str, inputs: tuple[str, ...], allowed: set[str]) -> PromptTemplate:
    if not isinstance(content, dict) or set(content) != {"text", "source"}:
        raise ValueError(f"{location}: found the template {content!r}, expected `text` and `source`.")
    text, source = content["text"], content["source"]
    if not (isinstance(text, str) and text.strip() and isinstance(source, str) and source.strip()):
        raise ValueError(f"{location}: found text {text!r} and source {source!r}, expected text for both, in quotes.")
    found = placeholders(text, location)
    if not set(inputs) <= found <= allowed:
        raise ValueError(
            f"{location}: {text!r} has the placeholders {sorted(found)}, "
            f"expected {sorted(inputs)}, and optionally {sorted(allowed - set(inputs))}."
        )
    return PromptTemplate(text, source)


def placeholders(text: str, location: str) -> set[str]:
    """The names in braces of a template.

    Raises:
        ValueError: a brace is unmatched, or a placeholder is more than a name.
    """
    try:
        parsed = [(name, spec, conversion) for _, name, spec, conversion in string.Formatter().parse(text)]
    except ValueError as error:
        raise ValueError(
            f"{location}: {text!r} has an unmatched brace ({error}). For a literal brace, write it twice."
        ) from error
    for name, spec, conversion in parsed:
        if name is not None and (spec or conversion or not name.isidentifier()):
            raise ValueError(f"{location}: {text!r} has the placeholder {name!r}, expected a plain name in braces.")
    return {name for name, _, _ in parsed if name is not None}
