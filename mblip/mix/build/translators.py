"""The translation engines of a build, opened once for a shard, with their cache."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..translation.cache import CachedEngine, TranslationCache
from ..translation.engines import CAREFUL, OnFailure, TranslationEngine, TranslationSettings
from ..translation.nllb import CTranslate2Engine, NllbEngine, open_engine
from .folder import BuildFolder
from .reading import read_report
from .recipe import MixRecipe


@dataclass(frozen=True)
class Translators:
    """Who translates, who tries again, which answers of VQA are translated, and what becomes of failures."""

    engine: TranslationEngine
    retry_engine: TranslationEngine | None
    translatable_answers: frozenset[str]
    on_failure: OnFailure
    as_released: bool


@lru_cache(maxsize=1)
def _engine(settings: TranslationSettings, converted: Path) -> NllbEngine | CTranslate2Engine:
    """The engine, whose weights a process loads once for all its shards."""
    return open_engine(settings, converted=converted)


@contextmanager
def open_translators(recipe: MixRecipe, folder: BuildFolder, shard: int) -> Iterator[Translators | None]:
    """The translators of a recipe, None for one without translation. Each shard has a cache of its own, so that
    machines need not share a database."""
    settings = recipe.translation
    if settings is None:
        yield None
        return
    cache = TranslationCache(folder.translations / f"{shard:05d}.sqlite")
    try:
        engine = _engine(settings, folder.work / "ctranslate2")
        answers = (read_report(number, folder).translatable_answers for number in range(len(recipe.sources)))
        yield Translators(
            engine=CachedEngine(engine, cache),
            retry_engine=CachedEngine(engine.with_search(CAREFUL), cache) if settings.retry else None,
            translatable_answers=frozenset(answer for found in answers for answer in found),
            on_failure=settings.on_failure,
            as_released=settings.as_released,
        )
    finally:
        cache.close()
