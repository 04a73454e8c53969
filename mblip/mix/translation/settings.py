"""Who translates, as a recipe or a command says it."""

from dataclasses import dataclass
from typing import Literal

from .examples import OnFailure


@dataclass(frozen=True)
class TranslationSettings:
    """Who translates, and what becomes of what cannot be.

    `model` is an NLLB, a name on the Hub or a folder, run by transformers or, with the same weights and faster, by
    CTranslate2. With `retry`, what fails its checks is translated a second time with a more careful search.
    `as_released` translates into the scripts of the original: Traditional Chinese, Central Kurdish.
    """

    model: str
    engine: Literal["transformers", "ctranslate2"] = "transformers"
    revision: str | None = None
    num_beams: int = 1
    retry: bool = True
    on_failure: OnFailure = "leave_out"
    as_released: bool = False
