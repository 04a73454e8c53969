"""Native wordings made of the English ones by a translation engine.

A wording is given to the engine with the language's name in it ("Caption in Finnish:"). Its placeholders are protected
as any text's are, and so are the answers that a task wants in English: they stand in quotation marks. The wording that
is held out of training is left out here, too.

The checks of every translation hold. They cannot tell whether a wording asks for what it should: have somebody who
knows the language read them before training on them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mblip.data.languages import ENGLISH, Language, get_language, prompt_name
from mblip.data.prompt_files import TaskWordings, WordingTranslation, native_wordings_from, placeholders
from mblip.data.prompts import INPUTS, TASKS, native_wordings

from .checks import Failure
from .engines.engine import TranslationEngine
from .texts import TranslatedText, translate_texts

ANSWERED_BY_CHOICE = frozenset({"image_deciding", "matching", "entailment", "two_image_statement"})
ENGLISH_ANSWERS = re.compile(r"\b(?:yes|no|maybe)\b", re.IGNORECASE)


@dataclass(frozen=True)
class RefusedWording:
    """A wording of a task that has no good translation: what it was, what came, and why that is refused."""

    task: str
    source_text: str
    text: str
    failure: Failure

    def __str__(self) -> str:
        return f"{self.task}: {self.source_text!r} -> {self.text!r} ({self.failure})"


@dataclass(frozen=True)
class MadeWordings:
    """What an engine made of all English wordings."""

    wordings: Mapping[str, TaskWordings]
    refused: tuple[RefusedWording, ...]

    @property
    def num_wordings(self) -> int:
        return sum(len(of_task.wordings) for of_task in self.wordings.values())


def translate_wordings(
    language: str, engine: TranslationEngine, *, retry_engine: TranslationEngine | None = None
) -> MadeWordings:
    """The English wordings of all tasks, in `language`, but for those that the language has already.

    Raises:
        ValueError: the language is English or unknown, to the table or to an engine.
    """
    target = get_language(language)
    if language == ENGLISH:
        raise ValueError("Found the language 'en', expected another one: English wordings are what is translated.")
    asked = [(task, _to_translate(task, wording.text, target)) for task in TASKS for wording in TASKS[task].wordings]
    texts = [text for _, text in asked]
    found = translate_texts(texts, engine, get_language(ENGLISH), target, retry_engine=retry_engine)
    asks_for = dict(_written(language))
    made: list[WordingTranslation] = []
    refused: list[RefusedWording] = []
    for (task, text), translated in zip(asked, found, strict=True):
        failure = translated.failure or _why_unusable(task, translated.text, asks_for)
        if failure is not None:
            refused.append(RefusedWording(task, text, translated.text, failure))
            continue
        asks_for[translated.text] = task
        made.append(_with_origin(task, translated))
    return MadeWordings(native_wordings_from(made, INPUTS), tuple(refused))


def _to_translate(task: str, text: str, language: Language) -> str:
    """An English wording as the engine gets it."""
    if task in ANSWERED_BY_CHOICE:
        text = ENGLISH_ANSWERS.sub(lambda answer: f'"{answer[0].lower()}"', text)
    return text.replace("{language}", prompt_name(language.code))


def _written(language: str) -> Iterator[tuple[str, str]]:
    """The wordings that a language has, with their tasks."""
    for task in TASKS:
        yield from ((wording.text, task) for wording in native_wordings(language, task))


def _why_unusable(task: str, text: str, asks_for: Mapping[str, str]) -> Failure | None:
    """What makes a good translation a bad wording: `asks_for` are the texts that are taken, with their tasks."""
    try:
        found = placeholders(text, task)
    except ValueError as error:
        return Failure("placeholders", str(error))
    if found != set(INPUTS[task]):
        return Failure("placeholders", f"{sorted(found)}, expected {sorted(INPUTS[task])}")
    if text in asks_for:
        return Failure("equal to another wording", f"of {asks_for[text]}")
    return None


def _with_origin(task: str, translated: TranslatedText) -> WordingTranslation:
    engine = translated.engine
    return WordingTranslation(task, translated.text, engine=engine.name, model=engine.model, revision=engine.revision)
