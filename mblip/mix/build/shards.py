"""Step 3 of a build: the examples of a shard get translated, get prompts, and become rows with their images inside."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet

from mblip.atomic_write import atomic_file
from mblip.data.example import FEATURES_WITH_PROVENANCE, PROVENANCE, Example, to_rows
from mblip.data.images import Refused
from mblip.data.images.locations import FetchedBytes
from mblip.data.prompts import apply_prompt
from mblip.data.skipped import SkipReport
from mblip.data.stable_random import stable_random

from ..translation import translate_examples
from ..translation.cache import CachedEngine, TranslationCache
from ..translation.engines import TranslationSettings
from ..translation.nllb import open_engines
from ..translation.report import TranslationReport
from .folder import BuildFolder, ShardReport
from .images import ImageSets, fetched_images
from .reading import examples_of, read_report
from .recipe import MixRecipe, MixSource

Translate = Callable[..., Iterator[Example]]

MAX_GROUP_BYTES = 32_000_000  # of images in a row group; a reader holds a whole group in memory
MAX_GROUP_ROWS = 1000
_engines = lru_cache(maxsize=1)(open_engines)  # a process loads the weights once for all its shards

# What `load_dataset` shows: it opens the images.
PUBLISHED_FEATURES = datasets.Features(FEATURES_WITH_PROVENANCE | {"images": datasets.List(datasets.Image())})


def build_shard(recipe: MixRecipe, folder: BuildFolder, number: int) -> None:
    """Write the parquet file of shard `number`, unless it is there."""
    path, report_path = folder.shard(number, recipe.num_shards), folder.shard_report(number)
    if folder.is_built(number, recipe.num_shards):
        return
    report, image_sets = ShardReport(), ImageSets()
    rows = _rows(recipe, number, folder, image_sets, report)
    stored = _stored_rows(rows, image_sets, recipe, fetched_images(number, folder), report)
    with atomic_file(path) as partial:
        _write_parquet(stored, str(partial))
        report.num_bytes = partial.stat().st_size
    report.write(report_path)


def _rows(
    recipe: MixRecipe, number: int, folder: BuildFolder, image_sets: ImageSets, report: ShardReport
) -> list[dict[str, Any]]:
    """The shard's rows with images as locations, in an order drawn by the recipe's seed."""
    with _open_translation(recipe, folder, number, report.translation) as translate:
        examples = chain.from_iterable(
            _worded(recipe, source, _once(examples_of(position, number, folder), report), translate)
            for position, source in enumerate(recipe.sources)
        )
        rows = list(to_rows(image_sets.sharing(examples)))
    return sorted(rows, key=lambda row: (stable_random(recipe.seed, "row", row["image_id"]).random(), row["image_id"]))


@contextmanager
def _open_translation(
    recipe: MixRecipe, folder: BuildFolder, shard: int, report: TranslationReport
) -> Iterator[Translate | None]:
    """A function that translates a source's examples, given them and `allot`; None without translation.

    Each shard has its own cache, so machines need not share a database.
    """
    settings = recipe.translation
    if settings is None:
        yield None
        return
    cache = TranslationCache(folder.translations / f"{shard:05d}.sqlite")
    try:
        engine, careful = _engines(settings, converted=folder.work / "ctranslate2")
        answers = (read_report(number, folder).translatable_answers for number in range(len(recipe.sources)))
        yield partial(
            translate_examples,
            engine=CachedEngine(engine, cache),
            report=report,
            retry_engine=None if careful is None else CachedEngine(careful, cache),
            on_failure=settings.on_failure,
            translatable_answers=frozenset(answer for found in answers for answer in found),
            as_released=isinstance(settings, TranslationSettings) and settings.as_released,
        )
    finally:
        cache.close()


def _once(examples: Iterable[Example], report: ShardReport) -> Iterator[Example]:
    """The examples of a source without those that its file repeats.

    All examples of an image set are in one shard, so no repeated example is missed.
    """
    seen: set[tuple[Any, ...]] = set()
    for example in examples:
        texts = (example.prompt, example.target, *sorted(example.inputs.items()))
        key = (example.source, example.id, example.image_id, example.task, example.language, *texts)
        if key in seen:
            report.skipped.add("stands there a second time", f"{example.source}/{example.id}")
        else:
            seen.add(key)
            yield example


def _worded(
    recipe: MixRecipe, source: MixSource, examples: Iterable[Example], translate: Translate | None
) -> Iterator[Example]:
    """The examples of a source with their prompts, translated if the recipe says so."""
    held, allocation = list(examples), recipe.allot(source)
    yield from (example for example in held if example.prompt)  # released data already have prompts
    plain: Iterable[Example] = (example for example in held if not example.prompt)
    if allocation is not None and translate is not None:
        plain = translate(plain, allot=allocation.allot)
    for example in plain:
        yield apply_prompt(
            example,
            seed=recipe.seed,
            native_share=recipe.prompts.native_share,
            native_folder=recipe.prompts.native_folder,
            templates=recipe.prompts.templates,
        )


def _stored_rows(
    rows: list[dict[str, Any]],
    image_sets: ImageSets,
    recipe: MixRecipe,
    fetched: FetchedBytes | None,
    report: ShardReport,
) -> Iterator[dict[str, Any]]:
    """The rows with their images inside.

    A row with refused images is counted and named. It is skipped, or with `as_released` gets black images.
    """
    for row in rows:
        images = image_sets.stored(row["image_id"], recipe.images, fetched)
        if isinstance(images, Refused) and recipe.images.as_released:
            _skip(row, f"image refused and made black, as released: {_shown(images)}", report.skipped)
            images = image_sets.as_released(row["image_id"], recipe.images, fetched)
        elif isinstance(images, Refused):
            _skip(row, f"image refused: {_shown(images)}", report.skipped)
            continue
        report.num_rows += 1
        report.num_images += len(images)
        report.counts.update(zip(row["languages"], row["tasks"], strict=True))
        provenance = row.get(PROVENANCE) or ["{}"] * len(row["prompts"])
        yield row | {"images": images, PROVENANCE: provenance}


def _shown(refused: Refused) -> str:
    """The reason, which the card shows. That of an archive tells what to do, without the folders of this machine."""
    archive, _, message = refused.detail.rpartition("::")[2].partition(": ")
    if refused.reason != "unreadable" or "::" not in refused.detail:
        return refused.reason
    return f"{refused.reason}: {message.replace(archive, Path(archive).name)}"


def _skip(row: Mapping[str, Any], reason: str, skipped: SkipReport) -> None:
    for source, example_id in zip(row["sources"], row["ids"], strict=True):
        skipped.add(reason, f"{source}/{example_id}")


def _write_parquet(rows: Iterator[dict[str, Any]], path: str) -> None:
    schema = PUBLISHED_FEATURES.arrow_schema
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for group in _groups(rows):
            columns = {name: [row[name] for row in group] for name in schema.names}
            writer.write_table(pyarrow.table(columns, schema=schema), row_group_size=len(group))


def _groups(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows in groups small enough for a reader's memory."""
    group: list[dict[str, Any]] = []
    num_bytes = 0
    for row in rows:
        group.append(row)
        num_bytes += sum(len(image["bytes"]) for image in row["images"])
        if num_bytes >= MAX_GROUP_BYTES or len(group) >= MAX_GROUP_ROWS:
            yield group
            group, num_bytes = [], 0
    if group:
        yield group
