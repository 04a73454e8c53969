"""What is asked in an evaluation: examples, each one prompt about one image set, and when an answer is right.

A task is built by a function of tasks/, one file per benchmark; `runner.py` puts its questions to a model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from data_mblip.images import Image

AS_IS = "as_is"
SHUFFLED = "shuffled"  # each prompt sees the pictures of another one


@dataclass(frozen=True)
class EvaluationExample:
    """A prompt about an image set, with the answers that are right.

    Examples of equal `image_id` show the same images, which are encoded once. `condition` says under what name the
    answer is counted. `id` is unique within the task and condition.
    """

    images: tuple[Image, ...] = field(repr=False)
    image_id: str
    prompt: str
    references: tuple[str, ...]
    language: str
    condition: str
    id: str


@dataclass(frozen=True)
class EvaluationTask:
    """The examples of a benchmark and its metric.

    Args:
        name: of the benchmark; its predictions are written under it.
        examples: every prompt of every condition and language.
        is_right: whether an answer is right, given the references.
        metric: what `is_right` checks, in words.
        max_new_tokens: what an answer may take, unless the recipe says otherwise.
    """

    name: str
    examples: Sequence[EvaluationExample]
    is_right: Callable[[str, Sequence[str]], bool]
    metric: str
    max_new_tokens: int
