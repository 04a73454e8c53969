"""From predictions to scores, and the record of an evaluation that goes into results.json.

A score is a share of right answers under one condition in one language, with its count and 95 % interval. The interval
speaks for the pictures: it says where the share would lie on other pictures drawn alike, for this one model.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .generation import GenerationSettings
from .metrics.intervals import Interval, paired_ratio_interval, wilson_interval
from .predictions import Prediction


@dataclass(frozen=True)
class Score:
    """Right answers under one condition in one language.

    `num_empty` of the answers are empty and `num_cut` reached their longest length; both stay in the count.
    """

    condition: str
    language: str
    num_right: int
    num_prompts: int
    num_empty: int
    num_cut: int
    share: float
    interval: Interval


@dataclass(frozen=True)
class Results:
    """An evaluation of one model on one task.

    `prompts`: condition -> language -> the prompt of its first example. `predictions` stand in a file of their own.
    """

    task: str
    metric: str
    model: str
    num_images: int
    scores: tuple[Score, ...]
    prompts: Mapping[str, Mapping[str, str]]
    generation: GenerationSettings
    seconds: float
    versions: Mapping[str, str]
    hardware: str
    precision: str
    predictions: tuple[Prediction, ...] = field(repr=False)

    @property
    def conditions(self) -> list[str]:
        """The conditions, in order of first appearance."""
        return list(dict.fromkeys(score.condition for score in self.scores))

    def by_language(self, condition: str) -> dict[str, Score]:
        """The scores of a condition.

        Raises:
            ValueError: the condition was not evaluated.
        """
        found = {score.language: score for score in self.scores if score.condition == condition}
        if not found:
            raise ValueError(
                f"Found no scores of the condition {condition!r}, expected one of {', '.join(self.conditions)}."
            )
        return found

    def answers(self, condition: str, language: str) -> list[Prediction]:
        """The predictions under a condition in a language; ValueError where there are none."""
        if language not in self.by_language(condition):
            raise ValueError(f"Found no answers in {language!r} under the condition {condition!r}. Evaluate it too.")
        return [p for p in self.predictions if (p.condition, p.language) == (condition, language)]

    def to_json(self) -> dict[str, Any]:
        """What results.json holds: all but the predictions."""
        plain = dataclasses.asdict(dataclasses.replace(self, predictions=()))
        del plain["predictions"]
        return plain


@dataclass(frozen=True)
class Ratio:
    """A model's share of right answers as a part of another model's, on the same pictures."""

    share: float
    interval: Interval


def score_predictions(predictions: Sequence[Prediction]) -> tuple[Score, ...]:
    """A score for each condition and language, in order of first appearance."""
    groups: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        groups[prediction.condition, prediction.language].append(prediction)
    return tuple(_score(condition, language, group) for (condition, language), group in groups.items())


def _score(condition: str, language: str, predictions: Sequence[Prediction]) -> Score:
    num_right = sum(prediction.is_right for prediction in predictions)
    return Score(
        condition=condition,
        language=language,
        num_right=num_right,
        num_prompts=len(predictions),
        num_empty=sum(prediction.is_empty for prediction in predictions),
        num_cut=sum(prediction.is_cut for prediction in predictions),
        share=num_right / len(predictions),
        interval=wilson_interval(num_right, len(predictions)),
    )


def ratio_to_reference(predictions: Sequence[Prediction], reference: Sequence[Prediction]) -> Ratio | None:
    """How much of the reference's share of right answers is reached, with a paired 95 % interval.

    Both hold one answer for each picture: of one condition and language each, which may differ between the two.

    Returns:
        None where the reference has no right answer, so that no ratio exists.

    Raises:
        ValueError: the two are not about the same pictures, or ask more than once about one.
    """
    ours, theirs = _by_image(predictions), _by_image(reference)
    if ours.keys() != theirs.keys():
        raise ValueError(
            f"Found answers about {len(ours)} pictures and the reference's about {len(theirs)}, of which "
            f"{len(ours.keys() & theirs.keys())} are the same. Evaluate both with one seed and one `num_images`."
        )
    pairs = [(is_right, theirs[image_id]) for image_id, is_right in ours.items()]
    num_reference = sum(theirs.values())
    if num_reference == 0:
        return None
    interval = paired_ratio_interval([a for a, _ in pairs], [b for _, b in pairs])
    return Ratio(sum(ours.values()) / num_reference, interval)


def _by_image(predictions: Sequence[Prediction]) -> dict[str, bool]:
    by_image = {prediction.image_id: prediction.is_right for prediction in predictions}
    if len(by_image) != len(predictions):
        raise ValueError(
            f"Found {len(predictions)} answers about {len(by_image)} pictures, expected one about each. "
            "Take those of one condition and one language."
        )
    return by_image
