"""The translation engines of a build, opened once for a shard, with their cache."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from ..translation import OnFailure
from ..translation.cache import CachedEngine, TranslationCache
from ..translation.engines.ctranslate2 import CTranslate2Engine
from ..translation.engines.engine import CAREFUL, Search, TranslationEngine
from ..translation.engines.nllb import NllbEngine
from .folder import BuildFolder
from .reading import read_report
from .recipe import MixRecipe, TranslationSettings


@dataclass(frozen=True)
class Translators:
    """Who translates, who tries again, which answers of VQA are translated, and what becomes of failures."""

    engine: TranslationEngine
    retry_engine: TranslationEngine | None
    translatable_answers: frozenset[str]
    on_failure: OnFailure
    as_released: bool


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
        engine = _open_engine(settings, folder)
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


def _open_engine(settings: TranslationSettings, folder: BuildFolder) -> NllbEngine | CTranslate2Engine:
    search = Search(num_beams=settings.num_beams)
    device: Literal["cuda", "cpu"] = "cuda" if torch.cuda.is_available() else "cpu"
    if settings.engine == "transformers":
        return NllbEngine(settings.model, revision=settings.revision, search=search, device=device)
    return CTranslate2Engine(
        settings.model,
        cache_folder=folder.work / "ctranslate2",
        revision=settings.revision,
        search=search,
        device=device,
    )
