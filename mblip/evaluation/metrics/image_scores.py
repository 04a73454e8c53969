"""What metrics of captions get and give: texts of a set of images; a value for each image, and one for the set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ImageScores:
    """`per_image` in the order in which the images came in. `overall` need not be their mean: BLEU's is not."""

    overall: float
    per_image: tuple[float, ...]

    @classmethod
    def with_mean(cls, per_image: tuple[float, ...]) -> "ImageScores":
        """The overall value is the mean, summed exactly: the order of the images changes no bit of it."""
        return cls(math.fsum(per_image) / len(per_image), per_image)


def check_images(hypotheses: Sequence[object], references: Sequence[Sequence[object]]) -> None:
    """Raise ValueError unless there is one hypothesis and at least one reference for each image, and an image."""
    if len(hypotheses) != len(references) or len(hypotheses) == 0:
        raise ValueError(
            f"Found {len(hypotheses)} hypotheses and references of {len(references)} images, "
            "expected one hypothesis for each image, at least one."
        )
    for i, group in enumerate(references):
        if isinstance(group, str) or len(group) == 0:
            found = f"the text {group!r}" if isinstance(group, str) else "no reference"
            raise ValueError(f"Image {i}: found {found}, expected a list of at least one reference.")
