"""ROUGE-L: the longest common subsequence of words, as captioning benchmarks report it.

Lin's ROUGE-L in the implementation of pycocoevalcap 1.2 (`Rouge.calc_score`). Recall has more weight than precision.
The best precision and the best recall may come from different references.
"""

from collections.abc import Sequence

from .image_scores import ImageScores, check_images
from .ngram_counts import Tokens

BETA = 1.2  # recall counts this much more than precision; Rouge.beta


def rouge_l(hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> ImageScores:
    """ROUGE-L, from 0 to 1, for a set of images (the mean) and for each image.

    A text without tokens counts as one empty word, as in the reference implementation. An empty hypothesis therefore
    scores 0, or 1 if a reference is also empty.

    Raises:
        ValueError: there are no images, an image has no reference, or the two differ in length.
    """
    check_images(hypotheses, references)
    pairs = zip(hypotheses, references, strict=True)
    return ImageScores.with_mean(tuple(_image_score(hypothesis, group) for hypothesis, group in pairs))


def _image_score(hypothesis: Tokens, references: Sequence[Tokens]) -> float:
    words = hypothesis or [""]
    positions: dict[str, int] = {}
    for position, word in enumerate(words):
        positions[word] = positions.get(word, 0) | 1 << position
    precision = recall = 0.0
    for reference in references:
        common = _common_length(positions, len(words), reference or [""])
        precision = max(precision, common / len(words))
        recall = max(recall, common / len(reference or [""]))
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _common_length(positions: dict[str, int], num_words: int, reference: Tokens) -> int:
    """Length of the longest common subsequence of a text and a reference, in one pass over the reference.

    `positions` maps each word of the text to a bit mask of its positions. This is a bit-parallel algorithm of the
    family of Allison and Dix (A bit-string longest-common-subsequence algorithm, 1986). A bit of `row` is set if the
    length does not grow at this word in the current row of the usual table. The carry of an addition updates the row.
    """
    row = (1 << num_words) - 1
    for word in reference:
        if matches := row & positions.get(word, 0):
            row = (row + matches) | (row - matches)
    return num_words - (row & (1 << num_words) - 1).bit_count()
