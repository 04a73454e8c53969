"""The output folder of a run: its recipe, its stages, and its progress.

recipe.yaml                    the recipe, including defaults
0_warm_up/checkpoint-100/      trained parameters, optimizer, schedule and random states. The result of the stage is
                               the last checkpoint, or, with `keep_best`, the best
1_re_alignment/...
training_log.jsonl  loss_curve.png  results.json  table.md
model/                         model and processor for `from_pretrained`, written last: the run is then finished. Its
                               manifest.json has size and digest of each file but the card
"""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch.distributed as dist

from mblip.atomic_write import atomic_file, find_damage, write_text
from mblip.data.recipes.strict_loading import join, to_plain
from mblip.data.recipes.yaml_values import read_yaml, to_plain_values
from mblip.evaluation.processes import starts_as_main

from .checkpoints import (
    best_checkpoint,
    is_last_step,
    last_checkpoint,
    newest_checkpoint,
    put_aside,
    read_state,
    remove_partial,
)
from .options import TrainingOptions
from .recipe import DataRecipe, Recipe, StageRecipe
from .recipe_reading import to_yaml

logger = logging.getLogger(__name__)

RECIPE_FILE = "recipe.yaml"
CARD_FILE = "README.md"
LOG_FILE = "training_log.jsonl"
CURVE_FILE = "loss_curve.png"
FREE_FIELDS = re.compile(  # they do not affect training, so they may change when a run resumes
    r"output_dir|modules|features\.path|(stages\.\d+\.)?training\."
    r"(report_to|run_name|dataloader_num_workers|save_total_limit|disable_tqdm|log_level)(\.|$)"
)


@dataclass(frozen=True)
class StageRun:
    """One stage of a run: its recipe, data, training options, seed, and the folder of its checkpoints."""

    recipe: StageRecipe
    data: DataRecipe
    training: TrainingOptions
    seed: int
    folder: Path

    @property
    def weights(self) -> Path | None:
        """The checkpoint with the stage's final weights: the last, or with `keep_best` the best; None: not done."""
        result = self.result
        return best_checkpoint(result) if result is not None and self.training["keep_best"] else result

    @property
    def result(self) -> Path | None:
        """The checkpoint at the stage's last step; None if the stage is not done.

        Raises:
            ValueError: all checkpoints of the stage are damaged.
        """
        checkpoint = last_checkpoint(self.folder, keep_best=self.training["keep_best"])
        return checkpoint if checkpoint is not None and is_last_step(checkpoint) else None


@dataclass(frozen=True)
class Run:
    """A recipe and its folder."""

    recipe: Recipe

    @property
    def folder(self) -> Path:
        return self.recipe.output_dir

    @property
    def model_folder(self) -> Path:
        """The folder of model, processor and card. It is whole if the run is finished."""
        return self.folder / "model"

    @property
    def is_finished(self) -> bool:
        return self.find_damage() is None

    def find_damage(self) -> str | None:
        """What is wrong with the finished model; None if it is whole. Its card may be edited."""
        card = self.model_folder / CARD_FILE
        if not card.is_file() or not (text := card.read_bytes()) or b"\0" in text:
            return f"{CARD_FILE} is missing, empty or damaged"
        return find_damage(self.model_folder)

    @property
    def stages(self) -> list[StageRun]:
        """The stages in order. Each has its own seed, so that no two draw the same random numbers."""
        recipe = self.recipe
        return [
            StageRun(
                stage,
                recipe.data_of(stage),
                recipe.training_of(stage),
                (recipe.seed + number) % 2**32,
                self.folder / f"{number}_{stage.stage}",
            )
            for number, stage in enumerate(recipe.stages)
        ]


def open_run(recipe: Recipe, *, is_main_process: bool) -> Run:
    """Start or resume the run of a recipe in its output folder.

    If the folder holds no checkpoint yet, for example because the model or data of an earlier recipe was not found,
    the new recipe replaces the earlier one.

    A finished model that is damaged is put aside, if there are checkpoints to make it again.

    Raises:
        ValueError: the folder belongs to another recipe or is not that of a run, or its state is damaged and there is
            nothing whole to resume from. The message names the differences or the file.
    """
    run = Run(recipe)
    record = run.folder / RECIPE_FILE
    has_checkpoints = any(newest_checkpoint(stage.folder) for stage in run.stages)
    if record.exists() and (has_checkpoints or run.model_folder.exists()):
        _check_same_recipe(record, run)
    elif is_main_process:
        if not has_checkpoints and not record.exists() and run.folder.exists() and any(_visible_entries(run.folder)):
            raise ValueError(
                f"{run.folder} holds files but no {RECIPE_FILE}, so no run wrote it. Give another `--output_dir`."
            )
        if has_checkpoints:
            logger.warning("%s is missing. We take what is in %s as trained by this recipe.", record, run.folder)
        write_text(record, to_yaml(recipe))
    if run.is_finished:
        return run
    _check_stages(run)
    if is_main_process:
        for stage in run.stages:
            remove_partial(stage.folder)
        if run.model_folder.exists():
            logger.warning(
                "%s is not whole: %s. We make it again from the checkpoints. The old one is now %s.",
                *(run.model_folder, run.find_damage(), put_aside(run.model_folder)),
            )
    return run


