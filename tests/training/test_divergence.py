"""A training whose loss, gradient or weights are not finite is told, and leaves nothing that looks finished."""

import logging
import math
from types import SimpleNamespace

import pytest
import torch

from mblip.training.checkpoints import last_checkpoint
from mblip.training.finishing import finish_model, save_adapter
from mblip.training.recipe import ModelRecipe
from mblip.training.starting_model import build_model
from mblip.training.trainable import set_trainable
from modeling_mblip.modeling_mblip import MBlipForConditionalGeneration
from tests.tiny import tiny_model, tiny_processor
from tests.training.test_options import tiny_trainer
from tests.training.tiny_run import torchrun, write_components, write_recipe


def spoil(monkeypatch, steps, value=math.nan):
    """Let the loss be `value` in the forward passes `steps`, counted from 1."""
    forward, calls = MBlipForConditionalGeneration.forward, []

    def spoiled(self, *arguments, **named):
        calls.append(None)
        out = forward(self, *arguments, **named)
        if len(calls) in steps:
            out.loss = out.loss * value
        return out

    monkeypatch.setattr(MBlipForConditionalGeneration, "forward", spoiled)


def logged(trainer):
    return [entry for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.slow
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_step_that_is_not_finite_changes_no_weight_and_is_logged_as_it_is(tmp_path, monkeypatch, caplog, value):
    trainer = tiny_trainer(tmp_path, "full", logging_steps=1, save_steps=1, save_total_limit=3)
    spoil(monkeypatch, [2], value)
    with caplog.at_level(logging.WARNING):
        trainer.train()
    losses = [entry["loss"] for entry in logged(trainer)]
    assert [math.isfinite(loss) for loss in losses] == [True, False, True]
    assert [entry.get("skipped_steps") for entry in logged(trainer)] == [None, 1, None]
    before, after = (trainer.folder / f"checkpoint-{step}/trained.safetensors" for step in (1, 2))
    assert before.read_bytes() == after.read_bytes()
    assert f"step 2 of stage is not finite, so it is not applied: loss {value}" in caplog.text
    assert all(weight.isfinite().all() for weight in trainer.trained_model.state_dict().values())


def test_three_steps_in_a_row_end_the_training_with_its_rate_its_rows_and_its_last_checkpoint(tmp_path, monkeypatch):
    trainer = tiny_trainer(tmp_path, "warm_up", logging_steps=1, save_steps=1, save_total_limit=3)
    trainer.args.max_steps = 6
    spoil(monkeypatch, [2, 3, 4])
    message = (
        r"^Training diverged: 3 step\(s\) in a row, up to step 4 of stage, .* \(loss nan, gradient norm nan, learning "
        r"rate 0\.005, gradients not finite in 2 parameters, first in `language_projection\.bias`, first in the batch "
        r"of row-\d+, row-\d+, row-\d+, row-\d+; the largest weight is 0\.\d+, in `language_projection\.\w+`\)\.\n"
        r"Lower the learning rate, or check the rows, .* checkpoint-3 holds the last weights saved\.$"
    )
    with pytest.raises(ValueError, match=message):
        trainer.train()
    assert last_checkpoint(trainer.folder).name == "checkpoint-3"


@pytest.mark.slow
@pytest.mark.parametrize("max_grad_norm", [0.0, 1.0])
def test_a_gradient_that_is_not_finite_is_told_by_its_parameter(tmp_path, max_grad_norm):
    trainer = tiny_trainer(tmp_path, "full", max_grad_norm=max_grad_norm)
    trainer.trained_model.qformer.layernorm.weight.register_hook(lambda gradient: gradient * math.nan)
    with pytest.raises(
        ValueError, match=r"loss 1\d\.\d+, .* not finite in 1 parameters, first in `qformer\.layernorm\.weight`"
    ):
        trainer.train()


@pytest.mark.slow
def test_a_last_step_that_is_not_finite_ends_in_no_finished_stage(tmp_path, monkeypatch):
    trainer = tiny_trainer(tmp_path, "warm_up")
    spoil(monkeypatch, [3])
    with pytest.raises(ValueError, match=r"1 step\(s\) in a row, up to step 3 [\s\S]*There is no checkpoint yet"):
        trainer.train()


@pytest.mark.slow
def test_the_rows_that_are_named_are_those_of_the_batch(tmp_path, monkeypatch, caplog):
    trainer = tiny_trainer(tmp_path, "warm_up", gradient_accumulation_steps=2)
    collator, seen = trainer.data_collator, []
    trainer.data_collator = lambda rows: seen.append([row["image_id"] for row in rows]) or collator(rows)
    spoil(monkeypatch, [4])
    trainer.train()
    assert f"learning rate 0.0075, first in the batch of {', '.join(seen[3])}." in caplog.text


@pytest.mark.slow
def test_weights_that_are_not_finite_are_neither_saved_nor_resumed_from(tmp_path, monkeypatch):
    trainer = tiny_trainer(tmp_path, "warm_up", save_steps=1)
    step = trainer.training_step

    def spoiling(*arguments, **named):
        loss = step(*arguments, **named)
        if trainer.state.global_step == 1:  # the optimizer overflows
            for group in trainer.optimizer.param_groups:
                group["lr"] = 1e39
        return loss

    monkeypatch.setattr(trainer, "training_step", spoiling)
    with pytest.raises(ValueError, match=r"`language_projection\.weight` of the model after step 2 holds values that"):
        trainer.train()
    assert last_checkpoint(trainer.folder).name == "checkpoint-1"


@pytest.mark.parametrize("stage", ["warm_up", "re_alignment"])
def test_a_model_that_is_not_finite_is_neither_finished_nor_its_adapter_saved(tmp_path, stage):
    model = set_trainable(tiny_model("mt5"), stage)
    run = SimpleNamespace(recipe=SimpleNamespace(model=ModelRecipe(name_or_path="base")), folder=tmp_path)
    last = [parameter for parameter in model.parameters() if parameter.requires_grad][-1]
    with torch.no_grad():
        last[0] = math.inf
    if stage == "re_alignment":
        with pytest.raises(ValueError, match=r"of the trained adapter holds .*It is not written"):
            save_adapter(model, run)
    with pytest.raises(ValueError, match=r"`language_\w+\.[\w.]+` of the trained model holds .*It is not written"):
        finish_model(model, run)
    assert not list(tmp_path.iterdir())


def test_lora_that_overflows_when_merged_is_not_finished():
    model = set_trainable(tiny_model("mt5"), "re_alignment")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.fill_(1e25)
    run = SimpleNamespace(recipe=SimpleNamespace(model=ModelRecipe(name_or_path="base")))
    with pytest.raises(
        ValueError, match=r"`language_model\.[\w.]+` of the trained model holds values that are not finite"
    ):
        finish_model(model, run)


def test_training_does_not_start_from_weights_that_are_not_finite(tmp_path):
    model = tiny_model("mt5")
    with torch.no_grad():
        model.vision_model.post_layernorm.weight[0] = math.nan
    model.save_pretrained(tmp_path)
    tiny_processor("mt5").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"^`vision_model\.post_layernorm\.weight` of the model to start from holds"):
        build_model(ModelRecipe(name_or_path=str(tmp_path)), seed=0)


def test_a_score_that_is_not_finite_chooses_no_best_checkpoint(tmp_path):
    trainer = tiny_trainer(tmp_path, "warm_up")
    trainer.keep_best = True
    trainer.generation = SimpleNamespace(
        main="eval_generation", figures=lambda model, is_shared: {"eval_generation": math.nan}
    )
    with pytest.raises(ValueError, match="`eval_generation` is nan after step 0, expected a finite score"):
        trainer.evaluate()


@pytest.mark.slow
def test_two_processes_that_diverge_both_end(tmp_path):
    write_components(tmp_path)
    recipe = write_recipe(tmp_path)
    ended = torchrun(2, str(recipe), "--stages.0.learning_rate", "2e9", "--stages.0.warmup_steps", "0")
    assert ended.returncode != 0
    assert ended.stderr.count("mblip train: error: Training diverged: ") == 2, ended.stderr[-3000:]
    assert not (tmp_path / "out/model").exists()
