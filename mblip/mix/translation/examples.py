"""Translating English examples into their allotted languages.

    engine = CachedEngine(NllbEngine("facebook/nllb-200-distilled-1.3B"), TranslationCache(path))
    report = TranslationReport()
    for example in translate_examples(examples, engine, allot=allot, report=report): ...

Only the parts that a task names (`Task.translated`) are translated. Prompt templates come later (`apply_prompt`). The
example's provenance records the source text and the translator of every translated part.

In VQA, the question is translated like any text, and the answer more carefully (answers.py). If the answer stays
English, the example becomes a question in any language with an English answer.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from mblip.data.example import Example
from mblip.data.languages import ENGLISH, get_language, translation_target
from mblip.data.prompts import get_task

from .answers import AnswerTranslator
from .engines import OnFailure, TranslationEngine
from .report import (
    ANSWERS_KEPT_ENGLISH,
    ANSWERS_TRANSLATED,
    IN_PIECES,
    RETRIED,
    SKIPPED,
    STAYED_ENGLISH,
    TRANSLATED,
    TranslationReport,
)
from .texts import TranslatedText, translate_texts

# Tasks with short answers -> the task of an example whose answer stays English.
ANSWER_TASKS: Mapping[str, str] = MappingProxyType({"vqa": "vqa_in_english"})
WINDOW = 16_384


def translate_examples(
    examples: Iterable[Example],
    engine: TranslationEngine,
    *,
    allot: Callable[[Example], str],
    report: TranslationReport,
    retry_engine: TranslationEngine | None = None,
    on_failure: OnFailure = "skip",
    translatable_answers: Collection[str] = frozenset(),
    window: int = WINDOW,
    as_released: bool = False,
) -> Iterator[Example]:
    """The examples in order, each in its language, reading `window` of them at a time.

    Args:
        allot: gives the language code of an English example. An example passes unchanged if it is in another language
            already, has a task without translated parts, or is allotted English.
        retry_engine: translates texts that failed the checks again, such as `engine.with_decoding(CAREFUL)`.
        on_failure: what to do with an example if a part has no good translation. It is counted in `report`.
        translatable_answers: answers of VQA to translate (`choose_translatable_answers`). Other answers stay English
            and are counted, as do those whose translation does not translate back to the same word.
        as_released: translate into and check as Traditional Chinese and Central Kurdish, as in the original.
    Raises:
        ValueError: an example already has a prompt, or the engine does not know a language. The message names it.
    """
    answers = AnswerTranslator(engine, translatable_answers, report)
    translator = _WindowTranslator(engine, retry_engine, answers, report, as_released)
    remaining = iter(examples)
    while examples_of_window := list(itertools.islice(remaining, window)):
        allotted = [_language_of(example, allot) for example in examples_of_window]
        translated = translator.translate(examples_of_window, allotted)
        for example, language, result in zip(examples_of_window, allotted, translated, strict=True):
            if result is not None:
                yield result
            elif on_failure == "stay_english":
                report.add(language, STAYED_ENGLISH)
                yield example
            else:
                report.add(language, SKIPPED)


def _language_of(example: Example, allot: Callable[[Example], str]) -> str:
    """The language that an example should be in."""
    if example.prompt:
        raise ValueError(
            f"{example.name} already has the prompt {example.prompt!r}. Translate first, then call `apply_prompt`."
        )
    if example.language != ENGLISH or not get_task(example.task).translated:
        return example.language
    return get_language(allot(example)).code


@dataclass
class _WindowTranslator:
    """Translates one window after another, with all texts of a language together."""

    engine: TranslationEngine
    retry_engine: TranslationEngine | None
    answers: AnswerTranslator
    report: TranslationReport
    as_released: bool

    def translate(self, examples: Sequence[Example], languages: Sequence[str]) -> list[Example | None]:
        """Each example in its language; None if a part has no good translation."""
        results: list[Example | None] = list(examples)
        by_language: dict[str, list[int]] = {}
        for position, (example, language) in enumerate(zip(examples, languages, strict=True)):
            if language != example.language:
                by_language.setdefault(language, []).append(position)
        for language, positions in sorted(by_language.items()):
            found = self._with_answers(
                self._with_texts([examples[position] for position in positions], language), language
            )
            for position, result in zip(positions, found, strict=True):
                results[position] = result
        return results

    def _with_answers(self, examples: Sequence[Example | None], language: str) -> list[Example | None]:
        """Examples of VQA with their answers translated or left in English. Other examples are unchanged."""
        asked = [example for example in examples if example is not None and example.task in ANSWER_TASKS]
        target = translation_target(language, self.as_released)
        translations = self.answers.translate([example.target for example in asked], target)
        return [
            self._with_answer(example, translations[example.target], language)
            if example is not None and example.task in ANSWER_TASKS
            else example
            for example in examples
        ]

    def _with_answer(self, example: Example, translation: str | None, language: str) -> Example:
        if translation is None:
            self.report.add(language, ANSWERS_KEPT_ENGLISH)
            return replace(example, task=ANSWER_TASKS[example.task])
        self.report.add(language, ANSWERS_TRANSLATED)
        translated = TranslatedText(example.target, translation, self.engine, None, is_in_pieces=False)
        return _with_parts(example, {"target": translated}, language)

    def _with_texts(self, examples: Sequence[Example], language: str) -> list[Example | None]:
        """Examples with all parts but answers translated; None if a part has no good translation."""
        parts = [_parts_to_translate(example) for example in examples]
        texts = list(dict.fromkeys(text for part in parts for text in part.values()))
        english, target = get_language(ENGLISH), translation_target(language, self.as_released)
        found = translate_texts(texts, self.engine, english, target, retry_engine=self.retry_engine)
        by_text = dict(zip(texts, found, strict=True))
        results: list[Example | None] = []
        for example, part in zip(examples, parts, strict=True):
            translated = {name: by_text[text] for name, text in part.items()}
            failed = [name for name, text in translated.items() if not self._is_good(text, language)]
            results.append(None if failed else _with_parts(example, translated, language))
        return results

    def _is_good(self, text: TranslatedText, language: str) -> bool:
        """Whether a translation may be used. It is counted either way."""
        if text.failure is not None:
            self.report.add_failure(language, text.failure, source_text=text.source_text, translation=text.text)
            return False
        self.report.add(language, TRANSLATED)
        if text.is_retried:
            self.report.add(language, RETRIED)
        if text.is_in_pieces:
            self.report.add(language, IN_PIECES)
        return True


def _parts_to_translate(example: Example) -> dict[str, str]:
    """The texts that the task names, without answers, by "target" or the name of the input."""
    names = get_task(example.task).translated
    parts = {name: example.target if name == "target" else example.inputs[name] for name in names}
    return {name: text for name, text in parts.items() if name != "target" or example.task not in ANSWER_TASKS}


def _with_parts(example: Example, parts: dict[str, TranslatedText], language: str) -> Example:
    """The example with its translated parts and their provenance."""
    inputs = {name: parts[name].text if name in parts else text for name, text in example.inputs.items()}
    provenance = dict(example.provenance)
    for name, part in parts.items():
        provenance |= {f"{name}.{key}": value for key, value in part.provenance.items()}
    target = parts["target"].text if "target" in parts else example.target
    return replace(example, language=language, target=target, inputs=inputs, provenance=provenance)
