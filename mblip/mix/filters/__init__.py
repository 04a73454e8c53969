"""What is kept out of the mix, and what wrong captions are asked about: noun phrases, near-duplicates, hard negatives.

Nothing is imported here: each filter needs packages of its own.
"""
