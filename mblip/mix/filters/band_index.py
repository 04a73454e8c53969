"""Finding texts whose signatures agree in a band, in few bytes: locality-sensitive hashing (Indyk and Motwani 1998).

A signature is cut into bands of some rows; two texts are candidates where at least one band agrees entirely. Texts are
numbered as they are added. A dict of Python's would take about 130 bytes for each band of each text, this takes 12 to
16: chains of entries in three flat arrays, with as many chains as entries or up to twice as many.
"""

from array import array
from collections.abc import Sequence

import numpy as np

_NONE = -1
_FIRST_SIZE = 1 << 12


def num_rows_of_bands(threshold: float, num_hashes: int, min_recall: float) -> int:
    """As many rows as let a pair of similarity `threshold` agree in a band with a probability of `min_recall`.

    With r rows and b bands that is 1 - (1 - threshold^r)^b; more rows mean fewer candidates in vain.
    """
    fitting = [
        rows for rows in range(1, num_hashes + 1) if 1 - (1 - threshold**rows) ** (num_hashes // rows) >= min_recall
    ]
    if not fitting:
        raise ValueError(
            f"No bands of {num_hashes} hashes find {min_recall:.0%} of the pairs of similarity {threshold}. "
            "Take a higher threshold."
        )
    return max(fitting)


class BandIndex:
    """Texts by the hashes of their bands, `num_bands` each, numbers below 2^32.

    Holds 2^31 entries at most: 119 million texts with 18 bands.
    """

    def __init__(self, num_bands: int) -> None:
        self._num_bands = num_bands
        self._hashes = array("I")  # of each entry
        self._earlier = array("i")  # the entry before it in its chain
        self._latest = array("i", [_NONE]) * _FIRST_SIZE  # the last entry of each chain

    def add(self, hashes: Sequence[int]) -> None:
        """Add a text; the first is number 0."""
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
        """Twice as many chains, the entries in them in the same order."""
        num_chains = 2 * len(self._latest)
        chains = np.frombuffer(self._hashes, dtype=np.uint32) & np.uint32(num_chains - 1)
        order = np.argsort(chains, kind="stable").astype(np.int32)
        ordered = chains[order]
        follows = ordered[1:] == ordered[:-1]
        earlier = np.full(len(chains), _NONE, dtype=np.int32)
        earlier[order[1:][follows]] = order[:-1][follows]
        latest = np.full(num_chains, _NONE, dtype=np.int32)
        latest[ordered] = order  # of equal chains the last one stays
        self._earlier = array("i", earlier.tobytes())
        self._latest = array("i", latest.tobytes())
