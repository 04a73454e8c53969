"""From the examples of a published benchmark to its task: what is missing is found before a model is asked."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from mblip.data.images import Image
from mblip.data.images.places import is_url, open_bytes, place_name
from mblip.data.images.refusal import RefusedImageError
from mblip.data.left_out import LeftOut

from .protocol import AnswerKind, Setup
from .task import EvaluationExample, EvaluationTask, Metric, Origin

MISSING = "image missing"
STAND_INS_FILE = "STAND_INS.txt"  # in a folder whose pictures are drawn in place of photos (benchmarks/stand_ins.py)
NUM_NAMES = 3


def benchmark_task(
    name: str,
    examples: Iterable[EvaluationExample],
    *,
    metric: Metric,
    setup: Setup,
    kind: AnswerKind,
    origin: Origin,
    left_out: LeftOut,
    **answering: Any,
) -> EvaluationTask:
    """The task of a published benchmark.

    Args:
        kind: of its answers, which says how the protocol searches for them.
        left_out: what the readers left out; missing images are added.
        answering: `answering` and `rank_by` of `EvaluationTask`.

    Raises:
        ValueError: no example is there, or images are missing that may not be (`Setup.missing_images`).
    """
    return EvaluationTask(
        name=name,
        examples=_with_images(name, list(examples), setup, origin, left_out),
        metric=metric,
        generation=setup.generation(kind),
        protocol=setup.protocol,
        origin=origin,
        left_out=left_out,
        **answering,
    )


def _with_images(
    name: str, examples: list[EvaluationExample], setup: Setup, origin: Origin, left_out: LeftOut
) -> list[EvaluationExample]:
    """The examples whose images are all there."""
    if setup.missing_images == "unchecked":
        return examples
    places = {image for example in examples for image in example.images if isinstance(image, str | Path)}
    missing = {place for place in places if not is_there(place)}
    without = [example for example in examples if any(_is_in(image, missing) for image in example.images)]
    if not without:
        return examples
    if setup.missing_images == "error":
        raise ValueError(
            f"{name}: {len(missing)} of {len(places)} images are missing, {_named(missing)} (the benchmark: "
            f"{origin.url}), or set `missing_images: leave_out`, which leaves out {len(without)} of {len(examples)} "
            "examples."
        )
    for example in without:
        left_out.add(MISSING, f"{name}/{example.id}")
    left = {id(example) for example in without}
    return [example for example in examples if id(example) not in left]


def _named(missing: Collection[str | Path]) -> str:
    """The names of some, where the first was looked for, and what to do."""
    first = sorted(missing, key=place_name)[:NUM_NAMES]
    names = ", ".join(map(place_name, first))
    if any(map(is_url, missing)):
        return f"such as {names}: URLs are not read here. Fetch them first (mblip fetch --help)"
    return f"such as {names} (looked for: {first[0]}). Put them into the folder or archive that the recipe names"


def shows_stand_ins(examples: Iterable[EvaluationExample]) -> bool:
    """Whether any picture lies in a folder of stand-ins."""
    folders = {image.parent for example in examples for image in example.images if isinstance(image, Path)}
    return any((folder / STAND_INS_FILE).is_file() for folder in folders)


def _is_in(image: Image, places: set[str | Path]) -> bool:
    return isinstance(image, str | Path) and image in places


def is_there(place: str | Path) -> bool:
    """Whether there is an image file at a place; it may still be broken. URLs are not asked."""
    if isinstance(place, Path):
        return place.is_file()
    if is_url(place):
        return False
    try:
        open_bytes(place)
    except RefusedImageError as error:
        return error.refused.reason != "missing"
    return True
