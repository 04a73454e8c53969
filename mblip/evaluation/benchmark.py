"""Building blocks of the benchmarks in tasks/, and of your own.

A benchmark is a function in a file of its own. It reads the published records and returns an `EvaluationTask`. Its
keyword-only parameters are the keys that a recipe may set:

    def my_benchmark(setup: Setup, *, questions: Path, images: Path) -> EvaluationTask:
        prompts = setup.prompts("vqa", paper="Question: {question} Short answer in {language}:")
        examples: list[EvaluationExample] = []
        for location, record in read_json_lines(questions):
            fields = check_record(record, {"id": str, "image": str, "question": str, "answer": str}, location=location)
            examples += ask(
                prompts,
                inputs={"question": fields["question"]},
                references=(fields["answer"],),
                images=(image_location(images, fields["image"], location=location),),
                image_id=fields["image"],
                language="de",
                answer_language="de",
                id=fields["id"],
            )
        return benchmark_task("my_benchmark", examples, metric=ExactMatch(), setup=setup, kind="short_answer")

A recipe names your benchmark `my_module:my_benchmark`. A built-in benchmark goes by its bare name `NAME`, for the
function `NAME` in tasks/NAME.py. There is no registry.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from mblip.data.example import Example
from mblip.data.images import Image, RefusedImageError
from mblip.data.images.locations import is_url, location_name, open_bytes
from mblip.data.languages import ENGLISH
from mblip.data.skipped import SkipReport
from mblip.data.stable_random import stable_random

from .protocol import AnswerKind, PromptForm, Rules, Setup
from .read_files import ReadFiles
from .task import AS_IS, SHUFFLED, Answering, EvaluationExample, EvaluationTask, Metric, Origin, RankBy

MISSING = "image missing"
STAND_INS_FILE = "STAND_INS.txt"  # marks a folder of drawn stand-ins for photos (benchmarks/stand_ins.py)
NUM_NAMES = 3
NO_CONTENT = "N/A"  # replaces question or statement in content-free prompts


def benchmark_task(
    name: str,
    examples: Iterable[EvaluationExample],
    *,
    metric: Metric,
    setup: Setup,
    kind: AnswerKind | Rules,
    origin: Origin | None = None,
    skipped: SkipReport | None = None,
    files: ReadFiles | None = None,
    answering: Answering = "generate",
    rank_by: RankBy = "sum",
    changes: tuple[str, ...] = (),
) -> EvaluationTask:
    """The task of a benchmark.

    Args:
        kind: the kind of its answers, which determines the decoding; or the protocol's rules, from `Setup.rules`.
        skipped: what the readers skipped. We add missing images.
        files: what the readers read.
        changes: what else differs from the protocol. In every protocol the model writes its answers.

    Raises:
        ValueError: there are no examples, or images are missing and `Setup.missing_images` is "error".
    """
    skipped, files = skipped or SkipReport(), files or ReadFiles()
    found = list(_sharing_bytes(examples))
    with_images = _with_images(name, found, setup, origin, skipped)
    marks = files.marks
    num_languages, published = len({example.language for example in found}), files.published
    if published is not None and published.num_languages not in (None, num_languages):
        marks = (*marks, f"{num_languages} of {published.num_languages} languages")
    if num_without := len(found) - len(with_images):
        marks = (*marks, f"{num_without:,} of {len(found):,} examples without their image")
    if answering != "generate":
        changes = (*changes, f"answering: {answering}{f' by {rank_by}' if answering == 'rank' else ''}")
    if isinstance(kind, Rules):
        changes = (*kind.changes, *changes)
    return EvaluationTask(
        name=name,
        examples=with_images,
        metric=metric,
        generation=setup.generation(kind),
        protocol=setup.protocol,
        origin=origin,
        skipped=skipped,
        answering=answering,
        rank_by=rank_by,
        files=files.files,
        marks=marks,
        changes=(*setup.changes, *changes),
    )


def ask(
    prompts: Sequence[PromptForm],
    *,
    images: tuple[Image, ...],
    image_id: str,
    references: tuple[str, ...],
    language: str,
    id: str,
    inputs: Mapping[str, str] = MappingProxyType({}),
    answer_language: str = ENGLISH,
    condition: str = AS_IS,
    candidates: tuple[str, ...] = (),
    facts: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[EvaluationExample]:
    """Yield one example per prompt. Its condition joins the question's condition and the prompt's.

    Args:
        prompts: from `Setup.prompts`.
        inputs: the values that the prompts insert, such as the question.
        language: the language under which answers are counted.
        answer_language: the language that the prompts ask for.
        candidates: the answers to choose from; none if the model generates freely.
    """
    empty = dict.fromkeys(inputs, NO_CONTENT)
    for prompt in prompts:
        yield EvaluationExample(
            images=images,
            image_id=image_id,
            prompt=prompt.fill(answer_language, language == ENGLISH, **inputs),
            references=references,
            language=language,
            condition=joined_condition(condition, prompt.condition),
            id=id,
            candidates=candidates,
            content_free=prompt.fill(answer_language, language == ENGLISH, **empty) if candidates else None,
            facts=facts,
        )


def ask_example(
    example: Example, prompts: Sequence[PromptForm], candidates: tuple[str, ...] = ()
) -> Iterator[EvaluationExample]:
    """Turn an example of a training source into evaluation examples, one per prompt, to be answered in English."""
    return ask(
        prompts,
        images=example.images,
        image_id=example.image_id,
        inputs=example.inputs,
        references=(example.target,),
        language=example.language,
        id=example.id,
        candidates=candidates,
    )


def joined_condition(*conditions: str) -> str:
    """The name of several conditions combined; `as_is` adds nothing."""
    return ", ".join(condition for condition in conditions if condition != AS_IS) or AS_IS


def with_shuffled_images(examples: Sequence[EvaluationExample], *, seed: int) -> list[EvaluationExample]:
    """The blind test: the examples under the condition `shuffled`, each with the images of another `image_id`.

    A model that scores as well as before does not use the images. All examples with the same `image_id` get the same
    other images, and every image set is used.

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
    """A permutation of 0 ... num_things - 1 without fixed points, drawn with `seed`.

    Raises:
        ValueError: there are fewer than two things.
    """
    if num_things < 2:
        raise ValueError(f"Found {num_things} image set(s) to shuffle, expected at least 2.")
    circle = list(range(num_things))
    stable_random(seed, "derangement").shuffle(circle)
    successor = dict(zip(circle, [*circle[1:], circle[0]], strict=True))
    return [successor[i] for i in range(num_things)]


