"""What is asked in an evaluation: examples, each one prompt about one image set, and the metric of the answers.

A task is built by a file of tasks/, one per benchmark; `runner.py` puts its questions to a model, `results.py` scores
what came back.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from PIL import Image as PILImage

from mblip.data.images import Image
from mblip.data.skipped import SkipReport

from .generation_settings import GenerationSettings
from .languages import check_languages

AS_IS = "as_is"
SHUFFLED = "shuffled"  # each prompt sees the images of another one

# generate: the model writes. constrained: it writes, and can only write a candidate. rank: the candidate of the
# highest likelihood; `sum` and `mean` are over its tokens, `calibrated` against a prompt without content.
Answering = Literal["generate", "constrained", "rank"]
RankBy = Literal["sum", "mean", "calibrated"]


@dataclass(frozen=True)
class EvaluationExample:
    """A prompt about an image set, with the answers that are right.

    Examples of equal `image_id` show the same images, which are encoded once. `condition` says under what name the
    answer is counted. `id` is unique within the task and condition. `candidates` are what is chosen from, where
    answers are ranked or constrained; `content_free` is the prompt that calibration asks. `facts` is what the metric
    needs beside the references, such as the type of a question.
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
    """The figures of answers: `figures` by name of them all, `per_example` the main figure of each."""

    figures: Mapping[str, float]
    per_example: tuple[float, ...]


class Metric(Protocol):
    """Scores the answers of one condition in one language. `main` names the figure that tables show, which is the mean
    of `per_example`; figures are in the unit of their reference, shares from 0 to 1. `is_share`: the main figure is a
    share of examples, so that each has 0 or 1. `greater_is_better` is said in transformers' word: of CHAIR less is."""

    @property
    def main(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def is_share(self) -> bool: ...

    @property
    def greater_is_better(self) -> bool: ...

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored: ...


@dataclass(frozen=True)
class Origin:
    """Where the files of a benchmark come from, and under which licence."""

    url: str
    license: str


@dataclass(frozen=True)
class EvaluationTask:
    """The examples of a benchmark, how they are answered, and its metric.

    Args:
        name: of the benchmark; its predictions are written under it.
        examples: every prompt of every condition and language.
        metric: of the answers.
        generation: the decoding, unless the recipe changes it.
        protocol: under which it is asked.
        skipped: what was skipped on purpose, by reason.

    Raises:
        ValueError: there are no examples, two have one id, an `image_id` stands for different images, a language is
            unknown, or candidates are missing where they are chosen from.
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

    def __post_init__(self) -> None:
        if not self.examples:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.skipped.counts.items())
            raise ValueError(
                f"The task {self.name} has no examples (skipped: {reasons or 'none'}). Check its files and languages."
            )
        self._check_ids()
        check_languages(tuple({example.language for example in self.examples}))
        self._check_images()
        self._check_answering()

    def _check_ids(self) -> None:
        counts = Counter((example.condition, example.id) for example in self.examples)
        if repeated := [id for id, count in counts.items() if count > 1]:
            raise ValueError(
                f"The task {self.name} asks {repeated[0][1]!r} more than once under the condition {repeated[0][0]!r} "
                f"({len(repeated)} such ids). Name each file of it once."
            )

    def _check_images(self) -> None:
        """Raises ValueError where examples of one `image_id`, which see what the first of them shows, show others."""
        shown: dict[str, EvaluationExample] = {}
        for example in self.examples:
            first = shown.setdefault(example.image_id, example)
            if first is not example and not _are_the_same(first.images, example.images):
                raise ValueError(
                    f"The task {self.name} shows other images with {example.id!r} than with {first.id!r}, but calls "
                    f"both {example.image_id!r}. Give every set of images an `image_id` of its own."
                )

    def _check_answering(self) -> None:
        if self.rank_by != "sum" and self.answering != "rank":
            raise ValueError(
                f"The task {self.name} is to be ranked by {self.rank_by}, but its answers are not ranked: say "
                "`answering: rank`, or leave `rank_by` out."
            )
        if self.rank_by == "calibrated" and any(example.content_free is None for example in self.examples):
            raise ValueError(f"The task {self.name} has no prompts without content. Rank by sum or mean.")
        if self.answering != "generate" and not all(example.candidates for example in self.examples):
            raise ValueError(
                f"The task {self.name} has no candidates to choose from, but its answers are to be "
                f"{'ranked' if self.answering == 'rank' else 'constrained'}. Let it generate."
            )


def _are_the_same(first: Sequence[Image], second: Sequence[Image]) -> bool:
    """Whether two sets of images are alike. Files are told by their locations, images by their pixels, and bytes, in
    which one photo may be stored in several ways, not at all."""
    return len(first) == len(second) and all(map(_may_be_the_same, first, second))


def _may_be_the_same(first: Image, second: Image) -> bool:
    if isinstance(first, str | Path) and isinstance(second, str | Path):
        return first == second
    if isinstance(first, PILImage.Image) and isinstance(second, PILImage.Image) and first is not second:
        return first.size == second.size and first.tobytes() == second.tobytes()
    return True
