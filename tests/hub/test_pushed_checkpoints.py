"""Checkpoints that transformers' Trainer pushes while it trains: a stranger loads them by from_pretrained."""

import pytest
import torch
from transformers import Trainer, TrainingArguments

from mblip.data import EpochCallback, MBlipCollator, TrainingRows, load_rows
from mblip.training.trainable import set_trainable
from modeling_mblip import MBlipForConditionalGeneration
from tests.hub.published import load, logits
from tests.tiny import tiny_model, tiny_processor
from tests.training.tiny_run import write_tiny_rows

HUB = {"push_to_hub": True, "hub_model_id": "tester/run", "save_steps": 1, "hub_always_push": True}


@pytest.fixture
def parts(hub, client, tmp_path):
    """A base on the Hub, rows and a collator."""
    model = tiny_model("mt5")
    model.generation_config.max_new_tokens = 7
    model.push_to_hub("tester/base")
    write_tiny_rows(tmp_path / "rows.parquet")
    rows = TrainingRows(load_rows(tmp_path / "rows.parquet"))
    return rows, MBlipCollator(tiny_processor("mt5"), model.config)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["full", "re_alignment"])
@pytest.mark.parametrize("strategy", ["every_save", "checkpoint", "all_checkpoints"])
def test_what_the_plain_trainer_pushes_is_loaded_by_a_stranger(stage, strategy, parts, hub, client, tmp_path):
    rows, collator = parts
    model = set_trainable(load("tester/base"), stage)
    as_rows = {"remove_unused_columns": False, "accelerator_config": {"dispatch_batches": False}, "report_to": []}
    arguments = TrainingArguments(
        str(tmp_path / "out"), max_steps=2, use_cpu=True, learning_rate=0.1, hub_strategy=strategy, **as_rows, **HUB
    )
    Trainer(model, arguments, data_collator=collator, train_dataset=rows, callbacks=[EpochCallback()]).train()
    expected = logits(model)
    assert not torch.allclose(expected, logits(load("tester/base")), atol=1e-3)
    client.use_home(tmp_path / "stranger")
    names = {"every_save": [""], "checkpoint": ["", "last-checkpoint"], "all_checkpoints": ["checkpoint-2"]}
    for folder in names[strategy]:
        pulled = MBlipForConditionalGeneration.from_pretrained("tester/run", subfolder=folder)
        torch.testing.assert_close(logits(pulled), expected, rtol=0, atol=1e-4)
        assert pulled.generation_config.max_new_tokens == 7
