"""The drawn world as a benchmark: captions and questions in its twelve languages.

Recipes beside this package name it `scenes.task:scenes`; its files have the name `scenes`.

A caption is right only as a whole: count, size, colour and shape of both groups, their relation, and the grammar. The
images come from a separate random stream, so they differ from the training images whatever the seed is. All languages
share the images. All scenes differ, so a shuffled image is always wrong.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from PIL import Image

from mblip.data.recipes.ranges import Count, Seed
from mblip.data.stable_random import stable_random
from mblip.evaluation.answer_scoring import ExactMatch
from mblip.evaluation.benchmark import with_shuffled_images
from mblip.evaluation.generation_settings import GenerationSettings
from mblip.evaluation.languages import check_languages
from mblip.evaluation.protocol import OWN, Setup, TemplateChoice, fixed_prompt
from mblip.evaluation.task import AS_IS, SHUFFLED, EvaluationExample, EvaluationTask
from scenes.drawing import draw_scene
from scenes.languages import SCENE_LANGUAGES, caption, questions
from scenes.world import Scene, sample_held_out_scene, sample_training_scene

NAME = "scenes"
GENERATION = GenerationSettings(max_new_tokens=40)

# as_is: captions of held-out compositions. shuffled: as_is with shuffled images. seen: captions of compositions that
# training shows, in new images. questions: questions about the images of as_is, with one condition per kind
# (`question: colour` ...).
SceneCondition = Literal["as_is", "shuffled", "seen", "questions"]
SEEN = "seen"
QUESTIONS = "questions"


def scenes(
    setup: Setup,
    *,
    languages: tuple[str, ...] = SCENE_LANGUAGES,
    num_images: Count = 200,
    seed: Seed = 0,
    conditions: tuple[SceneCondition, ...] = ("as_is", "shuffled"),
    template: TemplateChoice = "first",
) -> EvaluationTask:
    """Captions (and questions) of `num_images` images in each language and condition.

    Image number i of a seed is always the same, whatever `num_images` is. The task has its own protocol.

    Raises:
        ValueError: a condition is unknown, a language has no captions, or there are too few images to shuffle.
    """
    check_languages(languages)
    unknown = sorted(set(conditions) - set(get_args(SceneCondition)))
    if unknown or not conditions or not languages:
        raise ValueError(
            f"Found the conditions {list(conditions)} and languages {list(languages)}, expected at least one language "
            f"and at least one condition of {', '.join(get_args(SceneCondition))}."
        )
    examples: list[EvaluationExample] = []
    if set(conditions) != {SEEN}:
        held_out = draw_scene_images(num_images, sample_held_out_scene, stream="unseen", seed=seed)
        captions = list(_captions(held_out, languages, AS_IS, template))
        examples += captions if AS_IS in conditions else []
        examples += with_shuffled_images(captions, seed=seed) if SHUFFLED in conditions else []
        examples += _questions(held_out, languages, template, seed) if QUESTIONS in conditions else []
    if SEEN in conditions:
        seen = draw_scene_images(num_images, _sample_seen_scene, stream="seen", seed=seed)
        examples += _captions(seen, languages, SEEN, template)
    changes = ("template held_out",) if template == "held_out" else ()
    return EvaluationTask(NAME, examples, ExactMatch(), GENERATION, OWN, changes=changes)


@dataclass(frozen=True)
class SceneImage:
    """A scene and its image."""

    image_id: str
    scene: Scene
    image: Image.Image


def draw_scene_images(
    num_images: int, sample: Callable[[random.Random], Scene], *, stream: str, seed: int
) -> list[SceneImage]:
    """Images of distinct scenes, from a random stream that no source uses."""
    images: list[SceneImage] = []
    drawn: set[Scene] = set()
    for number in range(num_images):
        rng = stable_random(seed, "evaluation", NAME, stream, number)
        scene = sample(rng)
        while scene in drawn:
            scene = sample(rng)
        drawn.add(scene)
        images.append(SceneImage(f"{stream}-{number}", scene, draw_scene(scene, rng)))
    return images


def _sample_seen_scene(rng: random.Random) -> Scene:
    """A scene of two groups, like the held-out ones, but without held-out combinations."""
    while True:
        scene = sample_training_scene(rng)
        if scene.reference is not None:
            return scene


def _captions(
    images: Sequence[SceneImage], languages: Sequence[str], condition: str, template: TemplateChoice
) -> Iterator[EvaluationExample]:
    for image in images:
        for language in languages:
            yield EvaluationExample(
                images=(image.image,),
                image_id=image.image_id,
                prompt=fixed_prompt("captioning", language, template),
                references=(caption(image.scene, language),),
                language=language,
                condition=condition,
                id=f"{image.image_id}/{language}",
            )


def _questions(
    images: Sequence[SceneImage], languages: Sequence[str], template: TemplateChoice, seed: int
) -> Iterator[EvaluationExample]:
    """One question of each kind about each image, the same one in every language."""
    for image in images:
        for language in languages:
            rng = stable_random(seed, "evaluation", QUESTIONS, image.image_id)
            asked = questions(image.scene, language)
            for kind in dict.fromkeys(entry.kind for entry in asked):
                drawn = rng.choice([entry for entry in asked if entry.kind == kind])
                yield EvaluationExample(
                    images=(image.image,),
                    image_id=image.image_id,
                    prompt=fixed_prompt("vqa", language, template, question=drawn.question),
                    references=(drawn.answer,),
                    language=language,
                    condition=f"question: {kind}",
                    id=f"{image.image_id}/{language}",
                )
