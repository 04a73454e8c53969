"""MinHash signatures, and an index that finds texts with similar ones.

A MinHash signature is a short summary of a text's set of shingles, from which set similarity can be estimated (Broder
1997). The index finds texts whose signatures agree in a band: locality-sensitive hashing (Indyk and Motwani 1998).

Shingles are pieces of the text itself, so we need no word segmentation in any language. A shingle of four characters
starts at every character. It has two where it starts with a Chinese character, a kana or a Hangul syllable, which say
as much as several letters. Under a random hash function, two sets have the same minimum with a probability equal to
their Jaccard similarity. A signature is cut into bands of several rows. Two texts are candidates if at least one band
agrees entirely.

numpy computes everything for a whole batch of texts, from constants alone, so every process on every machine gets the
same signatures.

Shape suffixes: T = texts of a batch, C = characters of all of them, S = shingles of all of them, H = hash functions, B
= bands.
"""

import re
from array import array
from collections.abc import Sequence

import numpy as np

from mblip.data.stable_random import stable_random

NUM_LETTERS, NUM_SYLLABLES = 4, 2  # characters in a shingle
_SYLLABLE_RANGES = ((0x3040, 0x30FF), (0x3400, 0x9FFF), (0xAC00, 0xD7A3), (0x20000, 0x3FFFF))
_SYLLABLE = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in _SYLLABLE_RANGES) + "]")
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio, made odd: multiplication with it spreads bits
_NONE = -1  # no entry
_FIRST_SIZE = 1 << 12  # the number of chains of an empty index


def shingles(text: str) -> set[str]:
    """The shingles of one text. A text shorter than a shingle is itself one."""
    if not _SYLLABLE.search(text):
        return {text[i : i + NUM_LETTERS] for i in range(max(1, len(text) - NUM_LETTERS + 1))}
    widths = [NUM_SYLLABLES if _SYLLABLE.match(character) else NUM_LETTERS for character in text]
    whole = {text[i : i + width] for i, width in enumerate(widths) if i + width <= len(text)}
    return whole or {text[: widths[0]]}


def jaccard(first: set[str], second: set[str]) -> float:
    """The Jaccard similarity of two sets of shingles, 0 to 1."""
    common = len(first & second)
    return common / (len(first) + len(second) - common)


def signatures(texts: Sequence[str], num_hashes: int) -> np.ndarray:
    """The minima of `num_hashes` hash functions over the shingles of each text: (T, H), uint32."""
    hashes_S, starts_T = shingle_hashes(texts)
    draw = stable_random("MinHash", num_hashes)
    minima = []
    for _ in range(num_hashes):
        factor, summand = np.uint32(draw.getrandbits(32) | 1), np.uint32(draw.getrandbits(32))
        minima.append(np.minimum.reduceat(hashes_S * factor + summand, starts_T))
    return np.stack(minima, axis=1)


