"""From predictions to scores, and the record of an evaluation that goes into results.json.

A score is the main figure of a metric under one condition in one language, with its count and 95 % interval. The
interval speaks for the images: it says where the figure would lie on other images drawn alike, for this one model.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .environment import ModelFacts
from .generation_settings import GenerationSettings
from .metrics.bootstrap import mean_estimate
from .metrics.intervals import Interval, paired_ratio_interval, wilson_interval
from .predictions import Prediction
from .task import EvaluationTask, Metric, Origin, Scored


@dataclass(frozen=True)
class Score:
    """The answers under one condition in one language.

    `value` is the metric's main figure, in `interval` with 95 % confidence, and `figures` are all of them, in the
    metric's own units. `num_empty` of the answers are empty and `num_cut` reached their longest length; both stay in
    the count.
    """

    condition: str
    language: str
    num_prompts: int
    num_empty: int
    num_cut: int
    value: float
    interval: Interval
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Results:
    """An evaluation of one model on one task.

    `metric` is the main figure, `description` what it is in words; `prompts`: condition -> language -> the prompt of
    its first example; `left_out`: reason -> how many examples were skipped, and `left_out_names` the first of them;
    `has_stand_ins`: images were drawn in place of photos. `predictions`, scored, stand in a file of their own.
    """

    task: str
    protocol: str
    metric: str
    description: str
    model: ModelFacts
    num_images: int
    scores: tuple[Score, ...]
    prompts: Mapping[str, Mapping[str, str]]
    answering: str
    generation: GenerationSettings
    origin: Origin | None
    left_out: Mapping[str, int]
    left_out_names: Mapping[str, Sequence[str]]
    has_stand_ins: bool
    seconds: float
    commit: str | None
    versions: Mapping[str, str]
    hardware: str
    num_processes: int
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
    """A model's share of right answers as a part of another model's, on the same images."""

    value: float
    interval: Interval


def score_predictions(
    task: EvaluationTask, predictions: Sequence[Prediction]
) -> tuple[tuple[Score, ...], tuple[Prediction, ...]]:
    """The scores of the answers to a task, for each condition and language in order of first appearance, and the
    answers with their own scores.

    Args:
        predictions: one for each example, in their order.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, example in enumerate(task.examples):
        groups[example.condition, example.language].append(i)
    scores: list[Score] = []
    scored = list(predictions)
    for (condition, language), members in groups.items():
        members.sort(key=lambda i: task.examples[i].id)  # so that no sum depends on the order of the examples
        answers = [predictions[i] for i in members]
        found = task.metric.score([task.examples[i] for i in members], [answer.output for answer in answers])
        scores.append(_score(condition, language, answers, found, task.metric))
        for i, value in zip(members, found.per_example, strict=True):
            scored[i] = dataclasses.replace(scored[i], score=value)
    return tuple(scores), tuple(scored)


def _score(condition: str, language: str, answers: Sequence[Prediction], found: Scored, metric: Metric) -> Score:
    return Score(
        condition=condition,
        language=language,
        num_prompts=len(answers),
        num_empty=sum(answer.is_empty for answer in answers),
        num_cut=sum(answer.is_cut for answer in answers),
        value=found.figures[metric.main],
        interval=_interval(found.per_example, [answer.image_id for answer in answers], metric.is_share),
        figures=found.figures,
    )


def _interval(values: Sequence[float], image_ids: Sequence[str], is_share: bool) -> Interval:
    """Of a share of answers about different images Wilson's; else by the bootstrap over images.

    Where all answers are right, or all wrong, the bootstrap has nothing to draw from: then Wilson's again, each
    image counted once.
    """
    num_images = len(set(image_ids))
    if is_share and (num_images == len(values) or len(set(values)) == 1):
        return wilson_interval(int(sum(values)) * num_images // len(values), num_images)
    return mean_estimate(values, image_ids).interval


def ratio_to_reference(predictions: Sequence[Prediction], reference: Sequence[Prediction]) -> Ratio | None:
    """How much of the reference's share of right answers is reached, with a paired 95 % interval.

    Both hold one answer for each image: of one condition and language each, which may differ between the two.

    Returns:
        None where the reference has no right answer, so that no ratio exists.

    Raises:
        ValueError: the two are not about the same images, or ask more than once about one.
    """
    ours, theirs = _by_image(predictions), _by_image(reference)
    if ours.keys() != theirs.keys():
        raise ValueError(
            f"Found answers about {len(ours)} images and the reference's about {len(theirs)}, of which "
            f"{len(ours.keys() & theirs.keys())} are the same. Evaluate both with one seed and one `num_images`."
        )
    pairs = [(is_right, theirs[image_id]) for image_id, is_right in ours.items()]
    num_reference = sum(theirs.values())
    if num_reference == 0:
        return None
    interval = paired_ratio_interval([a for a, _ in pairs], [b for _, b in pairs])
    return Ratio(sum(ours.values()) / num_reference, interval)


def _by_image(predictions: Sequence[Prediction]) -> dict[str, bool]:
    by_image = {prediction.image_id: prediction.score == 1 for prediction in predictions}
    if len(by_image) != len(predictions):
        raise ValueError(
            f"Found {len(predictions)} answers about {len(by_image)} images, expected one about each. "
            "Take those of one condition and one language."
        )
    return by_image
