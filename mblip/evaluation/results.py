"""Scores predictions, and holds the record of an evaluation that goes into results.json.

A score is the main figure of a metric for one condition in one language, with its count and 95 % interval. The
interval covers the choice of images: it shows where this model's figure would lie on other images from the same
source.
"""

import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from importlib import import_module
from typing import Any, Self

import numpy as np

from mblip.data.recipes.strict_loading import arguments_for, convert
from mblip.data.recipes.yaml_values import locate

from .environment import ModelFacts
from .generation_settings import GenerationSettings
from .language_groups import ALL, groups_of
from .metrics.bootstrap import (
    ROUNDING,
    FloatArray,
    column_sums,
    draw_column_means,
    mean_of_columns,
    percentile_interval,
    score_interval,
)
from .metrics.intervals import Interval, paired_ratio_interval
from .predictions import Prediction
from .task import EvaluationTask, FileRead, Metric, Origin, Scored

OWN_METRICS = f"{__package__}."


@dataclass(frozen=True)
class Score:
    """The score of the answers to one condition in one language.

    `value` is the metric's main figure and `interval` its 95 % interval. `figures` holds all figures in the metric's
    units. `num_empty` answers are empty and `num_cut` reached the maximum length; both still count.
    """

    condition: str
    language: str
    num_prompts: int
    num_images: int
    num_empty: int
    num_cut: int
    value: float
    interval: Interval
    figures: Mapping[str, float]


@dataclass(frozen=True)
class MeanScore:
    """The mean of the main figure over languages, each counted alike, with its 95 % interval.

    `languages` says over which: `all`, `all but English`, those of a resource level (`high`) or of a script (`Latn`).
    The mean of a single language is its score.
    """

    condition: str
    languages: str
    num_languages: int
    num_images: int
    value: float
    interval: Interval


@dataclass(frozen=True)
class MetricRecord:
    """A metric as plain values: the dotted path of its class, and its arguments."""

    path: str
    arguments: Mapping[str, Any]

    @classmethod
    def of(cls, metric: Metric) -> Self:
        """The record of a metric. Only that of a dataclass has arguments."""
        arguments: dict[str, Any] = dataclasses.asdict(metric) if is_dataclass(metric) else {}
        path = f"{type(metric).__module__}:{type(metric).__qualname__}"
        return cls(path, json.loads(json.dumps(arguments, default=str)))

    def build(self) -> Metric:
        """The metric again.

        Raises:
            ValueError: it is not one of this package: a file of results must not say which code to run.
        """
        module, _, name = self.path.partition(":")
        kind = getattr(import_module(module), name, None) if module.startswith(OWN_METRICS) else None
        if not (is_dataclass(kind) and isinstance(kind, type) and hasattr(kind, "score")):
            raise ValueError(
                f"Found the metric {self.path}, expected one of this package. Score with yours in Python."
            )
        metric: Metric = convert(locate(self.arguments, self.path), kind, "", {})
        return metric


