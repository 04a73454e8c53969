"""The training mix: sources to examples, examples to rows, rows to batches."""

from typing import TYPE_CHECKING, Any

from .collator import GenerationCollator, MBlipCollator
from .example import Example, to_rows
from .interleaving import InterleavedRows
from .languages import LANGUAGES, Language, get_language
from .mixture import load_rows, write_rows
from .prompts import TASKS, apply_prompt
from .training_rows import TrainingRows, TrainingStream

if TYPE_CHECKING:
    from .epoch_callback import EpochCallback

__all__ = [
    "LANGUAGES",
    "TASKS",
    "EpochCallback",
    "Example",
    "GenerationCollator",
    "InterleavedRows",
    "Language",
    "MBlipCollator",
    "TrainingRows",
    "TrainingStream",
    "apply_prompt",
    "get_language",
    "load_rows",
    "to_rows",
    "write_rows",
]


def __getattr__(name: str) -> Any:
    if name != "EpochCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .epoch_callback import EpochCallback  # imports the Trainer

    return EpochCallback