def _check_stages(run: Run) -> None:
    """Raise ValueError if a stage has begun from a result that is gone, or nothing is left to make a model again."""
    for earlier, later in pairwise(run.stages):
        if newest_checkpoint(later.folder) and earlier.result is None:
            raise ValueError(
                f"{later.folder.name} was trained from the result of {earlier.folder.name}, which is missing or "
                f"damaged in {earlier.folder}. Restore it from a backup, or delete {later.folder} to train both again."
            )
    if run.model_folder.exists() and not all(newest_checkpoint(stage.folder) for stage in run.stages):
        raise ValueError(
            f"{run.model_folder} is not whole ({run.find_damage()}), and the checkpoints to make it again are gone. "
            f"Restore the file from a backup, or move {run.model_folder} away to train again."
        )


def _check_same_recipe(record: Path, run: Run) -> None:
    try:
        found = to_plain_values(read_yaml(record))
    except ValueError as error:
        raise ValueError(
            f"{record} is damaged ({error}), expected the recipe of the checkpoints there. If that is this one, "
            "delete the file and run the same command again; or give another `--output_dir`."
        ) from error
    differences = find_differences(found, to_plain(run.recipe))
    if differences:
        raise ValueError(
            f"{run.folder} was written by another recipe: {'; '.join(differences)}. "
            "Give the old recipe to resume, or another `--output_dir`."
        )


def _visible_entries(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]


def find_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The fields in which two recipes differ, such as `stages.1.max_steps: 400 -> 500`."""
    old_fields, new_fields = _flatten(old, ""), _flatten(new, "")
    return [
        f"{path}: {old_fields.get(path, 'absent')} -> {new_fields.get(path, 'absent')}"
        for path in dict.fromkeys([*old_fields, *new_fields])
        if not FREE_FIELDS.match(path) and old_fields.get(path) != new_fields.get(path)
    ]


def _flatten(value: Any, path: str) -> dict[str, Any]:
    if isinstance(value, Mapping):  # an empty mapping equals a missing one, because free fields may be added to it
        return {k: v for key, entry in value.items() for k, v in _flatten(entry, join(path, key)).items()}
    if isinstance(value, list) and value:
        return {k: v for i, entry in enumerate(value) for k, v in _flatten(entry, join(path, str(i))).items()}
    return {path: value}


def write_log(run: Run) -> None:
    """Write `training_log.jsonl` and `loss_curve.png` of the finished stages."""
    entries = read_log(run)
    lines = [json.dumps(entry, ensure_ascii=False) for entry in entries]
    write_text(run.folder / LOG_FILE, "\n".join(lines) + "\n")
    draw_loss_curve(entries, run.folder / CURVE_FILE)


def read_log(run: Run) -> list[dict[str, Any]]:
    """The Trainer's log entries of all finished stages in order, each with its stage."""
    entries = []
    for stage in run.stages:
        if (result := stage.result) is not None:
            entries += [{"stage": stage.folder.name, **entry} for entry in read_state(result)["log_history"]]
    return entries


def draw_loss_curve(entries: list[dict[str, Any]], path: Path) -> None:
    """Draw the training loss of all stages, one after the other, over optimizer steps."""
    from matplotlib.figure import Figure  # here, because the import takes a second

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    offset = 0
    for stage in dict.fromkeys(entry["stage"] for entry in entries):
        points = [(entry["step"], entry["loss"]) for entry in entries if entry["stage"] == stage and "loss" in entry]
        steps, losses = zip(*points, strict=True)
        axes.plot([offset + step for step in steps], losses, label=stage)
        offset += steps[-1]
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("training loss (nats per label token)")
    axes.set_yscale("log")
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_file(path) as partial:
        figure.savefig(partial, format="png", dpi=120)


def leave_group() -> bool:
    """End the process group after training, so that no process waits while the main process evaluates.

    Returns:
        Whether this is the main process, which continues alone.
    """
    if dist.is_available() and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
    return starts_as_main()
