"""Counts the n-grams of captions, as integers, once for all metrics that compare them.

Captions form one sequence: the hypotheses of all images, then the references of all images, in the order of the
images. A word is represented by its rank among the sorted words of the set, and an n-gram by its rank among the
n-grams of its order. The n-grams of a caption are therefore in alphabetical order, whatever the other captions are.
Sums over them are the same to the last bit in any order of the images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from .image_scores import check_images

MAX_ORDER = 4

Tokens = Sequence[str]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NgramRows:
    """A row for each n-gram of each caption: `caption` holds `ngram` `count` times. Sorted by caption, then n-gram."""

    caption: Integers
    ngram: Integers
    count: Integers


@dataclass(frozen=True)
class OrderCounts:
    """The n-grams of one order. `shared_references`: rows of references whose n-gram is also in the hypothesis of the
    same image. `shared_hypotheses`: for each of them, the row of the hypothesis."""

    num_ngrams: int
    hypotheses: NgramRows
    references: NgramRows
    shared_hypotheses: Integers
    shared_references: Integers


@dataclass(frozen=True)
class NgramCounts:
    """The n-gram counts of the captions of a set of images, from `count_ngrams`.

    `hypothesis_lengths`: the number of words of each image's hypothesis. `reference_lengths`: that of each reference.
    `reference_images`: the image of each reference. `orders` begins with single words.
    """

    hypothesis_lengths: Integers
    reference_lengths: Integers
    reference_images: Integers
    orders: tuple[OrderCounts, ...]

    @property
    def num_images(self) -> int:
        return len(self.hypothesis_lengths)


def count_ngrams(hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> NgramCounts:
    """Count the n-grams of one to four words in one hypothesis and one or more references per image.

    We split tokens that contain white space with `str.split`, as `precook` of pycocoevalcap's bleu_scorer.py and
    cider_scorer.py does. (The tokenizer writes `1 1/2` with a no-break space.)

    Raises:
        ValueError: there are no images, an image has no reference, or the two differ in length.
    """
    check_images(hypotheses, references)
    captions = [" ".join(tokens).split() for tokens in chain(hypotheses, chain.from_iterable(references))]
    lengths = np.array([len(words) for words in captions], dtype=np.int64)
    num_images = len(hypotheses)
    reference_images = np.repeat(np.arange(num_images), [len(group) for group in references])
    orders = tuple(
        _count_order(*ngrams, num_images, reference_images) for ngrams in _ngrams_by_order(captions, lengths)
    )
    return NgramCounts(lengths[:num_images], lengths[num_images:], reference_images, orders)


def _ngrams_by_order(captions: list[list[str]], lengths: Integers) -> list[tuple[Integers, Integers, int]]:
    """For each order: the caption of every n-gram in reading order, the n-gram, and the number of distinct n-grams."""
    ranks = {word: rank for rank, word in enumerate(sorted(set(chain.from_iterable(captions))))}
    words = np.fromiter(map(ranks.__getitem__, chain.from_iterable(captions)), np.int64, count=int(lengths.sum()))
    captions_of_words = np.repeat(np.arange(len(captions)), lengths)
    positions = np.arange(len(words))
    words_left = np.repeat(lengths.cumsum(), lengths) - positions  # words from this one to the end of the caption
    starts, ngrams, num_ngrams = positions, words, len(ranks)
    found = [(captions_of_words, ngrams, num_ngrams)]
    for order in range(2, MAX_ORDER + 1):
        is_inside = words_left[starts] >= order
        starts = starts[is_inside]
        different, ngrams = np.unique(ngrams[is_inside] * len(ranks) + words[starts + order - 1], return_inverse=True)
        found.append((captions_of_words[starts], ngrams, len(different)))
    return found


def _count_order(
    captions: Integers, ngrams: Integers, num_ngrams: int, num_images: int, reference_images: Integers
) -> OrderCounts:
    """Count the n-grams of one order per caption, and find those that hypothesis and reference share."""
    positions, counts = np.unique(captions * num_ngrams + ngrams, return_counts=True)
    captions, ngrams = np.divmod(positions, max(num_ngrams, 1))
    num_hypothesis_rows = int(np.searchsorted(captions, num_images))
    hypotheses = NgramRows(*(column[:num_hypothesis_rows] for column in (captions, ngrams, counts)))
    references = NgramRows(
        captions[num_hypothesis_rows:] - num_images, ngrams[num_hypothesis_rows:], counts[num_hypothesis_rows:]
    )
    wanted = reference_images[references.caption] * num_ngrams + references.ngram
    rows = np.searchsorted(positions[:num_hypothesis_rows], wanted)
    is_shared = np.append(positions[:num_hypothesis_rows], -1)[rows] == wanted
    return OrderCounts(num_ngrams, hypotheses, references, rows[is_shared], np.flatnonzero(is_shared))
