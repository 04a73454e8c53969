"""chrF: the character n-grams that a text shares with its references. It suits languages with long, rare words.

Popović (2015), computed by sacrebleu with its defaults: n-grams of one to six characters without white space, recall
twice as important as precision, case-sensitive. It needs no tokenization or segmentation.
"""

import unicodedata
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from .bootstrap import FloatArray
from .figure_sums import FigureSums
from .image_scores import ImageScores, check_captions

BETA = 2  # recall counts this much more than precision


def chrf(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> ImageScores:
    """chrF for a set of images and for each image, from 0 to 1 (sacrebleu prints 100 times this value).

    An image's score is that of its best reference. The score of the set comes from the counts of all images. Text is
    normalised to NFC. An empty hypothesis scores 0.

    Raises:
        ValueError: there are no images, an image has no reference, or the two differ in length.
        ImportError: sacrebleu is not installed.
    """
    check_captions(hypotheses, references)
    try:
        from sacrebleu.metrics import CHRF
    except ImportError as error:
        raise ImportError("chrF needs sacrebleu, which is not installed: `pip install mblip[eval]`.") from error
    outputs = [unicodedata.normalize("NFC", text) for text in hypotheses]
    groups = [[unicodedata.normalize("NFC", text) for text in group] for group in references]
    # Stream k holds the k-th reference of each image; sacrebleu skips None for images with fewer.
    streams = [list(stream) for stream in zip_longest(*groups)]
    # A private method, but sacrebleu has no other way to these counts.
    counts = CHRF()._extract_corpus_statistics(outputs, streams)
    sums = FigureSums(np.array(counts, dtype=np.float64), _of_counts)
    return ImageScores(sums.value, sums.per_example, sums)


def _of_counts(counts: FloatArray) -> FloatArray:
    """sacrebleu's `CHRF._compute_f_score` for many sets at once, to the last digit. The last axis holds the numbers of
    n-grams of the hypothesis, of the reference and of both, for one order after another."""
    num_ours, num_theirs, num_shared = (counts[..., start::3] for start in range(3))
    is_counted = (num_ours > 0) & (num_theirs > 0)
    num_orders = np.maximum(is_counted.sum(-1), 1)
    precision, recall = (
        np.divide(num_shared, number, out=np.zeros_like(number), where=is_counted).sum(-1) / num_orders
        for number in (num_ours, num_theirs)
    )
    weighted = BETA**2 * precision + recall
    score = np.divide((1 + BETA**2) * precision * recall, weighted, out=np.zeros_like(weighted), where=weighted > 0)
    return 100 * score / 100
