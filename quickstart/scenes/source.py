"""The drawn world as a source: images with captions and questions in the twelve languages of languages/.

Recipes beside this package name it `scenes.source:scenes`.

It draws no held-out combinations (world.py), so a model trained on this source has never seen one. Image number i of a
seed is always the same, whatever `num_images` is.
"""

import random
from collections.abc import Iterator, Sequence

from mblip.data.example import Example
from mblip.data.languages import LanguageCode
from mblip.data.recipes.ranges import Count, Share
from mblip.data.sources import published
from mblip.data.stable_random import stable_random

from .drawing import draw_scene
from .languages import SCENE_LANGUAGES, caption, questions
from .world import Scene, sample_training_scene

SOURCE = "scenes"


@published("drawn images with captions and questions", "this package", "MIT")
def scenes(
    seed: int,
    *,
    num_images: Count,
    languages: tuple[LanguageCode, ...] = tuple(map(LanguageCode, SCENE_LANGUAGES)),
    num_prompts: Count = 4,
    question_share: Share = 0.2,
) -> Iterator[Example]:
    """Draw `num_images` images and yield `num_prompts` examples of each.

    About `question_share` of them are questions (task "vqa"), the others captions.

    The prompts of one image ask in languages drawn without repetition while there are enough of them.

    Raises:
        ValueError: a language has no captions, or `languages` is empty.
    """
    if not languages:
        raise ValueError(
            f"The source {SOURCE!r} was given no languages, expected some of {', '.join(SCENE_LANGUAGES)}."
        )
    for number in range(num_images):
        rng = stable_random(seed, SOURCE, number)
        scene = sample_training_scene(rng)
        image = draw_scene(scene, rng)
        for position, language in enumerate(_draw_languages(languages, num_prompts, rng)):
            task, inputs, target = _draw_task(scene, language, question_share, rng)
            yield Example(
                images=(image,),
                prompt="",
                target=target,
                language=language,
                task=task,
                source=SOURCE,
                id=f"{seed}-{number}-{position}",
                image_id=f"{SOURCE}-{seed}-{number}",
                inputs=inputs,
            )


def _draw_languages(languages: Sequence[str], num_prompts: Count, rng: random.Random) -> list[str]:
    drawn: list[str] = []
    while len(drawn) < num_prompts:
        drawn += rng.sample(list(languages), min(len(languages), num_prompts - len(drawn)))
    return drawn


def _draw_task(
    scene: Scene, language: str, question_share: Share, rng: random.Random
) -> tuple[str, dict[str, str], str]:
    """A task with its inputs and target. A scene whose groups share a shape has no questions, only a caption."""
    asked = questions(scene, language)
    if asked and rng.random() < question_share:
        drawn = rng.choice(asked)
        return "vqa", {"question": drawn.question}, drawn.answer
    return "captioning", {}, caption(scene, language)
