"""Checkpoints hold what trains and nothing else, and are complete or not taken for one."""

import json
import logging
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file

from mblip.training.checkpoints import (
    PARTIAL,
    last_checkpoint,
    load_trained,
    remove_partial,
    save_trained,
    write_manifest,
)
from mblip.training.trainable import count_trainable, set_trainable
from tests.tiny import tiny_model


def write_checkpoint(folder: Path, steps: int) -> Path:
    """A complete checkpoint with two small files."""
    checkpoint = folder / f"checkpoint-{steps}"
    checkpoint.mkdir()
    (checkpoint / "trained.safetensors").write_bytes(b"weights")
    (checkpoint / "trainer_state.json").write_text(json.dumps({"global_step": steps, "max_steps": 9}))
    write_manifest(checkpoint)
    return checkpoint


def test_in_the_warm_up_the_weight_file_holds_the_projection_alone(tmp_path):
    model = set_trainable(tiny_model("mt5"), "warm_up")
    save_trained(model, tmp_path)
    saved = load_file(tmp_path / "trained.safetensors")
    assert sorted(saved) == ["language_projection.bias", "language_projection.weight"]


@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_in_the_re_alignment_the_weight_file_holds_what_trains_and_nothing_else(tmp_path, family):
    model = set_trainable(tiny_model(family), "re_alignment", LoraConfig(r=2))
    save_trained(model, tmp_path)
    saved = load_file(tmp_path / "trained.safetensors")
    assert sum(weight.numel() for weight in saved.values()) == count_trainable(model)
    kinds = {"lora_A", "lora_B", "qformer", "query_tokens", "language_projection"}
    assert all(any(kind in name for kind in kinds) for name in saved)
    assert all(any(kind in name for name in saved) for kind in kinds)


def test_what_is_saved_comes_back_bit_for_bit(tmp_path):
    model = set_trainable(tiny_model("mt5"), "re_alignment", LoraConfig(r=2))
    save_trained(model, tmp_path)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(1.0)
    load_trained(model, tmp_path)
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())


def test_weights_of_another_stage_are_refused(tmp_path):
    save_trained(set_trainable(tiny_model("mt5"), "warm_up"), tmp_path)
    with pytest.raises(ValueError, match=r"holds 2 parameters, but .* train here"):
        load_trained(set_trainable(tiny_model("mt5"), "re_alignment", LoraConfig(r=2)), tmp_path)


def test_the_checkpoint_of_the_most_steps_is_the_last_one(tmp_path):
    for steps in (9, 10, 100):
        write_checkpoint(tmp_path, steps)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-100"
    assert last_checkpoint(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "trainer_state.json").unlink(), "trainer_state.json is missing"),
        (lambda folder: (folder / "trained.safetensors").write_bytes(b"wei"), "has 3 bytes, expected 7"),
    ],
)
def test_a_checkpoint_that_lost_a_file_is_skipped_with_a_warning(tmp_path, caplog, damage, message):
    write_checkpoint(tmp_path, 9)
    damage(write_checkpoint(tmp_path, 10))
    with caplog.at_level(logging.WARNING):
        assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-9"
    assert message in caplog.text
    assert "checkpoint-10 is skipped" in caplog.text


def test_a_checkpoint_without_its_manifest_is_none_and_is_deleted(tmp_path):
    complete = write_checkpoint(tmp_path, 9)
    (write_checkpoint(tmp_path, 10) / "manifest.json").unlink()
    (tmp_path / PARTIAL / "model").mkdir(parents=True)
    assert last_checkpoint(tmp_path) == complete
    remove_partial(tmp_path)
    assert list(tmp_path.iterdir()) == [complete]


def test_a_checkpoint_that_is_written_again_is_not_complete_until_it_is_written(tmp_path):
    checkpoint = write_checkpoint(tmp_path, 9)
    save_trained(set_trainable(tiny_model("mt5"), "warm_up"), checkpoint)
    assert last_checkpoint(tmp_path) is None
    write_manifest(checkpoint)
    assert last_checkpoint(tmp_path) == checkpoint
