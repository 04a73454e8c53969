"""The output of caption metrics, a score for each image and for the set, and a check of their input."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from mblip.data.example import check_characters

from .answers import check_text
from .figure_sums import FigureSums, ratio


@dataclass(frozen=True)
class ImageScores:
    """`per_image` is in the order of the images. `overall` need not be their mean: for BLEU it is not. `sums`: the
    score as a function of sums over images."""

    overall: float
    per_image: tuple[float, ...]
    sums: FigureSums = field(repr=False, compare=False)

    @classmethod
    def with_mean(cls, per_image: tuple[float, ...]) -> "ImageScores":
        """Scores with their mean as `overall`. The sum is exact, so it does not depend on the order of the images."""
        return cls(math.fsum(per_image) / len(per_image), per_image, ratio(per_image))


def check_images(hypotheses: Sequence[object], references: Sequence[Sequence[object]]) -> None:
    """Raise ValueError unless there are images, each with one hypothesis and at least one reference."""
    if len(hypotheses) != len(references) or len(hypotheses) == 0:
        raise ValueError(
            f"Found {len(hypotheses)} hypotheses and references of {len(references)} images, "
            "expected one hypothesis per image, at least one."
        )
    for i, group in enumerate(references):
        if isinstance(group, str) or not isinstance(group, Collection) or len(group) == 0:
            is_list = isinstance(group, Collection) and not isinstance(group, str)
            found = "no reference" if is_list else f"the text {group!r}" if isinstance(group, str) else repr(group)
            raise ValueError(f"Image {i}: found {found}, expected a list of at least one reference.")


def check_captions(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """As `check_images`; raise TypeError or ValueError unless all of them are texts without half characters."""
    check_images(hypotheses, references)
    for i, (hypothesis, group) in enumerate(zip(hypotheses, references, strict=True)):
        names = [f"The hypothesis of image {i}", *(f"Reference {number} of image {i}" for number in range(len(group)))]
        for text, name in zip([hypothesis, *group], names, strict=True):
            check_text(text, name)
            check_characters(text, name=name)
