"""Translating answers of VQA: single words, without context that shows their sense.

As in the original (gregor-ge/mBLIP, commit 0380e68), only frequent answers are translated. A translation is kept only
if it translates back to the same word. All other answers stay English. There are few distinct answers, so each is
translated once per language.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from mblip.data.languages import Language, get_language

from .checks import Failure, check_translation
from .engines import TranslationEngine
from .report import TranslationReport

MIN_ANSWER_COUNT = 15
FULL_STOPS = ".。।॥。።۔။។։"
NOT_THE_SAME_BACK = "answer comes back as another word"
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = re.compile(f"[{re.escape(string.punctuation + FULL_STOPS)}]")


def choose_translatable_answers(answers: Iterable[str], *, min_count: int = MIN_ANSWER_COUNT) -> frozenset[str]:
    """The answers to translate: those without digits that occur at least `min_count` times."""
    counts = Counter(answers)
    return frozenset(
        answer
        for answer, count in counts.items()
        if count >= min_count and not any(character.isdigit() for character in answer)
    )


def normal_answer(text: str) -> str:
    """The normal form of an answer, which ignores case, articles, punctuation and white space."""
    text = _PUNCTUATION.sub(" ", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(_ARTICLES.sub(" ", text).split())


@dataclass
class AnswerTranslator:
    """Translations of answers, stored by (answer, language code). None: the answer stays English.

    Only answers in `translatable_answers` are translated.
    """

    engine: TranslationEngine
    translatable_answers: Collection[str]
    report: TranslationReport
    _known: dict[tuple[str, str], str | None] = field(default_factory=dict, repr=False)

    def translate(self, answers: Iterable[str], target: Language) -> dict[str, str | None]:
        """The translation of each answer, or None if it stays English."""
        distinct = list(dict.fromkeys(answers))
        new = [
            answer
            for answer in distinct
            if answer in self.translatable_answers and (answer, target.code) not in self._known
        ]
        for answer, translation in zip(new, self._translate_new(new, target), strict=True):
            self._known[answer, target.code] = translation
        return {answer: self._known.get((answer, target.code)) for answer in distinct}

    def _translate_new(self, answers: Sequence[str], target: Language) -> list[str | None]:
        if not answers:
            return []
        english = get_language("en")
        translations = [
            tidy_answer(answer, translation)
            for answer, translation in zip(answers, self.engine.translate(answers, english, target), strict=True)
        ]
        back = self.engine.translate(translations, target, english)
        return [
            self._kept(answer, translation, returned, target)
            for answer, translation, returned in zip(answers, translations, back, strict=True)
        ]

    def _kept(self, answer: str, translation: str, back: str, target: Language) -> str | None:
        """The translation if it is valid and translates back to the same word. Otherwise None, and the failure is
        reported.
        """
        failure = check_translation(answer, translation, target, is_equality_allowed=True)
        if failure is None and normal_answer(back) != normal_answer(answer):
            failure = Failure(NOT_THE_SAME_BACK, f"as {back!r}")
        if failure is None:
            return translation
        self.report.add_failure(target.code, failure, source_text=answer, translation=translation)
        return None


def tidy_answer(answer: str, translation: str) -> str:
    """The translation without the full stop that models add to single words, unless the answer has one."""
    translation = translation.strip()
    return translation if answer.strip()[-1:] in FULL_STOPS else translation.rstrip(FULL_STOPS + " ")