@dataclass(frozen=True)
class Results:
    """The results of one model on one task.

    Args:
        metric: the name of the main figure; `description` explains it.
        prompts: condition -> language -> the prompt of its first example.
        left_out: reason -> the number of skipped examples; `left_out_names` gives the first names.
        has_stand_ins: some images are drawn stand-ins for photos.
        predictions: with scores. They go into a separate file.
        num_new_tokens: the tokens of the generated answers; None if answers are ranked.
        peak_memory_gb: in 10^9 bytes, of the process that needed most, loading included; the GPU's, if there is one.
        files, changes, marks: see `EvaluationTask`. `changes` also holds what the run changed.
        greater_is_better: of the main figure; False for CHAIR.
        weights: the digest of the model's weights (`run_identity.digest_weights`).
        recipe: that of the run, as plain values.
        system: None if the model answered here; otherwise the name of the system whose answers were scored. Its
            `generation` is None, and what else is not known of it, "not known".
        means: of several languages, for each condition.
        others: figure -> the rule of another harness that gives it; see `Metric`.
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
    generation: GenerationSettings | None
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
    files: tuple[FileRead, ...] = ()
    changes: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    num_new_tokens: int | None = None
    peak_memory_gb: float | None = None
    greater_is_better: bool = True
    weights: str | None = None
    batch_size: int | None = None
    image_batch_size: int | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    system: str | None = None
    means: tuple[MeanScore, ...] = ()
    metric_record: MetricRecord | None = None
    others: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The name of the benchmark for tables and reports, with its marks: a part of it does not go by its name."""
        return f"{self.task} ({'; '.join(self.marks)})" if self.marks else self.task

    @property
    def protocol_title(self) -> str:
        """The name of the protocol for tables and reports, with what was changed."""
        return f"{self.protocol}, changed: {'; '.join(self.changes)}" if self.changes else self.protocol

    @property
    def metric_title(self) -> str:
        """The name of the main figure for tables and charts, marked if lower is better."""
        return self.metric if self.greater_is_better else f"{self.metric} (lower is better)"

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

    def mean(self, condition: str, languages: str = ALL) -> MeanScore | None:
        """The mean over a group of languages; None if it has no language here. See `MeanScore`."""
        return self.group_means(condition, [languages]).get(languages)

    def group_means(self, condition: str, names: Iterable[str]) -> dict[str, MeanScore]:
        """The means over those of the named groups that have languages here."""
        found = {mean.languages: mean for mean in self.means if mean.condition == condition}
        return {name: found[name] for name in names if name in found}

    def answers(self, condition: str, language: str) -> list[Prediction]:
        """The predictions for a condition and language. Raises ValueError if there are none."""
        if language not in self.by_language(condition):
            raise ValueError(f"Found no answers in {language!r} under the condition {condition!r}. Evaluate it too.")
        return [p for p in self.predictions if (p.condition, p.language) == (condition, language)]

    def to_json(self) -> dict[str, Any]:
        """The content of results.json: everything except the predictions."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(dataclasses.replace(self, predictions=()))))
        del plain["predictions"]
        return plain

    @classmethod
    def from_json(cls, plain: Any, location: str, predictions: Sequence[Prediction] = ()) -> Self:
        """The results that `to_json` made plain.

        Args:
            location: of the values, for errors.

        Raises:
            ValueError: a key is missing or unknown, or a value has another type.
        """
        written = {found.name for found in dataclasses.fields(cls)} - {"predictions"}
        if isinstance(plain, dict) and (missing := sorted(written - plain.keys())):
            raise ValueError(f"{location}: found no {', '.join(f'`{name}`' for name in missing)}")
        arguments = arguments_for(cls, locate(plain, location), "", {}, not_given=("predictions",))
        return cls(**arguments, predictions=tuple(predictions))


@dataclass(frozen=True)
class Ratio:
    """A model's share of right answers divided by another model's, on the same images."""

    value: float
    interval: Interval


def score_predictions(
    task: EvaluationTask, predictions: Sequence[Prediction]
) -> tuple[tuple[Score, ...], tuple[Prediction, ...]]:
    """Score the answers to a task.

    Args:
        predictions: one per example, in the order of the examples.

    Returns:
        The score of each condition and language, in order of first appearance, and the predictions with their scores.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, example in enumerate(task.examples):
        groups[example.condition, example.language].append(i)
    scores: list[Score] = []
    scored = list(predictions)
    for (condition, language), members in groups.items():
        members.sort(key=lambda i: task.examples[i].id)  # sums must not depend on the order of the examples
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
        num_images=len({answer.image_id for answer in answers}),
        num_empty=sum(answer.is_empty for answer in answers),
        num_cut=sum(answer.is_cut for answer in answers),
        value=found.figures[metric.main],
        interval=score_interval(
            found.per_example,
            [answer.image_id for answer in answers],
            is_share=metric.is_share,
            highest=found.highest,
        ),
        figures=found.figures,
    )


