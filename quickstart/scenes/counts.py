"""How many are there: one, two or three? A three-way choice about the drawn world, asked in every language and
answered in English, like xGQA. Recipes beside this package name it `scenes.counts:scene_counts`.

The task shows why calibration helps. In training, question and answer share a language, and "one" is more frequent
than "two" or "three". If you ask in Chinese and want an English answer, the model prefers the frequent answers, and
some answers never win, just as "maybe" never wins in XVNLI.

Each count is equally frequent. The images show held-out compositions and differ from those of task.py. The
content-free input has the same question with a grey image.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from mblip.data.languages import ENGLISH
from mblip.data.recipes.ranges import Count, Seed
from mblip.data.stable_random import stable_random
from mblip.evaluation.answer_scoring import ChoiceAccuracy
from mblip.evaluation.generation_settings import GenerationSettings
from mblip.evaluation.languages import check_languages
from mblip.evaluation.protocol import OWN, Setup, fixed_prompt
from mblip.evaluation.task import AS_IS, Answering, EvaluationExample, EvaluationTask, RankBy
from scenes.drawing import draw_scene
from scenes.languages import SCENE_LANGUAGES, questions
from scenes.world import COUNTS, Scene, sample_held_out_scene

NAME = "scene_counts"
CANDIDATES = ("one", "two", "three")
GENERATION = GenerationSettings(max_new_tokens=10)


def scene_counts(
    setup: Setup,
    *,
    languages: tuple[str, ...] = SCENE_LANGUAGES,
    num_images: Count = 100,
    seed: Seed = 0,
    answering: Answering = "rank",
    rank_by: RankBy = "sum",
) -> EvaluationTask:
    """The question of the count, asked in each language about `num_images` images of each count. The task has its own
    protocol."""
    check_languages(languages)
    if num_images < 1:
        raise ValueError(f"`num_images` is {num_images}, expected at least one image of each count.")
    images = [draw_counted(number, seed) for number in range(num_images * len(COUNTS))]
    return EvaluationTask(
        NAME,
        list(_examples(images, languages)),
        ChoiceAccuracy(CANDIDATES),
        GENERATION,
        OWN,
        answering=answering,
        rank_by=rank_by,
    )


@dataclass(frozen=True)
class CountedImage:
    """An image of a scene. The question is about group number `position`."""

    image_id: str
    scene: Scene
    position: int
    image: Image.Image


def draw_counted(number: int, seed: int) -> CountedImage:
    """Image `number` of a seed, always the same. The counts alternate."""
    rng = stable_random(seed, "evaluation", NAME, number)
    wanted = COUNTS[number % len(COUNTS)]
    while True:
        scene, position = sample_held_out_scene(rng), rng.randrange(2)
        if scene.groups[position].count == wanted and questions(scene, ENGLISH):
            return CountedImage(f"counts-{number}", scene, position, draw_scene(scene, rng))


def _examples(images: Sequence[CountedImage], languages: Sequence[str]) -> Iterator[EvaluationExample]:
    for image in images:
        for language in languages:
            prompt = fixed_prompt("vqa", ENGLISH, question=_asked(image, language)[0])
            yield EvaluationExample(
                images=(image.image,),
                image_id=image.image_id,
                prompt=prompt,
                references=(_asked(image, ENGLISH)[1],),
                language=language,
                condition=AS_IS,
                id=f"{image.image_id}/{language}",
                candidates=CANDIDATES,
                content_free=prompt,
            )


def _asked(image: CountedImage, language: str) -> tuple[str, str]:
    """Question and answer about the count of the image's group."""
    counts = [entry for entry in questions(image.scene, language) if entry.kind == "count"]
    return counts[image.position].question, counts[image.position].answer
