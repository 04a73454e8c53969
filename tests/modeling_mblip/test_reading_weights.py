"""Whoever reads a folder's weights by name gets all of them: Trainer, accelerate, torch itself."""

import accelerate
import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_batch, tiny_blip2, tiny_config, tiny_model
from transformers import Trainer, TrainingArguments

from modeling_mblip import MBlipForConditionalGeneration


def differing(model, folder):
    """The names of the folder's weights that the model has otherwise, or not at all."""
    state = model.state_dict()
    return sorted(
        name
        for name, weight in load_file(folder / "model.safetensors").items()
        if name not in state or not torch.equal(state[name], weight)
    )


def trainer(model, folder, **arguments):
    """A plain Trainer of everything, one prompt a step, saved after every one."""
    batch = tiny_batch("llama", 4)
    arguments = TrainingArguments(
        str(folder),
        per_device_train_batch_size=1,
        learning_rate=1e-2,
        save_strategy="steps",
        save_steps=1,
        remove_unused_columns=False,
        use_cpu=True,
        disable_tqdm=True,
        report_to=[],
        **arguments,
    )
    rows = [{name: value[row] for name, value in batch.items()} for row in range(4)]
    return Trainer(
        model,
        arguments,
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=lambda rows: {name: torch.stack([row[name] for row in rows]) for name in rows[0]},
    )


def test_a_plain_trainer_resumes_with_all_weights_of_its_checkpoint(tmp_path):
    trainer(tiny_model("llama"), tmp_path, max_steps=1).train()
    resumed = tiny_model("llama", seed=7)
    assert "query_tokens.weight" in differing(resumed, tmp_path / "checkpoint-1")
    trainer(resumed, tmp_path, max_steps=1).train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    assert differing(resumed, tmp_path / "checkpoint-1") == []


def test_a_plain_trainer_ends_with_all_weights_of_its_best_checkpoint(tmp_path):
    model = tiny_model("llama")
    # Called best is the highest loss, which is that of the first step.
    highest = {"metric_for_best_model": "loss", "greater_is_better": True, "load_best_model_at_end": True}
    best = trainer(model, tmp_path, max_steps=3, eval_strategy="steps", eval_steps=1, **highest)
    best.train()
    assert best.state.best_model_checkpoint == str(tmp_path / "checkpoint-1")
    assert differing(model, tmp_path / "checkpoint-1") == []
    assert "query_tokens.weight" in differing(model, tmp_path / "checkpoint-3")


def test_accelerate_dispatches_all_weights(tmp_path):
    tiny_model("llama").save_pretrained(tmp_path)
    empty = MBlipForConditionalGeneration(tiny_config("llama"))
    assert "query_tokens.weight" in differing(empty, tmp_path)
    model = accelerate.load_checkpoint_and_dispatch(empty, str(tmp_path), device_map={"": "cpu"})
    assert differing(model, tmp_path) == []


def test_the_files_keys_are_the_models_names(tmp_path):
    tiny_model("llama").save_pretrained(tmp_path)
    model = tiny_model("llama", seed=7)
    model.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)
    assert differing(model, tmp_path) == []


def test_torch_refuses_the_keys_of_blip2(tmp_path):
    tiny_blip2("llama").save_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match=r'Missing key\(s\).*"query_tokens.weight"'):
        tiny_model("llama").load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)