def shingle_hashes(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The hashes of all shingles, text by text: (S,), uint32; and where each text's begin: (T,).

    Raises:
        ValueError: a text is empty, so it has no shingles.
    """
    lengths_T = np.array([len(text) for text in texts])
    if not lengths_T.all():
        raise ValueError(
            f"Text {int(lengths_T.argmin())} of the batch is empty, expected at least one character in each. "
            "Remove empty texts."
        )
    # all texts in one array of characters, with the bounds of each text
    codes_C = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    starts_C = np.repeat(np.cumsum(lengths_T) - lengths_T, lengths_T)
    ends_C = np.repeat(np.cumsum(lengths_T), lengths_T)
    # a shingle starts at every character, if it ends within its text
    positions_C = np.arange(len(codes_C))
    stops_C = positions_C + _widths(codes_C)
    is_first_C, is_whole_C = positions_C == starts_C, stops_C <= ends_C
    is_only_C = is_first_C & ~_any_of_text(is_whole_C, lengths_T)  # a text shorter than a shingle
    is_shingle_C = is_whole_C | is_only_C
    hashes_C = _window_hashes(codes_C, np.minimum(stops_C, ends_C))
    # the number of shingles of each text, and where they begin
    num_T = np.add.reduceat(is_shingle_C, np.cumsum(lengths_T) - lengths_T, dtype=np.int64)
    return hashes_C[is_shingle_C], np.cumsum(num_T) - num_T


def band_hashes(signatures_TH: np.ndarray, num_rows: int) -> np.ndarray:
    """The hashes of bands of `num_rows` minima each: (T, B), uint32. Left-over minima are ignored."""
    num_bands = signatures_TH.shape[1] // num_rows
    hashes_TB = np.arange(num_bands, dtype=np.uint64)[None] * _MIX  # bands at different positions get different hashes
    for row in range(num_rows):
        hashes_TB = _mixed(hashes_TB ^ signatures_TH[:, row : num_bands * num_rows : num_rows])
    return (hashes_TB >> np.uint64(32)).astype(np.uint32)


def num_rows_of_bands(threshold: float, num_hashes: int, min_recall: float) -> int:
    """The most rows per band that still find a pair of similarity `threshold` with probability `min_recall`.

    With r rows and b bands, the probability is 1 - (1 - threshold^r)^b. More rows give fewer false candidates.
    """
    fitting = [
        rows for rows in range(1, num_hashes + 1) if 1 - (1 - threshold**rows) ** (num_hashes // rows) >= min_recall
    ]
    if not fitting:
        raise ValueError(
            f"No bands of {num_hashes} hashes find {min_recall:.0%} of the pairs of similarity {threshold}. "
            "Use a higher threshold."
        )
    return max(fitting)


class BandIndex:
    """Texts by the hashes of their bands: `num_bands` numbers below 2^32 per text. Texts are numbered as they are
    added.

    A Python dict would take about 130 bytes per band of each text; this takes 12 to 16. It keeps chains of entries in
    three flat arrays, with as many chains as entries, or up to twice as many. It holds at most 2^31 entries: 119
    million texts with 18 bands.
    """

    def __init__(self, num_bands: int) -> None:
        self._num_bands = num_bands
        self._hashes = array("I")  # the hash of each entry
        self._earlier = array("i")  # the entry before it in its chain
        self._latest = array("i", [_NONE]) * _FIRST_SIZE  # the last entry of each chain

    def add(self, hashes: Sequence[int]) -> None:
        """Add a text. The first is number 0."""
        if len(self._hashes) + len(hashes) > len(self._latest):
            self._grow()
        last_chain = len(self._latest) - 1
        for hash_ in hashes:
            chain = hash_ & last_chain
            self._earlier.append(self._latest[chain])
            self._latest[chain] = len(self._hashes)
            self._hashes.append(hash_)

    def candidates(self, hashes: Sequence[int]) -> set[int]:
        """The numbers of the texts that share a band with these hashes."""
        found = set()
        last_chain = len(self._latest) - 1
        for hash_ in hashes:
            entry = self._latest[hash_ & last_chain]
            while entry != _NONE:
                if self._hashes[entry] == hash_:
                    found.add(entry // self._num_bands)
                entry = self._earlier[entry]
        return found

    def _grow(self) -> None:
        """Double the number of chains. Entries keep their order within a chain."""
        num_chains = 2 * len(self._latest)
        chains = np.frombuffer(self._hashes, dtype=np.uint32) & np.uint32(num_chains - 1)
        order = np.argsort(chains, kind="stable").astype(np.int32)
        ordered = chains[order]
        follows = ordered[1:] == ordered[:-1]
        earlier = np.full(len(chains), _NONE, dtype=np.int32)
        earlier[order[1:][follows]] = order[:-1][follows]
        latest = np.full(num_chains, _NONE, dtype=np.int32)
        latest[ordered] = order  # for equal chains, the last assignment counts
        self._earlier = array("i", earlier.tobytes())
        self._latest = array("i", latest.tobytes())


def _widths(codes_C: np.ndarray) -> np.ndarray:
    is_syllable_C = np.zeros(len(codes_C), dtype=bool)
    for first, last in _SYLLABLE_RANGES:
        is_syllable_C |= (codes_C >= first) & (codes_C <= last)
    return np.where(is_syllable_C, NUM_SYLLABLES, NUM_LETTERS)


def _any_of_text(is_true_C: np.ndarray, lengths_T: np.ndarray) -> np.ndarray:
    """For each character, whether anything is true in its text."""
    return np.repeat(np.logical_or.reduceat(is_true_C, np.cumsum(lengths_T) - lengths_T), lengths_T)


def _window_hashes(codes_C: np.ndarray, stops_C: np.ndarray) -> np.ndarray:
    """The hash of the characters from each one to its stop."""
    positions_C = np.arange(len(codes_C))
    padded = np.concatenate([codes_C, np.zeros(NUM_LETTERS, dtype=np.uint32)]).astype(np.uint64)
    hashes_C = np.zeros(len(codes_C), dtype=np.uint64)
    for k in range(NUM_LETTERS):
        code_C = np.where(positions_C + k < stops_C, padded[k : k + len(codes_C)], 0)
        hashes_C = _mixed(hashes_C + code_C + np.uint64(1))
    return (hashes_C >> np.uint64(32)).astype(np.uint32)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Spread differences in few bits over all bits."""
    values = values * _MIX
    return values ^ (values >> np.uint64(29))
