"""Recall at k of retrieval, from images to their captions and from captions to their images.

An image has one or several captions (five in Flickr30k and COCO). Its search succeeds if any of them is among the
first k. A caption has one image.

Ties count against the model: a right entry ranks after all wrong entries with the same score. A model that gives all
pairs the same score therefore has recall 0, not 1, unless k covers all entries. A pair with the score -inf was not
scored and is never found.

Shape suffixes: I = images, C = captions, N = searches, K = entries searched.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Recall:
    """The searches of one direction.

    `at`: k -> the share of searches with a right entry among the first k, from 0 to 1. `places`: for each search, the
    rank of its first right entry, counted from 1; the number of entries plus 1 if no right entry was scored.
    """

    at: Mapping[int, float]
    places: tuple[int, ...]

    @property
    def median_place(self) -> float:
        """The median rank of the first right entry."""
        return float(np.median(self.places))


@dataclass(frozen=True)
class RetrievalScores:
    """Recall from each image to its captions, and from each caption to its image."""

    image_to_text: Recall
    text_to_image: Recall


def score_retrieval(
    scores_IC: npt.ArrayLike, image_of_caption: Sequence[int], *, ks: Sequence[int] = (1, 5, 10)
) -> RetrievalScores:
    """Recall at each k.

    Args:
        scores_IC: the score of each image with each caption, higher is better; -inf for pairs without a score.
        image_of_caption: for each caption, the position of its image.
        ks: how many of the first entries count.

    Raises:
        ValueError: the shapes of scores and captions differ, a score is NaN, an image has no caption, or a k is below
            1.
    """
    scores = np.asarray(scores_IC, dtype=np.float64)
    images_C = np.asarray(image_of_caption, dtype=np.int64)
    _check(scores, images_C, ks)
    is_right_IC = images_C[None] == np.arange(len(scores))[:, None]
    return RetrievalScores(_recall(scores, is_right_IC, ks), _recall(scores.T, is_right_IC.T, ks))


def image_of_each_caption(captions_of_images: Sequence[Sequence[int]]) -> list[int]:
    """Convert the positions of each image's captions to the position of each caption's image.

    Raises:
        ValueError: a caption belongs to no image or to several, or a position is negative.
    """
    image_of = {caption: image for image, captions in enumerate(captions_of_images) for caption in captions}
    named = sorted(caption for captions in captions_of_images for caption in captions)
    if named != list(range(len(named))):
        raise ValueError(
            f"Found {len(named)} caption positions, {named[:10]} ..., expected each one from 0 to {len(named) - 1} "
            "once. Give each image the positions of its own captions."
        )
    return [image_of[caption] for caption in range(len(named))]


def _recall(scores_NK: FloatArray, is_right_NK: npt.NDArray[np.bool_], ks: Sequence[int]) -> Recall:
    best_N = np.where(is_right_NK, scores_NK, -np.inf).max(axis=1)
    num_before_N = (~is_right_NK & (scores_NK >= best_N[:, None])).sum(axis=1)
    places_N = np.where(np.isneginf(best_N), scores_NK.shape[1], num_before_N) + 1
    return Recall({k: float((places_N <= k).mean()) for k in ks}, tuple(int(place) for place in places_N))


def _check(scores: FloatArray, images_C: npt.NDArray[np.int64], ks: Sequence[int]) -> None:
    if scores.ndim != 2 or 0 in scores.shape or scores.shape[1:] != images_C.shape:
        raise ValueError(
            f"Found scores of shape {scores.shape} and {len(images_C)} captions, expected scores of shape (images, "
            "captions) with at least one of each."
        )
    if np.isnan(scores).any():
        image, caption = np.argwhere(np.isnan(scores))[0]
        raise ValueError(
            f"The score of image {image} with caption {caption} is NaN. Set pairs without a score to -inf."
        )
    without = sorted(set(range(len(scores))) ^ set(images_C.tolist()))
    if without:
        raise ValueError(
            f"Image {without[0]} has no caption or no scores ({len(scores)} images have scores), expected at least "
            "one caption per image. Remove images without captions."
        )
    if not ks or min(ks) < 1:
        raise ValueError(f"Found the ks {list(ks)}, expected numbers of at least 1.")
