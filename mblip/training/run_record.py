"""The record of a run, from which its model card is written: `card.json` in the run's folder.

We write it when the run ends, because commit, components and licences may not be available later. It holds every
number of the card and no local path, so you can share it beside the card.
"""

import dataclasses
import json
import os
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HFValidationError
from huggingface_hub.repocard import metadata_load
from torch import nn
from transformers import TrainingArguments

from mblip.atomic_write import read_json, write_text
from mblip.data import InterleavedRows, TrainingRows
from mblip.data.recipes.strict_loading import to_plain
from mblip.data.recipes.yaml_values import without_folder, without_folders, write_yaml
from mblip.evaluation import predictions_path, ratio_to_reference, read_predictions

from .checkpoints import FACTS_FILE, read_state
from .evaluation import ENGLISH_BLIP2
from .recipe import ModelRecipe, Recipe
from .rows import Rows
from .run_folder import Run, StageRun
from .trainable import LearningRates, parameter_groups

RECORD_FILE = "card.json"
LIBRARIES = ("torch", "transformers", "peft", "accelerate", "datasets")
CHECKPOINT = "checkpoint"
# What the card calls the fields of `ModelRecipe`
PART_NAMES = {
    "blip2": "image encoder and Q-Former",
    "vision": "image encoder",
    "qformer": "Q-Former",
    "language_model": "language model",
    "name_or_path": CHECKPOINT,
}


@dataclass(frozen=True)
class Component:
    """A checkpoint that the run started from. `license` is the Hub's identifier in its card; None: not stated."""

    part: str
    name: str
    is_on_hub: bool
    license: str | None


@dataclass(frozen=True)
class StageFacts:
    """Facts of a stage, recorded when it starts.

    Args:
        num_trained: trained parameters by kind.
        num_images: image sets (rows); None for a stream.
        num_prompts: prompts by language; None for a stream.
        hardware: the GPUs, or the CPU.
        num_processes: processes that train together.
        is_bf16: whether training used bfloat16 mixed precision.
        versions: versions of the libraries.
    """

    num_trained: dict[str, int]
    num_images: int | None
    num_prompts: dict[str, int] | None
    hardware: str
    num_processes: int
    is_bf16: bool
    versions: dict[str, str]


@dataclass(frozen=True)
class StageRecord:
    """A finished stage. `learning_rates` holds the peaks by kind of parameter, `sources` the names in the recipe."""

    stage: str
    num_steps: int
    batch_size: int
    learning_rates: dict[str, float]
    minutes: float
    sources: tuple[str, ...]
    facts: StageFacts


@dataclass(frozen=True)
class Evaluation:
    """An evaluation of the model.

    Args:
        is_of_run: whether it comes from `mblip train`, not from `mblip eval`.
        results: the content of results.json, by task; for other models, by task and model.
        ratios: by language, the score relative to that of BLIP-2 in English; empty if BLIP-2 was not evaluated.
        table: the content of table.md.
    """

    is_of_run: bool
    results: dict[str, Any]
    ratios: dict[str, Any]
    table: str


