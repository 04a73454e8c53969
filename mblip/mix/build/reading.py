"""Step 1 of a build: a source read to its end, its examples allotted to languages and parted among the shards."""

import logging
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from mblip.data.example import Example
from mblip.data.stable_random import stable_number
from mblip.data.whole_files import unfinished_folder

from ..translation import ANSWER_TASKS
from ..translation.answers import choose_translatable_answers
from .example_lines import read_line, write_line
from .folder import BuildFolder, SourceReport
from .recipe import MixRecipe

logger = logging.getLogger(__name__)

REPORT = "report.json"
OTHER_FILES = 200  # that libraries and sources have open


@dataclass(frozen=True)
class ReadingStep:
    """Task n reads source n of the recipe. Called as datatrove calls the steps of a pipeline."""

    recipe: MixRecipe
    folder: BuildFolder

    def __call__(self, data: Any, rank: int, world_size: int) -> None:
        read_source(self.recipe, rank, self.folder)


def read_source(recipe: MixRecipe, number: int, folder: BuildFolder) -> None:
    """Read source `number` of a recipe into its folder, unless it is there.

    Raises:
        ValueError: the source has a broken record, or gives nothing and leaves nothing out; the message names it.
    """
    source, target = recipe.sources[number], folder.examples(number)
    if target.is_dir():
        return
    _allow_open_files(recipe.num_shards + OTHER_FILES)
    report, allocation = SourceReport(source.source), recipe.allot(source)
    answers: Counter[str] = Counter()
    with unfinished_folder(target) as unfinished, ExitStack() as stack:
        files: dict[int, TextIO] = {}
        for example in source.examples(recipe.seed, report.left_out):
            if stable_number(recipe.seed, "share", example.source, example.id) >= source.share:
                continue
            shard = shard_of(example, recipe.num_shards)
            if shard not in files:
                files[shard] = stack.enter_context(_lines_of(unfinished, shard).open("w", encoding="utf-8"))
            files[shard].write(write_line(example, unfinished))
            language = example.language if allocation is None else allocation.allot(example)
            report.counts[language, example.task] += 1
            if example.task in ANSWER_TASKS:
                answers[example.target] += 1
        if not files and not report.left_out.counts:
            raise ValueError(
                f"The source {source.source!r} (number {number} of the recipe) gave no examples. Check its files, "
                "and `share`."
            )
        report.translatable_answers = tuple(choose_translatable_answers(answers.elements()))
        report.write(unfinished / REPORT)


def read_report(number: int, folder: BuildFolder) -> SourceReport:
    """What reading source `number` came to."""
    return SourceReport.read(folder.examples(number) / REPORT)


def examples_of(number: int, shard: int, folder: BuildFolder) -> Iterator[Example]:
    """The examples of a source in a shard, in the source's order."""
    path = _lines_of(folder.examples(number), shard)
    if path.is_file():
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield read_line(line, path.parent)


def shard_of(example: Example, num_shards: int) -> int:
    """The shard of an example, which is that of all examples about the same images."""
    return int(stable_number("shard", example.image_id) * num_shards)


def _allow_open_files(number: int) -> None:
    """Raise the limit of this process to so many open files: one for each shard, and those of libraries."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < number:
        raise ValueError(
            f"A process may open {hard} files here, but the mix needs {number}, one for each shard and some more. "
            "Lower `num_shards`, or raise the limit (`ulimit -n`)."
        )
    if soft != resource.RLIM_INFINITY and soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))


def _lines_of(folder: Path, shard: int) -> Path:
    return folder / f"{shard:05d}.jsonl"
