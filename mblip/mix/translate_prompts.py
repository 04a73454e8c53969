"""Translate the English prompt templates into native ones with a translation engine.

    mblip translate-prompts fi,ta,zu --model facebook/nllb-200-distilled-1.3B --output templates

writes templates/fi.yaml and so on. Each template states its origin, and the head of the file lists all refused
templates. Read them; correct or delete lines. With `prompts: {native_share: 0.3, native_folder: templates}`, a mix's
recipe then draws from them too. To share a file with everyone, add it to mblip/data/prompts.
"""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args, get_type_hints

from mblip.atomic_write import write_text
from mblip.data.languages import ENGLISH, Language, get_language, prompt_name
from mblip.data.prompt_files import (
    TaskTemplates,
    TemplateTranslation,
    native_templates_from,
    placeholders,
    templates_yaml,
)
from mblip.data.prompts import INPUTS, TASKS, native_templates
from mblip.data.recipes.dotted import is_dotted
from mblip.data.recipes.ranges import count

from .translation.checks import Failure
from .translation.engines import OwnEngine, TranslationEngine, TranslationSettings
from .translation.nllb import open_engines
from .translation.report import TRANSLATED, TranslationReport
from .translation.texts import TranslatedText, translate_texts

OF_NLLB = ("model", "revision", "num_beams")  # options
MODEL = "facebook/nllb-200-distilled-1.3B"
ANSWERED_BY_CHOICE = frozenset({"image_deciding", "matching", "entailment", "two_image_statement"})
ENGLISH_ANSWERS = re.compile(r"\b(?:yes|no|maybe)\b", re.IGNORECASE)


@dataclass(frozen=True)
class RefusedTemplate:
    """A template without a good translation: the source, the translation, and the reason for refusing it."""

    task: str
    source_text: str
    text: str
    failure: Failure

    def __str__(self) -> str:
        return f"{self.task}: {self.source_text!r} -> {self.text!r} ({self.failure})"


@dataclass(frozen=True)
class MadeTemplates:
    """The templates that an engine made of the English ones, and those that were refused."""

    templates: Mapping[str, TaskTemplates]
    refused: tuple[RefusedTemplate, ...]

    @property
    def num_templates(self) -> int:
        return sum(len(of_task.templates) for of_task in self.templates.values())


def translate_templates(
    language: str, engine: TranslationEngine, *, retry_engine: TranslationEngine | None = None
) -> MadeTemplates:
    """The English templates of all tasks in `language`, except those that the language already has.

    The engine gets a template with the language's name in it ("Caption in Finnish:"). Placeholders are protected as in
    any text. Answers that a task wants in English are protected too, because they stand in quotation marks. The
    held-out template is skipped. Every translation is checked, but the checks cannot tell whether a template asks for
    the right thing.

    Raises:
        ValueError: the language is English, or unknown to the table or an engine.
    """
    target = get_language(language)
    if language == ENGLISH:
        raise ValueError("Found the language 'en', expected another language. Templates are translated from English.")
    asked = [
        (task, _to_translate(task, template.text, target)) for task in TASKS for template in TASKS[task].templates
    ]
    texts = [text for _, text in asked]
    found = translate_texts(texts, engine, get_language(ENGLISH), target, retry_engine=retry_engine)
    asks_for = dict(_written(language))
    made: list[TemplateTranslation] = []
    refused: list[RefusedTemplate] = []
    for (task, text), translated in zip(asked, found, strict=True):
        failure = translated.failure or _why_unusable(task, translated.text, asks_for)
        if failure is not None:
            refused.append(RefusedTemplate(task, text, translated.text, failure))
            continue
        asks_for[translated.text] = task
        made.append(_with_origin(task, translated))
    return MadeTemplates(native_templates_from(made, INPUTS), tuple(refused))


