"""CIDEr-D: the similarity of a caption to its references, with more weight on rare n-grams.

Vedantam, Zitnick and Parikh, CIDEr: Consensus-based Image Description Evaluation (arXiv 1411.5726), in the
implementation of pycocoevalcap 1.2 (`CiderScorer.compute_cider`). It calls the score CIDEr, and captioning benchmarks
report it. Two things are worth knowing:

- The rarity of an n-gram comes from the references of the scored set. You can compare models on the same images, but
  not scores of different sets. With a single image every score is 0.
- The length penalty compares numbers of word pairs. An empty caption and a caption of one word count as equally long.
"""

import math

import numpy as np
import numpy.typing as npt

from .image_scores import ImageScores
from .ngram_counts import MAX_ORDER, Integers, NgramCounts, OrderCounts

SIGMA = 6.0  # width of the Gaussian length penalty, in words
SCALE = 10.0

Floats = npt.NDArray[np.float64]


def cider_d(counts: NgramCounts) -> ImageScores:
    """CIDEr-D, from 0 to 10, for a set of images (the mean) and for each image. An empty hypothesis scores 0."""
    logarithms = np.log(np.arange(1, counts.num_images + 1, dtype=np.float64))
    similarities = [_cosines(order, counts, logarithms) for order in counts.orders]
    penalties = _length_penalties(counts)
    terms = np.stack([cosine * penalties for cosine in similarities], axis=1)
    ends = np.flatnonzero(np.diff(counts.reference_images, append=counts.num_images)) + 1
    per_image = []
    start = 0
    for end in ends.tolist():
        # An exact sum does not depend on the order of the references.
        mean = math.fsum(terms[start:end].ravel()) / MAX_ORDER / (end - start)
        per_image.append(mean * SCALE)
        start = end
    return ImageScores.with_mean(tuple(per_image))


def _cosines(order: OrderCounts, counts: NgramCounts, logarithms: Floats) -> Floats:
    """For each reference, the clipped cosine of its n-grams and the hypothesis's, weighted by count and rarity."""
    rarity = logarithms[-1] - logarithms[np.maximum(_document_frequencies(order, counts), 1) - 1]
    hypothesis_weights = order.hypotheses.count * rarity[order.hypotheses.ngram]
    reference_weights = order.references.count * rarity[order.references.ngram]
    ours, theirs = hypothesis_weights[order.shared_hypotheses], reference_weights[order.shared_references]
    num_references = len(counts.reference_lengths)
    products = _sums(
        order.references.caption[order.shared_references], np.minimum(ours, theirs) * theirs, num_references
    )
    norms_of_hypotheses = np.sqrt(_sums(order.hypotheses.caption, hypothesis_weights**2, counts.num_images))
    norms_of_references = np.sqrt(_sums(order.references.caption, reference_weights**2, num_references))
    norms = norms_of_hypotheses[counts.reference_images] * norms_of_references
    return products / np.where(norms == 0, 1, norms)


def _sums(captions: Integers, values: Floats, num_captions: int) -> Floats:
    """For each caption, the sum of its values, added in their order."""
    return np.bincount(captions, values, num_captions).astype(np.float64)


def _document_frequencies(order: OrderCounts, counts: NgramCounts) -> Integers:
    """For each n-gram, the number of images with a reference that contains it."""
    images = counts.reference_images[order.references.caption]
    positions = np.sort(images * order.num_ngrams + order.references.ngram)
    different = positions[np.flatnonzero(np.diff(positions, prepend=-1))]
    return np.bincount(different % max(order.num_ngrams, 1), minlength=order.num_ngrams)


def _length_penalties(counts: NgramCounts) -> Floats:
    """For each reference, the factor for its difference in length from the hypothesis."""
    pairs_of_hypotheses = np.maximum(counts.hypothesis_lengths - 1, 0)[counts.reference_images]
    differences = np.abs(pairs_of_hypotheses - np.maximum(counts.reference_lengths - 1, 0))
    penalties = [math.e ** (-(difference**2) / (2 * SIGMA**2)) for difference in range(int(differences.max()) + 1)]
    return np.array(penalties)[differences]
