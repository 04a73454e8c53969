"""Captions of the drawn world, and questions about it, in twelve languages.

One file per language holds its words and its grammar; all offer the functions of `SceneLanguage`. A caption
says everything a scene holds (count, size, colour and shape of both groups, and their relation), in every
language, so that captions of one scene are translations of each other and distinct scenes have distinct
captions.
"""

from dataclasses import dataclass
from typing import Protocol

from ..world import Group, Scene
from . import (
    arabic,
    bangla,
    chinese,
    english,
    french,
    german,
    haitian_creole,
    hindi,
    korean,
    russian,
    swahili,
    turkish,
)


class SceneLanguage(Protocol):
    """What the file of a language offers."""

    def phrase(self, group: Group) -> str:
        """The indefinite noun phrase, as it stands alone: "two large black stars"."""

    def related_phrase(self, subject: Group, relation: str, reference: Group) -> str:
        """The caption of two groups: "two large black stars above a small red circle"."""

    def colour_question(self, group: Group) -> str:
        """The question "What colour are the stars?"."""

    def colour_answer(self, group: Group) -> str:
        """The colour in the form that answers `colour_question`: "black"."""

    def count_question(self, group: Group) -> str:
        """The question "How many stars are there?", worded alike for every count."""

    def count_answer(self, group: Group) -> str:
        """The count in the form that answers `count_question`: "two"."""

    def position_question(self, relation: str, reference: Group) -> str:
        """The question "What is above the circle?", answered by the `phrase` of the subject."""


@dataclass(frozen=True)
class QuestionAnswer:
    """A question about a scene and its answer; `kind` is "colour", "count" or "position"."""

    kind: str
    question: str
    answer: str


_LANGUAGES: dict[str, SceneLanguage] = {
    "en": english,
    "de": german,
    "fr": french,
    "ru": russian,
    "ar": arabic,
    "hi": hindi,
    "bn": bangla,
    "zh": chinese,
    "ko": korean,
    "tr": turkish,
    "sw": swahili,
    "ht": haitian_creole,
}
SCENE_LANGUAGES: tuple[str, ...] = tuple(_LANGUAGES)


def caption(scene: Scene, language: str) -> str:
    """The caption of `scene`, a fragment without a full stop: "three small red circles above a large blue square".

    Raises:
        ValueError: the drawn world is not captioned in `language`.
    """
    words = _scene_language(language)
    if scene.relation is None or scene.reference is None:
        return words.phrase(scene.subject)
    return words.related_phrase(scene.subject, scene.relation, scene.reference)


def questions(scene: Scene, language: str) -> list[QuestionAnswer]:
    """The questions that `scene` answers: colour and count of each group, and what lies in its relation to which.

    A question names a group by its shape alone: two groups of one shape cannot be told apart and have no questions.

    Raises:
        ValueError: the drawn world is not captioned in `language`.
    """
    words = _scene_language(language)
    if scene.reference is not None and scene.reference.shape == scene.subject.shape:
        return []
    asked = []
    for group in scene.groups:
        asked.append(QuestionAnswer("colour", words.colour_question(group), words.colour_answer(group)))
        asked.append(QuestionAnswer("count", words.count_question(group), words.count_answer(group)))
    if scene.relation is not None and scene.reference is not None:
        question = words.position_question(scene.relation, scene.reference)
        asked.append(QuestionAnswer("position", question, words.phrase(scene.subject)))
    return asked


def _scene_language(language: str) -> SceneLanguage:
    if language not in _LANGUAGES:
        raise ValueError(
            f"The drawn world has no captions in {language!r}, only in {', '.join(SCENE_LANGUAGES)}. "
            "Choose one of these codes of languages.tsv."
        )
    return _LANGUAGES[language]
