"""Wrong captions for caption matching: their type, and random ones.

Random ones need no model. Most are easy to distinguish from the right caption; hard_negatives.py finds harder ones.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mblip.data.example import Example
from mblip.data.normal_text import normal_text
from mblip.data.stable_random import stable_random

NUM_DRAWS = 100  # attempts before an example counts as having no wrong caption


@dataclass(frozen=True)
class Negative:
    """A caption that does not describe the image in question.

    `provenance` holds flat strings for `Example.provenance`. Every key begins with "negative.".

    Raises:
        ValueError: the text is empty.
    """

    text: str
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ValueError(
                f"A negative came with the text {self.text!r}, expected a caption "
                f"({dict(self.provenance) or 'no provenance'}). Remove empty captions before retrieval."
            )


Negatives = Callable[[Example], Negative | None]  # gives the negative of an example, or None


class RandomNegatives:
    """Draws an example's wrong caption by (seed, source, id) from all captions in its language.

    A caption in another language would give itself away. The draw depends on the order of the captions.
    """

    def __init__(self, captions: Iterable[Example], *, seed: int) -> None:
        """
        Args:
            captions: the captions to choose from. They are kept in memory.
        """
        self._captions: dict[str, list[_Caption]] = {}
        for one in captions:
            caption = _Caption(one.image_id, one.source, one.id, one.target)
            self._captions.setdefault(one.language, []).append(caption)
        self._seed = seed

    def __call__(self, example: Example) -> Negative | None:
        """A caption of another image in other words, or None if a hundred draws find none."""
        draw = stable_random(self._seed, "random negative", example.source, example.id)
        own, captions = normal_text(example.target), self._captions.get(example.language, [])
        for _ in range(NUM_DRAWS if captions else 0):
            drawn = draw.choice(captions)
            if drawn.image_id != example.image_id and normal_text(drawn.text) != own:
                provenance = {"rank": "random", "source": drawn.source, "id": drawn.id}
                return Negative(drawn.text, {f"negative.{key}": value for key, value in provenance.items()})
        return None


class _Caption(NamedTuple):
    image_id: str
    source: str
    id: str
    text: str
