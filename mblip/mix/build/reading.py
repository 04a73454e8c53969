"""Step 1 of a build: read a source to its end, allot languages to its examples, and distribute them over the shards.

Between the steps, examples are lines of JSON. Images are locations (images/locations.py) if the source names them.
Images that exist only in memory (drawn ones, and those of datasets) are written beside the lines.
"""

import hashlib
import io
import json
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from PIL import Image as PILImage

from mblip.atomic_write import atomic_folder
from mblip.data.example import Example
from mblip.data.images import Image
from mblip.data.stable_random import stable_number

from ..translation import ANSWER_TASKS
from ..translation.answers import choose_translatable_answers
from .folder import BuildFolder, SourceReport
from .recipe import MixRecipe

REPORT = "report.json"
OTHER_FILES = 200  # open files of libraries and sources
IMAGES = "images"
IN_FOLDER = "example-image:"  # the prefix of an image beside the lines


def read_source(recipe: MixRecipe, folder: BuildFolder, number: int) -> None:
    """Read source `number` of a recipe into its folder, unless it is there.

    Raises:
        ValueError: the source has a broken record, or gives and skips nothing. The message names it.
        FileNotFoundError: the source names a file or folder that is not there. Without the images, they are counted as
            missing.
    """
    source, target = recipe.sources[number], folder.examples(number)
    if folder.is_read(number):
        return
    source.check_paths(may_lack_images=True)
    _allow_open_files(recipe.num_shards + OTHER_FILES)
    report, allocation = SourceReport(source.source), recipe.allot(source)
    answers: Counter[str] = Counter()
    with atomic_folder(target) as partial, ExitStack() as stack:
        files: dict[int, TextIO] = {}
        for example in source.examples(recipe.seed, report.skipped):
            if stable_number(recipe.seed, "share", example.source, example.id) >= source.share:
                continue
            # all examples about the same images go to one shard, whose file is opened on first use
            shard = _shard_of(example, recipe.num_shards)
            if shard not in files:
                files[shard] = stack.enter_context(_lines_of(partial, shard).open("w", encoding="utf-8"))
            files[shard].write(_write_line(example, partial))
            # for the plan: examples per language, and the answers that are frequent enough to translate
            language = example.language if allocation is None else allocation.allot(example)
            report.counts[language, example.task] += 1
            if example.task in ANSWER_TASKS:
                answers[example.target] += 1
        if not files and not report.skipped.counts:
            raise ValueError(
                f"The source {source.source!r} (number {number} of the recipe) gave no examples. Check its files, "
                "and `share`."
            )
        report.translatable_answers = tuple(choose_translatable_answers(answers.elements()))
        report.write(partial / REPORT)


def read_report(number: int, folder: BuildFolder) -> SourceReport:
    """The report of reading source `number`."""
    return SourceReport.read(folder.examples(number) / REPORT)


def examples_of(number: int, shard: int, folder: BuildFolder) -> Iterator[Example]:
    """The examples of a source in a shard, in the source's order."""
    path = _lines_of(folder.examples(number), shard)
    if path.is_file():
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield _read_line(line, path.parent)


def _shard_of(example: Example, num_shards: int) -> int:
    """The shard of an example. All examples about the same images have the same one."""
    return int(stable_number("shard", example.image_id) * num_shards)


def _allow_open_files(number: int) -> None:
    """Raise this process's limit of open files: one per shard, and those of libraries."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < number:
        raise ValueError(
            f"The limit is {hard} open files per process, but the mix needs {number}, one per shard and some more. "
            "Lower `num_shards`, or raise the limit (`ulimit -n`)."
        )
    if soft != resource.RLIM_INFINITY and soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))


def _lines_of(folder: Path, shard: int) -> Path:
    return folder / f"{shard:05d}.jsonl"


def _write_line(example: Example, folder: Path) -> str:
    """The example as a line. Its images without a location are written into `folder`."""
    fields = {
        "images": [_image_to_text(image, folder) for image in example.images],
        "target": example.target,
        "language": example.language,
        "task": example.task,
        "source": example.source,
        "id": example.id,
        "image_id": example.image_id,
        "inputs": dict(example.inputs),
        "provenance": dict(example.provenance),
        "prompt": example.prompt,
    }
    return json.dumps(fields, ensure_ascii=False) + "\n"


def _read_line(line: str, folder: Path) -> Example:
    """The example of a line that `_write_line` wrote into `folder`."""
    fields: dict[str, Any] = json.loads(line)
    images = tuple(_image_from_text(text, folder) for text in fields.pop("images"))
    return Example(images=images, **fields)


def _image_to_text(image: Image, folder: Path) -> str:
    if isinstance(image, str | Path):
        return f"path:{image}" if isinstance(image, Path) else image
    encoded = _png(image) if isinstance(image, PILImage.Image) else image
    name = hashlib.sha256(encoded).hexdigest()
    path = folder / IMAGES / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded)
    return f"{IN_FOLDER}{name}"


def _image_from_text(text: str, folder: Path) -> Image:
    if text.startswith(IN_FOLDER):
        return folder / IMAGES / text.removeprefix(IN_FOLDER)
    return Path(text.removeprefix("path:")) if text.startswith("path:") else text


def _png(image: PILImage.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
