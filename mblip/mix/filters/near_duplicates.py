"""Skipping captions that nearly repeat an earlier one.

Two captions are near-duplicates if the Jaccard similarity of their shingles reaches a threshold. Case, punctuation and
spacing do not count. MinHash only proposes pairs to compare. We compute the deciding similarity exactly, so no caption
is skipped wrongly. About one in fifty pairs just at the threshold is missed, and almost no pairs above it.

We use our own code on numpy, because datasketch 2.0 makes a Python object of every signature and index entry;
`benchmarks/filters.py` measures both. datatrove's MinHash steps cluster long documents in files on disk, and drop
whole chains in which only neighbours are similar. Captions stream through here.
"""

from array import array
from collections.abc import Iterable, Iterator
from itertools import islice

from mblip.data.example import Example
from mblip.data.normal_text import normal_text
from mblip.data.skipped import SkipReport

from .minhash import BandIndex, band_hashes, jaccard, num_rows_of_bands, shingles, signatures

NUM_HASHES = 128
MIN_RECALL = 0.95  # for pairs just at the threshold; at the threshold 0.8 it is 0.985
BATCH_SIZE = 1024  # examples in memory at a time


def drop_near_duplicates(
    examples: Iterable[Example], *, threshold: float = 0.8, skipped: SkipReport | None = None
) -> Iterator[Example]:
    """The examples whose target is not a near-duplicate of an earlier kept one, in order.

    The result is equal in every process and under every Python hash seed. It streams. Memory holds `BATCH_SIZE`
    examples. For each kept example it also holds the text and 12 to 16 bytes per band, which is 300 to 400 bytes with
    the 18 bands of the default threshold. It briefly takes two or three times as much while the index grows.

    Args:
        threshold: the Jaccard similarity, above 0 and at most 1. At 0.8, a caption of ten words may differ in an
            article or an ending, but not in a noun. At 1, only captions with equal shingles are skipped.
    Raises:
        ValueError: the threshold is out of range.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"Found the threshold {threshold}, expected a Jaccard similarity above 0 and up to 1.")
    skipped = skipped if skipped is not None else SkipReport()
    seen = _Captions(threshold)
    waiting = iter(examples)
    while batch := list(islice(waiting, BATCH_SIZE)):
        is_new = seen.add_new([example.target for example in batch])
        for example, is_kept in zip(batch, is_new, strict=True):
            if is_kept:
                yield example
            else:
                reason = f"caption nearly repeats an earlier one (similarity {threshold:g} or more)"
                skipped.add(reason, f"{example.source}/{example.id}")


class _Captions:
    """The kept captions: their normal texts in one buffer, and an index of their bands."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._num_rows = num_rows_of_bands(threshold, NUM_HASHES, MIN_RECALL)
        self._index = BandIndex(NUM_HASHES // self._num_rows)
        self._texts = bytearray()
        self._starts = array("Q", [0])

    def add_new(self, captions: list[str]) -> list[bool]:
        """For each caption, whether it is new. New captions are added."""
        texts = [normal_text(caption) for caption in captions]
        bands = band_hashes(signatures(texts, NUM_HASHES), self._num_rows).tolist()
        return [self._add_if_new(text, hashes) for text, hashes in zip(texts, bands, strict=True)]

    def _add_if_new(self, text: str, hashes: list[int]) -> bool:
        candidates = self._index.candidates(hashes)
        own = shingles(text) if candidates else set()
        if any(jaccard(own, shingles(self._text(number))) >= self._threshold for number in candidates):
            return False
        self._index.add(hashes)
        self._texts += text.encode("utf-8", "surrogatepass")
        self._starts.append(len(self._texts))
        return True

    def _text(self, number: int) -> str:
        start, end = self._starts[number], self._starts[number + 1]
        return self._texts[start:end].decode("utf-8", "surrogatepass")
