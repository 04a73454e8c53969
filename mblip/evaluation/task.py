"""Evaluation tasks: examples, each one prompt about one image set, and a metric for the answers.

Each file of tasks/ builds the task of one benchmark. `runner.py` asks a model; `results.py` scores its answers.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol, get_args

from PIL import Image as PILImage

from mblip.data.images import Image
from mblip.data.skipped import SkipReport

from .generation_settings import GenerationSettings
from .languages import check_languages
from .metrics.figure_sums import FigureSums

AS_IS = "as_is"
SHUFFLED = "shuffled"  # each prompt sees the images of another one

# generate: the model writes freely. constrained: it writes one of the candidates. rank: we take the candidate with the
# highest likelihood: the `sum` or `mean` over its tokens, or `calibrated` against a prompt without content.
Answering = Literal["generate", "constrained", "rank"]
RankBy = Literal["sum", "mean", "calibrated"]


def check_choice(name: str, value: str, choices: Any) -> None:
    """Raise ValueError unless `value` is one of the choices, a `Literal`. The message names the nearest."""
    known = get_args(choices)
    if value not in known:
        nearest = get_close_matches(str(value), known, n=1, cutoff=0.5)
        hint = f"Did you mean `{nearest[0]}`?" if nearest else f"Expected one of {', '.join(known)}."
        raise ValueError(f"`{name}: {value}` is unknown. {hint}")


@dataclass(frozen=True)
class EvaluationExample:
    """A prompt about an image set, with the right answers.

    Args:
        image_id: examples with the same `image_id` show the same images, which are encoded once.
        condition: the name under which the answer is counted.
        id: unique within task and condition.
        candidates: the answers to choose from, if answers are ranked or constrained.
        content_free: the prompt without content, for calibration.
        facts: what the metric needs beyond the references, such as the type of a question.
    """

    images: tuple[Image, ...] = field(repr=False)
    image_id: str
    prompt: str
    references: tuple[str, ...]
    language: str
    condition: str
    id: str
    candidates: tuple[str, ...] = ()
    content_free: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scored:
    """The scores of answers: `figures` by name over all answers, and `per_example` the main figure of each answer.

    `sums`: for `mblip compare`, each figure as a function of sums over the answers. The main figure, if it is a mean,
    needs none. `highest`: of the possible scores of an answer; the lowest is 0.
    """

    figures: Mapping[str, float]
    per_example: tuple[float, ...]
    sums: Mapping[str, FigureSums] = field(default_factory=dict, repr=False, compare=False)
    highest: float = 1.0

    @classmethod
    def of_sums(
        cls, main: str, sums: Mapping[str, FigureSums], figures: Mapping[str, float | None] = MappingProxyType({})
    ) -> "Scored":
        """Scores from sums. `figures` replaces values whose last digit depends on the order of the sum, and adds those
        that do not depend on the answers. A figure that is not defined is omitted."""
        values = {name: one.value for name, one in sums.items()} | dict(figures)
        defined = {name: value for name, value in values.items() if value is not None and not math.isnan(value)}
        return cls(defined, sums[main].per_example, sums)


class Metric(Protocol):
    """Scores the answers of one condition in one language.

    Figures have the unit of their reference implementation; shares go from 0 to 1.

    Attributes:
        main: the name of the figure that tables show, the mean of `per_example`.
        is_share: the main figure is a share of examples; each example scores 0 or 1.
        greater_is_better: False for CHAIR.
        others: the figures by which other harnesses, or other rules, judge the same answers, each with its rule.
    """

    @property
    def main(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def is_share(self) -> bool: ...

    @property
    def greater_is_better(self) -> bool: ...

    @property
    def others(self) -> Mapping[str, str]: ...

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored: ...


METRIC_MEMBERS = ("main", "description", "is_share", "greater_is_better", "others", "score")


@dataclass(frozen=True)
class Origin:
    """Where the files of a benchmark come from, their licence, their size, and how they lie in their folders."""

    url: str
    license: str
    size: str = "size not known"
    layout: str = ""

    @property
    def instructions(self) -> str:
        """What to do if the files are missing."""
        layout = f" Expected {self.layout}." if self.layout else ""
        return f"Get the files from {self.url} ({self.size}).{layout}"


ANSWERS = "answers"  # in place of a split: a file of a scored system


@dataclass(frozen=True)
class FileRead:
    """A published file, or a part of a dataset, that a task read. Of a scored system, also its files of `ANSWERS`.

    Args:
        location: the path as the recipe gives it, or the dataset with its config.
        split: the split of the benchmark; None if nothing tells it.
        sha256: of the file's bytes; None for a dataset, which `revision` identifies.
        num_records: the records that were read.
        num_expected: the records of the published file; None if it is not known.
    """

    location: str
    split: str | None
    num_records: int
    num_expected: int | None = None
    sha256: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class EvaluationTask:
    """The examples of a benchmark, how they are answered, and its metric.

    Args:
        name: the name of the benchmark, also in the names of its files.
        examples: every prompt of every condition and language.
        metric: scores the answers.
        generation: the decoding; a recipe may change it.
        protocol: the protocol of prompts and decoding (protocol.py).
        skipped: what was skipped on purpose, by reason.
        files: what was read.
        changes: what differs from the protocol, such as "num_beams 1".
        marks: what differs from the benchmark as published, such as "300 of 3,600 records" or "trial of 20 images".

    Raises:
        ValueError: there are no examples, two examples share an id, one `image_id` has different images, a language
            is unknown, `answering` or `rank_by` is, or ranked or constrained answers lack candidates.
    """

    name: str
    examples: Sequence[EvaluationExample]
    metric: Metric
    generation: GenerationSettings
    protocol: str
    answering: Answering = "generate"
    rank_by: RankBy = "sum"
    origin: Origin | None = None
    skipped: SkipReport = field(default_factory=SkipReport)
    files: tuple[FileRead, ...] = ()
    changes: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.examples:
            reasons = ", ".join(f"{reason}: {count}" for reason, count in self.skipped.counts.items())
            raise ValueError(
                f"The task {self.name} has no examples (skipped: {reasons or 'none'}). Check its files and languages."
            )
        if lacking := [name for name in METRIC_MEMBERS if not hasattr(self.metric, name)]:
            raise ValueError(
                f"The metric of {self.name}, {type(self.metric).__name__}, has no {', '.join(lacking)}. Add what "
                "`Metric` in mblip/evaluation/task.py describes; a metric without other rules has `others = {}`."
            )
        self._check_ids()
        check_languages(tuple({example.language for example in self.examples}))
        self._check_images()
        self._check_answering()

    def _check_ids(self) -> None:
        counts = Counter((example.condition, example.id) for example in self.examples)
        if repeated := [id for id, count in counts.items() if count > 1]:
            raise ValueError(
                f"The task {self.name} has more than one example {repeated[0][1]!r} under the condition "
                f"{repeated[0][0]!r} ({len(repeated)} such ids). Give each example its own id, and each file once."
            )

    def _check_images(self) -> None:
        """Raise ValueError if examples share an `image_id` but not their images: only the first one's are encoded."""
        shown: dict[str, EvaluationExample] = {}
        for example in self.examples:
            first = shown.setdefault(example.image_id, example)
            if first is not example and not _are_the_same(first.images, example.images):
                raise ValueError(
                    f"The task {self.name}: the examples {example.id!r} and {first.id!r} share the `image_id` "
                    f"{example.image_id!r} but show different images. Give each image set its own `image_id`."
                )

    def _check_answering(self) -> None:
        check_choice("answering", self.answering, Answering)
        check_choice("rank_by", self.rank_by, RankBy)
        if self.rank_by != "sum" and self.answering != "rank":
            raise ValueError(
                f"The task {self.name} has `rank_by: {self.rank_by}` with `answering: {self.answering}`. Set "
                "`answering: rank`, or remove `rank_by`."
            )
        if self.rank_by == "calibrated" and any(example.content_free is None for example in self.examples):
            raise ValueError(
                f"The task {self.name} has no content-free prompts to calibrate with. Rank by sum or mean."
            )
        if self.answering != "generate" and not all(example.candidates for example in self.examples):
            raise ValueError(
                f"The task {self.name} has no candidates, which `answering: {self.answering}` needs. Set "
                "`answering: generate`."
            )


def _are_the_same(first: Sequence[Image], second: Sequence[Image]) -> bool:
    """Whether two image sets can be the same. We compare files by path or URL and opened images by their pixels.
    Encoded bytes always pass: different bytes may encode the same image."""
    return len(first) == len(second) and all(map(_may_be_the_same, first, second))


def _may_be_the_same(first: Image, second: Image) -> bool:
    if isinstance(first, str | Path) and isinstance(second, str | Path):
        return first == second
    if isinstance(first, PILImage.Image) and isinstance(second, PILImage.Image) and first is not second:
        return first.size == second.size and first.tobytes() == second.tobytes()
    return True
