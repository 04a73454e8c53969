"""BLEU-1 to BLEU-4 as the captioning benchmarks report it: that of COCO's evaluation, with its smoothing.

It is the BLEU of Papineni et al. (2002) in the implementation of pycocoevalcap 1.2 (`BleuScorer.compute_score` with
option "closest"). Differences to other implementations: every precision has 1e-15 added above and 1e-9 below the line,
so a caption without any common 4-gram has a tiny BLEU-4 and not 0, one of fewer than four words has a large one beside
that; and the value of the set comes from the counts of all images, not from the mean of theirs.
"""

import math
from collections.abc import Sequence

import numpy as np

from .image_scores import ImageScores
from .ngram_counts import MAX_ORDER, Integers, NgramCounts, OrderCounts

TINY, SMALL = 1e-15, 1e-9  # added to numerators and denominators, as in BleuScorer.compute_score


def bleu(counts: NgramCounts) -> tuple[ImageScores, ...]:
    """BLEU-1 to BLEU-4, from 0 to 1, of a set of images and of each of them.

    An empty hypothesis has 0 in all four: its brevity penalty is 0.
    """
    lengths = counts.hypothesis_lengths
    closest = _closest_lengths(counts)
    correct = [_clipped_matches(order, counts.num_images) for order in counts.orders]
    guessed = [np.maximum(lengths - order, 0) for order in range(MAX_ORDER)]
    rows = zip(*(column.tolist() for column in (*correct, *guessed, lengths, closest)), strict=True)
    per_image = [_scores(row[:MAX_ORDER], row[MAX_ORDER : 2 * MAX_ORDER], *row[-2:]) for row in rows]
    overall = _scores(
        [int(column.sum()) for column in correct],
        [int(column.sum()) for column in guessed],
        int(lengths.sum()),
        int(closest.sum()),
    )
    return tuple(
        ImageScores(overall[order], tuple(scores[order] for scores in per_image)) for order in range(MAX_ORDER)
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


def _clipped_matches(order: OrderCounts, num_images: int) -> Integers:
    """For each image, how many n-grams of the hypothesis are right: each as often as the reference with most of it."""
    most = np.zeros_like(order.hypotheses.count)
    np.maximum.at(most, order.shared_hypotheses, order.references.count[order.shared_references])
    matches = np.zeros(num_images, dtype=np.int64)
    np.add.at(matches, order.hypotheses.caption, np.minimum(most, order.hypotheses.count))
    return matches


def _closest_lengths(counts: NgramCounts) -> Integers:
    """For each image, the length of the reference nearest in length to the hypothesis; of two, the shorter one."""
    longest = int(counts.reference_lengths.max()) + 1
    distances = np.abs(counts.reference_lengths - counts.hypothesis_lengths[counts.reference_images])
    firsts = np.flatnonzero(np.diff(counts.reference_images, prepend=-1))
    return np.minimum.reduceat(distances * longest + counts.reference_lengths, firsts) % longest
