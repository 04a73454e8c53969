"""How many are there: one, two or three? A three-way choice about the drawn world, answered in English whatever
language asks, as xGQA is. Recipes beside this package name it `scenes.counts:scene_counts`.

It shows what calibration is for. Training has asked and answered in one language at a time, and "one" more often than
"two" or "three"; asked in Chinese, to be answered in English, a model says what it has always said, and some answers
never win, as "maybe" never wins XVNLI. The pictures hold each count equally often and are of compositions that
training never shows; they are none of those of task.py. Without content means with a grey picture: the content
is the picture, the question stays.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from mblip.data.languages import ENGLISH
from mblip.data.stable_random import stable_random
from mblip.evaluation.answer_scoring import ChoiceAccuracy
from mblip.evaluation.generation_settings import GenerationSettings
from mblip.evaluation.languages import check_languages
from mblip.evaluation.protocol import OWN, Setup, fixed_prompt
from mblip.evaluation.task import AS_IS, Answering, EvaluationExample, EvaluationTask, RankBy
from scenes.drawing import draw_scene
from scenes.languages import SCENE_LANGUAGES, questions
from scenes.world import COUNTS, Scene, sample_unseen_scene

NAME = "scene_counts"
CANDIDATES = ("one", "two", "three")
GENERATION = GenerationSettings(max_new_tokens=10)


def scene_counts(
    setup: Setup,
    *,
    languages: tuple[str, ...] = SCENE_LANGUAGES,
    num_images: int = 100,
    seed: int = 0,
    answering: Answering = "rank",
    rank_by: RankBy = "sum",
) -> EvaluationTask:
    """The question of the count, asked in each language about `num_images` pictures of each count. The task has a
    protocol of its own."""
    check_languages(languages)
    if num_images < 1:
        raise ValueError(f"`num_images` is {num_images}, expected at least one picture of each count.")
    pictures = [draw_counted(number, seed) for number in range(num_images * len(COUNTS))]
    return EvaluationTask(
        NAME,
        list(_examples(pictures, languages)),
        ChoiceAccuracy(CANDIDATES),
        GENERATION,
        OWN,
        answering=answering,
        rank_by=rank_by,
    )


@dataclass(frozen=True)
class CountedPicture:
    """A drawing of a scene, of which group number `place` is asked for."""

    image_id: str
    scene: Scene
    place: int
    image: Image.Image


def draw_counted(number: int, seed: int) -> CountedPicture:
    """Picture number i of a seed, always the same; the counts take turns."""
    rng = stable_random(seed, "evaluation", NAME, number)
    wanted = COUNTS[number % len(COUNTS)]
    while True:
        scene, place = sample_unseen_scene(rng), rng.randrange(2)
        if scene.groups[place].count == wanted and questions(scene, ENGLISH):
            return CountedPicture(f"counts-{number}", scene, place, draw_scene(scene, rng))


def _examples(pictures: Sequence[CountedPicture], languages: Sequence[str]) -> Iterator[EvaluationExample]:
    for picture in pictures:
        for language in languages:
            prompt = fixed_prompt("vqa", ENGLISH, question=_asked(picture, language)[0])
            yield EvaluationExample(
                images=(picture.image,),
                image_id=picture.image_id,
                prompt=prompt,
                references=(_asked(picture, ENGLISH)[1],),
                language=language,
                condition=AS_IS,
                id=f"{picture.image_id}/{language}",
                candidates=CANDIDATES,
                content_free=prompt,
            )


def _asked(picture: CountedPicture, language: str) -> tuple[str, str]:
    """Question and answer about the count of the picture's group."""
    counts = [entry for entry in questions(picture.scene, language) if entry.kind == "count"]
    return counts[picture.place].question, counts[picture.place].answer