def main(arguments: Sequence[str]) -> None:
    """The command: translate, write the files, and print the counts."""
    parser = _parser()
    given = parser.parse_args(arguments)
    of_nllb = [f"--{name}" for name in OF_NLLB if vars(given)[name] != parser.get_default(name)]
    if of_nllb and is_dotted(given.engine):
        raise ValueError(
            f"`{given.engine}` is your own engine, which {', '.join(of_nllb)} would not reach. Leave it out."
        )
    paths = {code: given.output / f"{get_language(code).code}.yaml" for code in given.languages.split(",")}
    there = sorted(str(path) for path in paths.values() if path.exists())
    if there:
        raise ValueError(f"Found {', '.join(there)}, which may hold manual corrections. Give another --output.")
    built_in = TranslationSettings(given.model, given.engine, given.revision, given.num_beams)
    settings = OwnEngine(given.engine, folder=Path.cwd()) if is_dotted(given.engine) else built_in
    engine, careful = open_engines(settings, converted=given.output / ".ctranslate2")
    report = TranslationReport()
    for language, path in paths.items():
        made = translate_templates(language, engine, retry_engine=careful)
        _count(language, made, report)
        write_text(path, _file(language, made, engine))
        print(f"{path}: {made.num_templates} templates, {len(made.refused)} refused")
    print(report.table())


def _to_translate(task: str, text: str, language: Language) -> str:
    """An English template as the engine gets it."""
    if task in ANSWERED_BY_CHOICE:
        text = ENGLISH_ANSWERS.sub(lambda answer: f'"{answer[0].lower()}"', text)
    return text.replace("{language}", prompt_name(language.code))


def _written(language: str) -> Iterator[tuple[str, str]]:
    """The existing templates of a language, with their tasks."""
    for task in TASKS:
        yield from ((template.text, task) for template in native_templates(language, task))


def _why_unusable(task: str, text: str, asks_for: Mapping[str, str]) -> Failure | None:
    """Why a good translation is a bad template. `asks_for` gives the accepted texts and their tasks."""
    try:
        found = placeholders(text, task)
    except ValueError as error:
        return Failure("placeholders", str(error))
    if found != set(INPUTS[task]):
        return Failure("placeholders", f"{sorted(found)}, expected {sorted(INPUTS[task])}")
    if text in asks_for:
        return Failure("equal to another template", f"of {asks_for[text]}")
    return None


def _with_origin(task: str, translated: TranslatedText) -> TemplateTranslation:
    engine = translated.engine
    return TemplateTranslation(task, translated.text, engine=engine.name, model=engine.model, revision=engine.revision)


def _file(language: str, made: MadeTemplates, engine: TranslationEngine) -> str:
    """The text of a template file, with its head."""
    head = [
        f"{get_language(language).name} templates, translated from the English ones and read by nobody yet.",
        f"Engine: {engine.name}. Model: {engine.model}, revision {engine.revision}.",
        f"{made.num_templates} templates; refused: {len(made.refused)}.",
        *(f"- {refused}" for refused in made.refused),
    ]
    return "".join(f"# {line}\n" for line in head) + "\n" + templates_yaml(made.templates)


def _count(language: str, made: MadeTemplates, report: TranslationReport) -> None:
    for _ in range(made.num_templates):
        report.add(language, TRANSLATED)
    for refused in made.refused:
        report.add_failure(language, refused.failure, source_text=refused.source_text, translation=refused.text)


def _engine(text: str) -> str:
    if text not in get_args(get_type_hints(TranslationSettings)["engine"]) and not is_dotted(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not transformers, ctranslate2 or `my_module:my_engine`")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mblip translate-prompts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("languages", help="codes of mblip/data/languages.tsv, with commas between them")
    parser.add_argument("--output", type=Path, required=True, help="the folder of the files")
    parser.add_argument("--model", default=MODEL, help="an NLLB, by name or folder; default: %(default)s")
    parser.add_argument("--revision", help="which commit of a model on the Hub")
    parser.add_argument(
        "--engine", type=_engine, default="transformers", help="or ctranslate2, or yours, `my_module:my_engine`"
    )
    parser.add_argument("--num_beams", type=count, default=4, help="default: %(default)s")
    return parser