def _sharing_bytes(examples: Iterable[EvaluationExample]) -> Iterator[EvaluationExample]:
    """The examples, each image set in memory once: every row of a dataset has its own copy of an image."""
    shown: dict[str, tuple[Image, ...]] = {}
    for example in examples:
        first = shown.setdefault(example.image_id, example.images)
        are_bytes = len(first) == len(example.images) and {type(image) for image in (*first, *example.images)} == {
            bytes
        }
        yield replace(example, images=first) if are_bytes else example


def _with_images(
    name: str, examples: list[EvaluationExample], setup: Setup, origin: Origin | None, skipped: SkipReport
) -> list[EvaluationExample]:
    """The examples whose images all exist."""
    if setup.missing_images == "unchecked":
        return examples
    locations = {image for example in examples for image in example.images if isinstance(image, str | Path)}
    missing = {location: reason for location in locations if (reason := why_missing(location)) is not None}
    without = [example for example in examples if any(_is_in(image, missing) for image in example.images)]
    if not without:
        return examples
    if setup.missing_images == "error":
        source = "" if origin is None else f"\n{origin.instructions}"
        skip = (
            f", or skip {len(without)} of {len(examples)} examples: `--missing_images skip`, in a recipe "
            "`setup: {missing_images: skip}`"
        )
        raise ValueError(
            f"{name}: {len(missing)} of {len(locations)} images are missing, {_named(missing)}"
            f"{skip if len(without) < len(examples) else ''}.{source}"
        )
    for example in without:
        skipped.add(MISSING, f"{name}/{example.id}")
    left = {id(example) for example in without}
    return [example for example in examples if id(example) not in left]


def _named(missing: Mapping[str | Path, str]) -> str:
    """For the message: some names, what was found of the first, and what to do."""
    first = sorted(missing, key=location_name)[:NUM_NAMES]
    names = ", ".join(map(location_name, first))
    if any(map(is_url, missing)):
        return f"such as {names}: URLs are not read here. Fetch them first (mblip fetch --help)"
    return f"such as {names} ({missing[first[0]]}). Put them there"


def shows_stand_ins(examples: Iterable[EvaluationExample]) -> bool:
    """Whether any image is in a folder of stand-ins."""
    folders = {image.parent for example in examples for image in example.images if isinstance(image, Path)}
    return any((folder / STAND_INS_FILE).is_file() for folder in folders)


def _is_in(image: Image, locations: Collection[str | Path]) -> bool:
    return isinstance(image, str | Path) and image in locations


def why_missing(location: str | Path) -> str | None:
    """Why there is no image file at a location, or None. The file may still be broken. URLs count as missing."""
    if isinstance(location, Path) or is_url(location):
        return None if isinstance(location, Path) and os.path.isfile(location) else f"not found: {location}"
    try:
        open_bytes(location)
    except RefusedImageError as error:
        if error.refused.reason == "missing":
            return f"not found: {location}"
        return error.refused.detail.rstrip(".") if error.refused.reason == "unreadable" else None
    return None
