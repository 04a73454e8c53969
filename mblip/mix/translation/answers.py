"""Translating the answers of VQA: single words, without a context that would say which sense is meant.

As the original did (gregor-ge/mBLIP, commit 0380e68), an answer is translated only if it is one of the frequent ones,
and its translation kept only if translating back gives the same word; else the answer stays English. Answers are few
and come up often, so each is translated once per language.
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
    """The answers to translate: those seen at least `min_count` times, without digits."""
    counts = Counter(answers)
    return frozenset(
        answer
        for answer, count in counts.items()
        if count >= min_count and not any(character.isdigit() for character in answer)
    )


def normal_answer(text: str) -> str:
    """What makes two answers the same word: neither case, articles, punctuation nor white space count."""
    text = _PUNCTUATION.sub(" ", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(_ARTICLES.sub(" ", text).split())


@dataclass
class AnswerTranslator:
    """Translations of answers, remembered by (answer, language code); None for those that stay English.

    Only answers of `translatable_answers` are translated.
    """

    engine: TranslationEngine
    translatable_answers: Collection[str]
    report: TranslationReport
    _known: dict[tuple[str, str], str | None] = field(default_factory=dict, repr=False)

    def translate(self, answers: Iterable[str], target: Language) -> dict[str, str | None]:
        """The translation of each answer, or None where it stays English."""
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
        """The translation if it is one, and the way back leads to the same word; otherwise it is reported."""
        failure = check_translation(answer, translation, target, is_equality_allowed=True)
        if failure is None and normal_answer(back) != normal_answer(answer):
            failure = Failure(NOT_THE_SAME_BACK, f"as {back!r}")
        if failure is None:
            return translation
        self.report.add_failure(target.code, failure, source_text=answer, translation=translation)
        return None


def tidy_answer(answer: str, translation: str) -> str:
    """The translation without the full stop that models put behind single words, if the answer has none."""
    translation = translation.strip()
    return translation if answer.strip()[-1:] in FULL_STOPS else translation.rstrip(FULL_STOPS + " ")
