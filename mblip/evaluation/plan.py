"""Which prompts are asked together, and by which process.

The plan depends on the examples alone: not on their order, not on the number of processes, not on what an earlier run
has answered. So each of these gives the same batches, and the same answers to the last bit. A chunk is what one
process encodes the images of; all prompts about an image set are in one chunk.
"""

import math
from collections.abc import Iterator, Sequence

from .task import EvaluationExample

# Features are held of so many image sets at once. The more, the more batches are of one prompt, so that answers end
# together; the fewer, the more evenly processes share the work.
MIN_IMAGES, MAX_IMAGES, NUM_CHUNKS = 64, 512, 16
MAX_PROMPTS = 8192


def plan_chunks(
    examples: Sequence[EvaluationExample], *, max_prompts: int = MAX_PROMPTS
) -> list[list[EvaluationExample]]:
    """The examples in chunks, all of an `image_id` in one of them: at most 512 image sets, and sixteen chunks or more
    where there are enough. A chunk ends early with the image set that brings it to `max_prompts`."""
    groups: dict[str, list[EvaluationExample]] = {}
    for example in examples:
        groups.setdefault(example.image_id, []).append(example)
    num_images = max(MIN_IMAGES, min(MAX_IMAGES, math.ceil(len(groups) / NUM_CHUNKS)))
    chunks: list[list[EvaluationExample]] = [[]]
    num_held = 0
    for image_id in sorted(groups):
        if num_held == num_images or len(chunks[-1]) >= max_prompts:
            chunks.append([])
            num_held = 0
        chunks[-1] += sorted(groups[image_id], key=_key)
        num_held += 1
    return chunks


def plan_batches(
    examples: Sequence[EvaluationExample], ids: Sequence[list[int]], batch_size: int
) -> Iterator[list[int]]:
    """Positions of the examples of a chunk in batches of like length, so that little is padding, and of equal prompts
    as far as may be: answers in one language end at about the same length."""
    order = sorted(range(len(ids)), key=lambda i: (len(ids[i]), ids[i], examples[i].image_id))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def _key(example: EvaluationExample) -> tuple[str, str]:
    return example.condition, example.id
