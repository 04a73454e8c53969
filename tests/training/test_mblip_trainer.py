"""The Trainer: exactly what should train moves, with its own learning rate, in an order that can be found again."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel

from mblip.data import MBlipCollator, TrainingRows, load_rows
from mblip.training.options import DEFAULTS, LoraOptions, TrainingOptions
from mblip.training.recipe import StageRecipe
from mblip.training.run_folder import StageRun
from mblip.training.trainable import learning_rates, set_trainable
from mblip.training.trainer import MBlipTrainer, RowOrder, training_arguments
from tests.tiny import tiny_model, tiny_processor
from tests.training.tiny_run import write_tiny_rows

IMAGE_SIDE = ("qformer", "query_tokens", "language_projection")


def stage_run(folder: Path, stage: str, **training: Any) -> StageRun:
    """Three steps of four rows."""
    lora = {"lora": LoraOptions({"r": 2}), "lora_learning_rate": 1e-2} if stage == "re_alignment" else {}
    recipe = StageRecipe(stage=stage, learning_rate=1e-2, batch_size=4, max_steps=3, warmup_steps=0, **lora)
    return StageRun(recipe, data=None, training=TrainingOptions(DEFAULTS | training), seed=3, folder=folder / "stage")


def train_tiny(folder: Path, stage: str, family: str, **training: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """A tiny model after three steps, and its parameters before them."""
    write_tiny_rows(folder / "rows.parquet")
    lora = LoraConfig(r=2) if stage == "re_alignment" else None
    model = set_trainable(tiny_model(family), stage, lora)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    collator = MBlipCollator(
        tiny_processor(family),
        model.config,
    )
    rows = TrainingRows(load_rows(folder / "rows.parquet"))
    run = stage_run(folder, stage, **training)
    MBlipTrainer(model, training_arguments(run), collator, rows, rates=learning_rates(run.recipe)).train()
    return model, before


@pytest.mark.parametrize("family", ["mt5", pytest.param("bloom", marks=pytest.mark.slow)])
def test_in_the_warm_up_the_projection_moves_and_nothing_else(tmp_path, family):
    model, before = train_tiny(tmp_path, "warm_up", family)
    assert model.config.to_dict() == tiny_model(family).config.to_dict()
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == {"language_projection.weight", "language_projection.bias"}
    assert not isinstance(model, PeftModel)


@pytest.mark.parametrize(
    ("changes", "training", "warning"),
    [
        ({"warmup_steps": 50}, {}, "`warmup_steps` is 50, not below the 3 steps of stage: the full learning rate"),
        pytest.param(
            *({"warmup_steps": 3}, {}, "`warmup_steps` is 3, not below the 3 steps of stage"), marks=pytest.mark.slow
        ),
        ({"warmup_steps": 2}, {}, None),
        pytest.param(*({"warmup_steps": 50}, {"lr_scheduler_type": "constant"}, None), marks=pytest.mark.slow),
        pytest.param(
            *(
                {"max_steps": None, "num_epochs": 0.5, "warmup_steps": 4},
                {},
                "`warmup_steps` is 4, not below the 3 steps",
            ),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_warm_up_as_long_as_its_stage_is_warned_about(tmp_path, caplog, changes, training, warning):
    write_tiny_rows(tmp_path / "rows.parquet")
    run = stage_run(tmp_path, "warm_up", **training)
    run = dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, **changes))
    model = set_trainable(tiny_model("mt5"), "warm_up")
    collator = MBlipCollator(tiny_processor("mt5"), model.config)
    trainer = MBlipTrainer(
        model, training_arguments(run), collator, TrainingRows(load_rows(tmp_path / "rows.parquet"))
    )
    with caplog.at_level(logging.WARNING, logger="mblip"):
        trainer.train()
    warned = [record.getMessage() for record in caplog.records if "warmup_steps" in record.getMessage()]
    assert [message[: len(warning or "")] for message in warned] == ([] if warning is None else [warning])
    assert "stage has 3 optimizer steps, which change little. Raise `num_epochs`, or" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "training"),
    [("mt5", {}), ("bloom", {}), ("mt5", {"activation_checkpointing": True, "gradient_accumulation_steps": 2})],
)
def test_in_the_re_alignment_image_side_and_lora_move_and_all_else_is_bit_equal(tmp_path, family, training):
    model, before = train_tiny(tmp_path, "re_alignment", family, **training)
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    expected = {
        name
        for name in before
        if "lora_" in name or ("modules_to_save" in name and any(part in name for part in IMAGE_SIDE))
    }
    assert moved == expected
    assert any("vision_model" in name for name in before)


@pytest.mark.slow
def test_each_kind_of_parameter_has_its_learning_rate_and_vectors_no_weight_decay(tmp_path):
    train_tiny(tmp_path, "re_alignment", "mt5")
    saved = torch.load(tmp_path / "stage" / "checkpoint-3" / "optimizer.pt", weights_only=True)
    groups = {group["name"]: (group["initial_lr"], group["weight_decay"]) for group in saved["param_groups"]}
    assert groups == {
        "projection": (1e-2, 0.1),
        "projection, no decay": (1e-2, 0.0),
        "qformer": (1e-2, 0.1),
        "qformer, no decay": (1e-2, 0.0),
        "lora": (1e-2, 0.1),
    }


def test_the_order_of_rows_depends_on_seed_and_epoch_alone_and_is_cut_to_whole_steps():
    order = RowOrder(10, rows_per_step=4, seed=1)
    first = list(order)
    assert len(order) == len(first) == 8
    order.set_epoch(1)
    assert list(order) != first
    again = RowOrder(10, rows_per_step=4, seed=1)
    assert list(again) == first
    assert list(RowOrder(10, rows_per_step=4, seed=2)) != first


def test_fewer_rows_than_a_step_takes_are_an_error():
    with pytest.raises(ValueError, match=r"There are 3 rows, but a step takes 4 \(`batch_size`\)"):
        RowOrder(3, rows_per_step=4, seed=1)


def test_a_batch_that_does_not_divide_by_processes_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    stage = stage_run(tmp_path, "warm_up")
    with pytest.raises(ValueError, match=r"`batch_size` is 4, but 3 process\(es\) x 1 .* need a multiple of 3"):
        training_arguments(stage)
