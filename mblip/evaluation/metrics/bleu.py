"""BLEU-1 to BLEU-4 as captioning benchmarks report them: COCO's evaluation with its smoothing.

It is the BLEU of Papineni et al. (2002) in the implementation of pycocoevalcap 1.2 (`BleuScorer.compute_score` with
option "closest"). It differs from other implementations:

- Every precision has 1e-15 added to its numerator and 1e-9 to its denominator. A caption without a common 4-gram has a
  tiny BLEU-4, not 0. A caption of fewer than four words has a much larger one.
- The score of the set comes from the counts of all images. It is not the mean of their scores.
"""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from .bootstrap import FloatArray
from .figure_sums import FigureSums
from .image_scores import ImageScores
from .ngram_counts import MAX_ORDER, Integers, NgramCounts, OrderCounts

TINY, SMALL = 1e-15, 1e-9  # added to numerators and denominators, as in BleuScorer.compute_score


def bleu(counts: NgramCounts) -> tuple[ImageScores, ...]:
    """BLEU-1 to BLEU-4, from 0 to 1, for a set of images and for each image.

    An empty hypothesis scores 0 in all four, because its brevity penalty is 0.
    """
    lengths = counts.hypothesis_lengths
    closest = _closest_lengths(counts)
    correct = [_clipped_matches(order, counts.num_images) for order in counts.orders]
    guessed = [np.maximum(lengths - order, 0) for order in range(MAX_ORDER)]
    columns = (*correct, *guessed, lengths, closest)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    per_image = [_scores(row[:MAX_ORDER], row[MAX_ORDER : 2 * MAX_ORDER], *row[-2:]) for row in rows]
    overall = _scores(
        [int(column.sum()) for column in correct],
        [int(column.sum()) for column in guessed],
        int(lengths.sum()),
        int(closest.sum()),
    )
    terms = np.column_stack(columns).astype(np.float64)
    return tuple(
        ImageScores(
            overall[order],
            tuple(scores[order] for scores in per_image),
            FigureSums(terms, partial(_of_sums, order=order + 1)),
        )
        for order in range(MAX_ORDER)
    )


def _scores(correct: Sequence[int], guessed: Sequence[int], length: int, reference_length: int) -> list[float]:
    """The geometric mean of the precisions up to each order, times the brevity penalty."""
    ratio = (length + TINY) / (reference_length + SMALL)
    penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    product, scores = 1.0, []
    for order, (num_correct, num_guessed) in enumerate(zip(correct, guessed, strict=True), start=1):
        product *= (num_correct + TINY) / (num_guessed + SMALL)
        scores.append(product ** (1 / order) * penalty)
    return scores


def _of_sums(sums: FloatArray, *, order: int) -> FloatArray:
    """`_scores` for many sets at once. It may differ in the last digit, because NumPy's powers do."""
    correct, guessed, lengths = np.split(sums, [MAX_ORDER, 2 * MAX_ORDER], axis=-1)
    ratio = (lengths[..., 0] + TINY) / (lengths[..., 1] + SMALL)
    precisions = (correct[..., :order] + TINY) / (guessed[..., :order] + SMALL)
    return precisions.prod(-1) ** (1 / order) * np.exp(np.minimum(1 - 1 / ratio, 0))


def _clipped_matches(order: OrderCounts, num_images: int) -> Integers:
    """For each image, the number of right n-grams, each counted at most as often as in any single reference."""
    most = np.zeros_like(order.hypotheses.count)
    np.maximum.at(most, order.shared_hypotheses, order.references.count[order.shared_references])
    matches = np.zeros(num_images, dtype=np.int64)
    np.add.at(matches, order.hypotheses.caption, np.minimum(most, order.hypotheses.count))
    return matches


def _closest_lengths(counts: NgramCounts) -> Integers:
    """For each image, the reference length closest to the hypothesis's. In a tie it is the shorter one."""
    longest = int(counts.reference_lengths.max()) + 1
    distances = np.abs(counts.reference_lengths - counts.hypothesis_lengths[counts.reference_images])
    firsts = np.flatnonzero(np.diff(counts.reference_images, prepend=-1))
    return np.minimum.reduceat(distances * longest + counts.reference_lengths, firsts) % longest