def mean_scores(scores: Sequence[Score], predictions: Sequence[Prediction]) -> tuple[MeanScore, ...]:
    """The means over languages of each condition, for every group of `language_groups.groups_of`.

    The interval is the bootstrap over image sets. A set that is drawn is drawn in all languages at once, because
    languages share images. We resample the main figure of each answer, as it is: that of CIDEr-D still counts words
    in the captions of all images. If all resamples are equal, the ends are the means of the languages' ends, as if
    the languages rose and fell together.

    Args:
        predictions: with scores.
    """
    answers: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        answers[prediction.condition, prediction.language].append(prediction)
    means = []
    for condition in dict.fromkeys(score.condition for score in scores):
        of = {score.language: score for score in scores if score.condition == condition}
        drawn_RC = _drawn_means([answers[condition, code] for code in of])
        for name, codes in groups_of(list(of)).items():
            interval = of[codes[0]].interval
            if len(codes) > 1:
                columns = [list(of).index(code) for code in codes]
                interval = _interval(mean_of_columns(drawn_RC[:, columns]), [of[code].interval for code in codes])
            num_images = len({answer.image_id for code in codes for answer in answers[condition, code]})
            value = sum(of[code].value for code in codes) / len(codes)
            means.append(MeanScore(condition, name, len(codes), num_images, value, interval))
    return tuple(means)


def _drawn_means(answers: Sequence[Sequence[Prediction]]) -> FloatArray:
    """The mean score of each column of answers in each resample of the image sets, (R, C)."""
    columns = [  # of different lengths if a score is missing
        ([one.score for one in column if one.score is not None], [one.image_id for one in column])
        for column in answers
    ]
    return draw_column_means(*column_sums(columns))


def _interval(values_R: FloatArray, ends: Sequence[Interval]) -> Interval:
    """The interval of a mean from its resampled values; if they are equal, the mean of the intervals of its parts."""
    interval = percentile_interval(values_R)
    if interval.high - interval.low > ROUNDING:
        return interval
    return Interval(*(sum(getattr(one, end) for one in ends) / len(ends) for end in ("low", "high")))


def ratio_to_reference(predictions: Sequence[Prediction], reference: Sequence[Prediction]) -> Ratio | None:
    """The ratio of the share of right answers to the reference's share, with a paired 95 % interval.

    Each argument holds one answer per image, for one condition and language. These may differ between the two.

    Returns:
        None if the reference has no right answer: the ratio is then undefined.

    Raises:
        ValueError: the two are about different images, or have several answers about one image.
    """
    ours, theirs = _by_image(predictions), _by_image(reference)
    if ours.keys() != theirs.keys():
        raise ValueError(
            f"Found answers about {len(ours)} images and reference answers about {len(theirs)}, with "
            f"{len(ours.keys() & theirs.keys())} images in common. Evaluate both with the same seed and `num_images`."
        )
    pairs = [(is_right, theirs[image_id]) for image_id, is_right in ours.items()]
    num_reference = sum(theirs.values())
    if num_reference == 0:
        return None
    interval = paired_ratio_interval([a for a, _ in pairs], [b for _, b in pairs])
    return Ratio(sum(ours.values()) / num_reference, interval)


def mean_ratio(by_language: Mapping[str, Sequence[Prediction]], reference: Sequence[Prediction]) -> Ratio | None:
    """The mean over languages of `ratio_to_reference`, with the bootstrap's interval; see `mean_scores`."""
    ratios = [ratio_to_reference(answers, reference) for answers in by_language.values()]
    found = [ratio for ratio in ratios if ratio is not None]
    if len(found) < 2:
        return None
    drawn_RC = _drawn_means([*by_language.values(), reference])
    reference_R = np.where(drawn_RC[:, -1] > 0, drawn_RC[:, -1], np.nan)
    interval = _interval(mean_of_columns(drawn_RC[:, :-1]) / reference_R, [ratio.interval for ratio in found])
    return Ratio(sum(ratio.value for ratio in found) / len(found), interval)


def _by_image(predictions: Sequence[Prediction]) -> dict[str, bool]:
    by_image = {prediction.image_id: prediction.score == 1 for prediction in predictions}
    if len(by_image) != len(predictions):
        raise ValueError(
            f"Found {len(predictions)} answers about {len(by_image)} images, expected one per image. "
            "Give the answers of one condition and one language."
        )
    return by_image
