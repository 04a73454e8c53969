"""Draws that are equal in every process, on every machine and after a resume.

Python's `hash` of a string differs between processes. A generator that advances sample by sample depends on how many
workers share the data. Here every draw has a key, such as (seed, epoch, image_id), and depends on nothing else.
"""

import hashlib
import random

Key = str | int


def stable_random(*key: Key) -> random.Random:
    """A generator seeded by `key`: equal keys give equal draws, and (1, "2") differs from ("1", 2)."""
    return random.Random(_hash(key))


def stable_number(*key: Key) -> float:
    """A number from 0 to below 1 that depends on the key alone. One draw, five times as fast as with a generator."""
    return (_hash(key) >> 11) / 2**53


def _hash(key: tuple[Key, ...]) -> int:
    """A hash of 64 bits."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "big")
