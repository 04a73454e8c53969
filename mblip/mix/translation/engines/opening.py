"""The engine that settings name, on the accelerator where there is one."""

from pathlib import Path
from typing import Literal

import torch

from ..settings import TranslationSettings
from .ctranslate2 import CTranslate2Engine
from .engine import Search
from .nllb import NllbEngine


def open_engine(settings: TranslationSettings, *, converted: Path) -> NllbEngine | CTranslate2Engine:
    """The engine, its weights loaded; `converted` is the folder that keeps them as CTranslate2 has them."""
    search = Search(num_beams=settings.num_beams)
    device: Literal["cuda", "cpu"] = "cuda" if torch.cuda.is_available() else "cpu"
    if settings.engine == "transformers":
        return NllbEngine(settings.model, revision=settings.revision, search=search, device=device)
    return CTranslate2Engine(
        settings.model,
        cache_folder=converted,
        revision=settings.revision,
        search=search,
        device=device,
    )
