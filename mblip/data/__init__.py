"""The training mix: sources to examples, examples to rows, rows to batches."""

from .collator import GenerationCollator, MBlipCollator
from .example import Example, to_rows
from .interleaving import EpochCallback, InterleavedRows
from .languages import LANGUAGES, Language, get_language
from .mixture import load_rows, write_rows
from .prompts import TASKS, apply_prompt
from .training_rows import TrainingRows, TrainingStream

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
