"""Filters of the mix (noun phrases, near-duplicates), and wrong captions for matching (random and hard negatives).

This file imports nothing, because each filter needs packages of its own.
"""
