"""ROUGE-L: the longest common subsequence of words, as the captioning benchmarks report it.

Lin's ROUGE-L in the implementation of pycocoevalcap 1.2 (`Rouge.calc_score`): recall weighs more than precision, and
the best precision and the best recall may come from different references.
"""

from collections.abc import Sequence

from .image_scores import ImageScores, check_images
from .ngram_counts import Tokens

BETA = 1.2  # recall counts this much more than precision; Rouge.beta


def rouge_l(hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> ImageScores:
    """ROUGE-L, from 0 to 1, of a set of images (the mean) and of each of them.

    A text without tokens counts as one empty word, as in the reference implementation. So an empty hypothesis has 0,
    but 1 where a reference is empty, too.

    Raises:
        ValueError: there is no image, or one without a reference, or the two are of unequal length.
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

    `places` has, for each word of the text, a bit for every place where it stands. This is a bit-parallel algorithm
    of the family of Allison and Dix (A bit-string longest-common-subsequence algorithm, 1986): of the row of the
    usual table, each bit says that the length does not grow at this word of the text; an addition carries along it.
    """
    row = (1 << num_words) - 1
    for word in reference:
        if matches := row & positions.get(word, 0):
            row = (row + matches) | (row - matches)
    return num_words - (row & (1 << num_words) - 1).bit_count()
