"""The blind test: the same questions with each other's pictures.

A model that answers as well as before has not looked.
"""

from collections.abc import Sequence
from dataclasses import replace

from mblip.data.stable_random import stable_random

from .task import SHUFFLED, EvaluationExample


def with_shuffled_images(examples: Sequence[EvaluationExample], *, seed: int) -> list[EvaluationExample]:
    """The examples under the condition `shuffled`, each with the images of another `image_id`.

    All examples of one `image_id` see the same other images, and every image set is seen again.

    Raises:
        ValueError: there is only one image set.
    """
    images = {example.image_id: example.images for example in examples}
    image_ids = list(images)
    other = {image_ids[i]: image_ids[j] for i, j in enumerate(derangement(len(image_ids), seed=seed))}
    return [
        replace(
            example,
            images=images[other[example.image_id]],
            image_id=other[example.image_id],
            condition=SHUFFLED,
        )
        for example in examples
    ]


def derangement(num_things: int, *, seed: int) -> list[int]:
    """An order of 0 ... num_things - 1 in which nothing stays at its place, drawn by `seed`.

    Raises:
        ValueError: there are fewer than two things.
    """
    if num_things < 2:
        raise ValueError(f"Found {num_things} image set(s) to shuffle, expected at least 2.")
    circle = list(range(num_things))
    stable_random(seed, "derangement").shuffle(circle)
    successor = dict(zip(circle, [*circle[1:], circle[0]], strict=True))
    return [successor[i] for i in range(num_things)]
