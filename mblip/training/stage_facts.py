"""What a stage trained, on what data and hardware: noted when it begins, for the model card."""

import json
import os
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn
from transformers import TrainingArguments

from mblip.data import InterleavedRows, TrainingRows

from .rows import Rows
from .trainable import LearningRates, parameter_groups

FACTS_FILE = "facts.json"
LIBRARIES = ("torch", "transformers", "peft", "accelerate", "datasets")


@dataclass(frozen=True)
class StageFacts:
    """`num_trained` counts parameters by kind; `num_images` and `num_prompts` (by language) are None for a stream."""

    num_trained: dict[str, int]
    num_images: int | None
    num_prompts: dict[str, int] | None
    hardware: str
    num_processes: int
    is_bf16: bool
    versions: dict[str, str]


def write_facts(folder: Path, model: nn.Module, rows: Rows, arguments: TrainingArguments) -> None:
    """Note the facts of a stage in its folder."""
    sources = _sources(rows)
    facts = StageFacts(
        num_trained=_count_by_kind(model),
        num_images=sum(source.count_images() for source in sources) if sources else None,
        num_prompts=_prompts_by_language(sources) if sources else None,
        hardware=_hardware(),
        num_processes=arguments.world_size,
        is_bf16=arguments.bf16,
        versions={name: version(name) for name in LIBRARIES},
    )
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{FACTS_FILE}.unfinished"
    unfinished.write_text(json.dumps(asdict(facts), indent=1), encoding="utf-8")
    unfinished.replace(folder / FACTS_FILE)


def read_facts(folder: Path) -> StageFacts:
    """The facts of a stage."""
    return StageFacts(**json.loads((folder / FACTS_FILE).read_text(encoding="utf-8")))


def _count_by_kind(model: nn.Module) -> dict[str, int]:
    counts: Counter[str] = Counter()
    rates = LearningRates(projection=0.0, qformer=0.0, lora=0.0, rest=0.0)
    for group in parameter_groups(model, rates, weight_decay=0.0):
        counts[group["name"].partition(",")[0]] += sum(parameter.numel() for parameter in group["params"])
    return dict(counts)


def _sources(rows: Rows) -> Sequence[TrainingRows]:
    """The rows that can be counted."""
    if isinstance(rows, InterleavedRows):
        return rows.sources
    return [rows] if isinstance(rows, TrainingRows) else []


def _prompts_by_language(sources: Sequence[TrainingRows]) -> dict[str, int]:
    counts = sum((source.count_prompts() for source in sources), Counter[str]())
    return dict(counts.most_common())


def _hardware() -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return f"CPU ({platform.machine()}), {os.cpu_count()} cores, {torch.get_num_threads()} thread(s)"
