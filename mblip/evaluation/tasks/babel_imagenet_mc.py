"""Babel-ImageNet as multiple choice (BIN-MC): which of four names fits an ImageNet photo, in up to 93 languages?

Source: Centurio's paper (arXiv 2501.05122: the prompt in Figure 2, the construction in appendix C.4) and
`BabelImageNetICDataset` of gregor-ge/FOCI-Benchmark. They ask about ten photos of each class of ImageNet's validation
set in 20 languages. The wrong options are hard: of the classes with a label in the language, the three whose English
labels CLIP finds most similar to the photo. The questions are not published, and no seed fixes their order.

With `nearest` the wrong names are found in this way, and the protocol is `centurio`. Otherwise they are drawn, which
is easier, and the protocol is `own`. Unlike in the source, no two options have the same text, such as "Hantel", the
German name of two classes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from mblip.data.normal_text import normal_text
from mblip.data.prompts import get_task
from mblip.data.recipes.ranges import Seed
from mblip.data.skipped import SkipReport
from mblip.data.sources.babel_imagenet import SOURCE, BabelImageNet, HoldOut
from mblip.data.sources.babel_imagenet_files import NUM_CLASSES, Photo
from mblip.data.sources.records import check_record, read_json_lines
from mblip.data.stable_random import stable_random

from ..generation_settings import GenerationSettings
from ..multiple_choice import AnswerBy, MultipleChoiceAccuracy, ask_choice
from ..protocol import OWN, PromptForm, Setup
from ..read_files import ReadFiles
from ..task import AS_IS, Answering, EvaluationExample, EvaluationTask, RankBy
from .babel_imagenet import ORIGIN

NUM_OPTIONS, PHOTOS_OF_A_CLASS = 4, 10
NUM_DRAWN = 20  # so that four of them differ
QUESTION = "Which of these choices (in {language}) is shown in the image?\nChoices:\n{options}\nAnswer with "
PROMPTS = {"letter": "the letter from the given choices directly.", "text": "one of the given choices directly."}


def babel_imagenet_mc(
    setup: Setup,
    *,
    photos: Path,
    labels: Path,
    nearest: Path | None = None,
    languages: tuple[str, ...] | None = None,
    answer_by: AnswerBy = "letter",
    list_options: bool = True,
    order: Literal["shuffled", "circular"] = "shuffled",
    seed: Seed = 0,
    answering: Answering = "generate",
    rank_by: RankBy = "sum",
) -> EvaluationTask:
    """The first ten photos of each class, or fewer if the folder has fewer, in every language that has a name for it.

    Args:
        photos, labels, languages: as of the task `babel_imagenet`.
        nearest: a file of `python benchmarks/nearest_names.py`: for each photo all classes, the most similar first.
        list_options: False: ask what is in the image, without options.
        seed: for the order of the options, and the wrong names if they are drawn.

    Raises:
        ValueError: a file is not as described, or `nearest` lacks a photo.
    """
    read = BabelImageNet.read(photos, labels, languages=languages)
    similar, skipped, files = _read_nearest(nearest), SkipReport(), ReadFiles()
    text = QUESTION + PROMPTS[answer_by] if list_options else get_task("image_naming").templates[0].text
    examples: list[EvaluationExample] = []
    of_class: dict[int, list[Photo]] = {}
    for shown in read.photos:
        of_class.setdefault(shown.class_index, []).append(shown)
    read = replace(read, photos=[shown for group in of_class.values() for shown in group[:PHOTOS_OF_A_CLASS]])
    for named in read.examples("train", hold_out=HoldOut(share=0), tasks=("image_naming",), skipped=skipped):
        names = read.labels[named.language]
        photo = named.image_id.removeprefix(f"{SOURCE}/")
        if nearest is not None and photo not in similar:
            raise ValueError(f"{nearest} has no line for the photo {photo}. Write it for the folder {photos}.")
        draw = stable_random(seed, "wrong names", photo, named.language)
        drawn = draw.sample(sorted(names), min(NUM_DRAWN, len(names)))
        examples += ask_choice(
            (PromptForm(AS_IS, text),),
            options=_options(named.target, names, similar.get(photo, drawn)),
            right=0,
            images=named.images,
            image_id=named.image_id,
            language=named.language,
            answer_language=named.language,
            id=f"{photo}/{named.language}",
            answer_by=answer_by,
            order=order,
            seed=seed,
        )
    asked = {"answer_by": answer_by, "list_options": list_options, "order": order, "answering": answering}
    usual = {"answer_by": "letter", "list_options": True, "order": "shuffled", "answering": "generate"}
    files.add(labels, len(read.labels))
    files.add(nearest, len(similar))
    marks = ["wrong names drawn" if nearest is None else "wrong names found anew"]
    num_photos, num_published = len({example.image_id for example in examples}), PHOTOS_OF_A_CLASS * NUM_CLASSES
    if num_photos < num_published:
        marks.append(f"{num_photos:,} of {num_published:,} photos")
    return EvaluationTask(
        "babel_imagenet_mc",
        examples,
        MultipleChoiceAccuracy(answer_by),
        GenerationSettings(10 if answer_by == "letter" else 32, min_new_tokens=1),
        OWN if nearest is None else "centurio",
        answering=answering,
        rank_by=rank_by,
        origin=ORIGIN,
        skipped=skipped,
        files=files.files,
        changes=() if nearest is None else tuple(f"{key} {asked[key]}" for key in usual if asked[key] != usual[key]),
        marks=tuple(marks),
    )


def _options(right: str, names: Mapping[int, str], classes: Iterable[int]) -> list[str]:
    """Four names that differ: the right one, then those of the first classes that have a name."""
    options = {normal_text(right): right}
    for index in classes:
        if index in names and len(options) < NUM_OPTIONS:
            options.setdefault(normal_text(names[index]), names[index])
    return list(options.values())


def _read_nearest(file: Path | None) -> dict[str, list[int]]:
    fields, lines = {"photo": str, "classes": list[int]}, () if file is None else read_json_lines(file)
    records = (check_record(record, fields, location=location) for location, record in lines)
    return {record["photo"]: record["classes"] for record in records}
