"""The n-grams of captions as integers, counted once for the metrics that compare them.

Captions stand in one row: the hypothesis of every image, then the references of every image, in the order of the
images. A word is the rank of its text among the words of the set, an n-gram the rank among the n-grams of its order.
So the n-grams of a caption come in alphabetical order, whatever other captions stand beside it, and what is summed
over them is the same to the last bit however the images are shuffled.
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
    """The n-grams of one order. `shared_references` are the rows of references whose n-gram the hypothesis of the same
    image holds too; `shared_hypotheses`, entry for entry, its row there."""

    num_ngrams: int
    hypotheses: NgramRows
    references: NgramRows
    shared_hypotheses: Integers
    shared_references: Integers


@dataclass(frozen=True)
class NgramCounts:
    """The captions of a set of images, as `count_ngrams` counts them.

    `hypothesis_lengths` has the number of words of each image's hypothesis; `reference_lengths` that of each
    reference, and `reference_images` which image it describes. `orders` begins with single words.
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

    A token that holds white space (the tokenizer writes `1 1/2` with a no-break space inside) is as many words as
    `str.split` finds, as in `precook` of pycocoevalcap's bleu_scorer.py and cider_scorer.py.

    Raises:
        ValueError: there is no image, or one without a reference, or the two are of unequal length.
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
    """For each order: the caption of every n-gram in reading order, the n-gram, and how many different ones exist."""
    ranks = {word: rank for rank, word in enumerate(sorted(set(chain.from_iterable(captions))))}
    words = np.fromiter(map(ranks.__getitem__, chain.from_iterable(captions)), np.int64, count=int(lengths.sum()))
    captions_of_words = np.repeat(np.arange(len(captions)), lengths)
    positions = np.arange(len(words))
    words_left = np.repeat(lengths.cumsum(), lengths) - positions  # in the caption, from this word on
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
    """Count the n-grams of one order caption by caption, and find those that hypothesis and reference share."""
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
