"""Wrong captions for caption matching without a model: those of any other image.

Most are easily told from the right one; hard_negatives.py finds captions that are not.
"""

from collections.abc import Iterable
from typing import NamedTuple

from mblip.data.example import Example
from mblip.data.normal_text import normal_text
from mblip.data.stable_random import stable_random

from .negative import Negative

NUM_DRAWS = 100  # after which an example counts as one without a wrong caption


class RandomNegatives:
    """Draws the wrong caption of an example by (seed, source, id) from all captions in its language, whose order
    counts; one in another language would give itself away."""

    def __init__(self, captions: Iterable[Example], *, seed: int) -> None:
        """
        Args:
            captions: the captions to choose from, which memory holds.
        """
        self._captions: dict[str, list[_Caption]] = {}
        for one in captions:
            caption = _Caption(one.image_id, one.source, one.id, one.target)
            self._captions.setdefault(one.language, []).append(caption)
        self._seed = seed

    def __call__(self, example: Example) -> Negative | None:
        """A caption of another image in other words, or None where a hundred draws find none."""
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