@dataclass(frozen=True)
class RunRecord:
    """All facts of a run that its card shows.

    `license` and `datasets` are identifiers of the Hub, `recipe` is YAML, `limits` is the text of the author.
    """

    name: str
    license: str | None
    datasets: tuple[str, ...]
    parents: tuple[Component, ...]
    projection: str
    has_random_weights: bool
    commit: str | None
    stages: tuple[StageRecord, ...]
    evaluations: tuple[Evaluation, ...]
    recipe: str
    limits: str | None = None

    def write(self, path: Path) -> None:
        """Write the record atomically, with one field per line."""
        plain = dataclasses.asdict(self)
        fields = [f'"{name}": {json.dumps(value, ensure_ascii=False)}' for name, value in plain.items()]
        write_text(path, "{\n" + ",\n".join(fields) + "\n}\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the record in a file.

        Raises:
            ValueError: the file is damaged or holds something else.
        """
        plain = read_json(path, "Restore it.")
        try:
            stages = [
                StageRecord(**stage | {"sources": tuple(stage["sources"]), "facts": StageFacts(**stage["facts"])})
                for stage in plain["stages"]
            ]
            typed = {
                "datasets": tuple(plain["datasets"]),
                "parents": tuple(Component(**component) for component in plain["parents"]),
                "stages": tuple(stages),
                "evaluations": tuple(Evaluation(**evaluation) for evaluation in plain["evaluations"]),
            }
            return cls(**plain | typed)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({error!r}), expected the record of a run. Restore it.") from error


def record_run(run: Run, commit: str | None) -> RunRecord:
    """The record of a trained run, including its evaluation, if any."""
    model = run.recipe.model
    return RunRecord(
        name=run.folder.name,
        license=run.recipe.license,
        datasets=(),
        parents=tuple(_components(model)),
        projection=model.projection,
        has_random_weights=model.random_weights,
        commit=commit,
        stages=tuple(_record_stage(stage) for stage in run.stages),
        evaluations=() if run.recipe.evaluation is None else (read_evaluation(run.folder, is_of_run=True),),
        recipe=write_yaml(_recipe_to_show(run.recipe)),
        limits=run.recipe.limits,
    )


def read_evaluation(folder: Path, *, is_of_run: bool) -> Evaluation:
    """Read the evaluation that `mblip train` or `mblip eval` wrote into a folder.

    Raises:
        ValueError: results.json or table.md is missing or damaged.
    """
    if missing := [name for name in ("results.json", "table.md") if not (folder / name).is_file()]:
        raise ValueError(f"{folder} lacks {', '.join(missing)}, expected the folder of `mblip train` or `mblip eval`.")
    results = read_json(folder / "results.json", "Evaluate again.")
    try:
        named = {
            name: result
            | {key: without_folders(result[key]) for key in ("model", *({"files", "recipe"} & result.keys()))}
            for name, result in results.items()
        }
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder / 'results.json'} is damaged ({error!r}). Evaluate again.") from error
    table = (folder / "table.md").read_text(encoding="utf-8").strip()
    return Evaluation(is_of_run, named, _read_ratios(folder), table)


def _read_ratios(folder: Path) -> dict[str, Any]:
    """The ratio of each language's score to that of BLIP-2 in English, computed from both models' answers."""
    theirs = next(folder.glob(predictions_path(folder, f"*_{ENGLISH_BLIP2}").name), None)
    if theirs is None:
        return {}
    ours = theirs.with_name(theirs.name.replace(f"_{ENGLISH_BLIP2}", ""))
    answers = [answer for answer in read_predictions(ours) if answer.condition == "as_is"]
    reference = read_predictions(theirs)
    ratios = {
        code: ratio_to_reference([answer for answer in answers if answer.language == code], reference)
        for code in dict.fromkeys(answer.language for answer in answers)
    }
    return {code: dataclasses.asdict(ratio) for code, ratio in ratios.items() if ratio is not None}


def _components(model: ModelRecipe) -> list[Component]:
    named = {part: getattr(model, field) for field, part in PART_NAMES.items()}
    return [
        Component(part, without_folder(name), not Path(name).is_dir(), read_license(name))
        for part, name in named.items()
        if name is not None
    ]


def _record_stage(stage: StageRun) -> StageRecord:
    if (result := stage.result) is None:
        raise ValueError(f"{stage.folder} lacks the last checkpoint of its stage. Restore it, or train again.")
    state = read_state(result)
    rates = {"": stage.recipe.learning_rate}
    if stage.recipe.lora_learning_rate is not None:
        rates["LoRA"] = stage.recipe.lora_learning_rate
    paths = dict.fromkeys(
        rows.path if rows.revision is None else f"{rows.path}, commit {rows.revision}" for rows in stage.data.rows
    )
    sources = [source.source for source in stage.data.sources] or list(paths)
    return StageRecord(
        stage=stage.recipe.stage,
        num_steps=state["global_step"],
        batch_size=stage.recipe.batch_size,
        learning_rates=rates,
        minutes=round(state["log_history"][-1]["seconds"] / 60, 1),
        sources=tuple(without_folder(source) for source in sources),
        facts=StageFacts(**read_json(result / FACTS_FILE, "Restore the checkpoint, or delete it.")),
    )


def _recipe_to_show(recipe: Recipe) -> dict[str, Any]:
    """The recipe as the card shows it. The card shows licence and limits elsewhere."""
    plain = {key: value for key, value in to_plain(recipe).items() if key not in ("output_dir", "license", "limits")}
    return without_folders(plain)


def write_facts(folder: Path, model: nn.Module, rows: Rows, arguments: TrainingArguments) -> None:
    """Write the facts of a stage into its folder, from where checkpoints take them. Only one process does."""
    if not arguments.should_save:
        return
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
    write_text(folder / FACTS_FILE, json.dumps(dataclasses.asdict(facts), indent=1))


def _count_by_kind(model: nn.Module) -> dict[str, int]:
    counts: Counter[str] = Counter()
    rates = LearningRates(projection=0.0, qformer=0.0, lora=0.0, rest=0.0)
    for group in parameter_groups(model, rates, weight_decay=0.0):
        counts[group["name"].partition(",")[0]] += sum(parameter.numel() for parameter in group["params"])
    return dict(counts)


def _sources(rows: Rows) -> Sequence[TrainingRows]:
    """The rows that can be counted, which are none for a stream."""
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


def read_license(name: str) -> str | None:
    """The licence in the card of a folder or repository, by the Hub's identifier.

    Returns:
        None if the card is missing, cannot be reached, or states no licence. A missing card must not stop a run.
    """
    path = Path(name) / "README.md"
    if not Path(name).is_dir():
        try:
            path = Path(hf_hub_download(name, "README.md"))
        except (OSError, HFValidationError):  # errors of the Hub and the network are OSErrors
            return None
    metadata = (metadata_load(path) if path.is_file() else None) or {}
    stated = metadata.get("license")
    return ", ".join(stated) if isinstance(stated, list) else stated
