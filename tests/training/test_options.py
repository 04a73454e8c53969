"""`training:` and `lora:` take transformers' and PEFT's own options, and name what cannot stand there."""

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file
from transformers import TrainingArguments, trainer_optimizer
from transformers.training_args import OptimizerNames

from mblip import train
from mblip.data import MBlipCollator, TrainingRows, load_rows
from mblip.data.recipes.yaml_values import read_yaml
from mblip.loading import load_checkpoint
from mblip.training.checkpoints import save_trained
from mblip.training.options import INSTEAD, LORA_INSTEAD
from mblip.training.recipe_reading import parse_command_line, read_recipe, to_recipe, to_yaml
from mblip.training.run_folder import Run, find_differences
from mblip.training.trainable import linear_layers, lora_config, set_trainable
from mblip.training.trainer import MBlipTrainer, training_arguments
from tests.tiny import tiny_model, tiny_processor
from tests.training.test_mblip_trainer import stage_run
from tests.training.tiny_run import tiny_recipe, write_components, write_recipe, write_tiny_rows


def arguments_of(folder: Path, *fields: str) -> list[TrainingArguments]:
    """The `TrainingArguments` of the tiny recipe's two stages, with fields of the command line."""
    recipe = parse_command_line([str(write_recipe(folder)), *fields])
    return [training_arguments(stage) for stage in Run(recipe).stages]


def adapted(model: Any) -> set[str]:
    """The layers that wear LoRA, by their names in the language model."""
    prefix = "base_model.model.language_model."
    found = [name for name, _ in model.named_modules() if name.endswith(".lora_A")]
    assert all(name.startswith(prefix) for name in found)
    return {name.removeprefix(prefix).removesuffix(".lora_A") for name in found}


def test_any_field_of_training_arguments_takes_effect_over_the_defaults(tmp_path):
    warm_up, re_alignment = arguments_of(
        tmp_path,
        *("--training.optim", "adafactor", "--training.adam_beta2", "0.95", "--training.report_to", "[tensorboard]"),
        *("--stages.1.training.optim", "sgd", "--stages.1.training.weight_decay", "0"),
    )
    assert (warm_up.optim, re_alignment.optim) == ("adafactor", "sgd")
    assert (warm_up.weight_decay, re_alignment.weight_decay) == (0.1, 0)
    assert (warm_up.adam_beta2, re_alignment.adam_beta2) == (0.95, 0.95)
    assert (warm_up.lr_scheduler_type, warm_up.report_to) == ("cosine", ["tensorboard"])
    assert (warm_up.learning_rate, warm_up.max_steps, warm_up.per_device_train_batch_size) == (5e-3, 6, 4)
    assert (warm_up.seed, re_alignment.seed) == (7, 8)
    assert warm_up.accelerator_config.dispatch_batches is False


def test_keys_of_the_accelerator_stand_beside_ours(tmp_path):
    warm_up, _ = arguments_of(tmp_path, "--training.accelerator_config", "{non_blocking: true}")
    assert warm_up.accelerator_config.non_blocking is True
    assert warm_up.accelerator_config.dispatch_batches is False


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            ["--training.optin", "sgd"],
            r"--training\.optin: the key `training\.optin` is unknown\. Did you mean `optim`",
        ),
        (
            ["--stages.0.training.lr_sched", "linear"],
            r"`stages\.0\.training\.lr_sched` is unknown\. Did you mean `lr_sch",
        ),
        (["--training.optim", "adamw"], r"`training\.optim` is 'adamw', which is unknown\. Did you mean `adamw_"),
        (["--training.bf16", "sure"], r"`training\.bf16` is 'sure', text, expected true or false"),
        (["--training.save_steps", "often"], r"`training\.save_steps` is 'often', text, expected a number"),
        (["--training.report_to", "[1]"], r"`training\.report_to` is a list, expected nothing or text or a list"),
        (
            ["--training.dataloader_prefetch_factor", "2"],
            r"recipe\.yaml, line \d+, with --training\.data.*: `training`: --dataloader_",
        ),
        (
            ["--training.accelerator_config.split_batches", "true"],
            "`training.accelerator_config.split_batches`: it would separate images from their prompts",
        ),
        (["--training.accelerator_config", "file.json"], "found 'file.json', expected keys and values"),
        (["--training.save_total_limit", "1"], "save_total_limit` is 1, expected at least 2"),
        (["--training.push_to_hub", "true"], "checkpoints hold only what trains.*`mblip publish` the run"),
        (
            ["--training.fp16", "true", "--training.bf16", "true"],
            "At most one of fp16 and bf16 can be True|support bf16",
        ),
    ],
)
def test_what_cannot_be_trained_by_is_named_before_anything_is_loaded(tmp_path, fields, message):
    with pytest.raises(ValueError, match=message):
        arguments_of(tmp_path, *fields)


@pytest.mark.parametrize("stage", ["", "stages.1."])
@pytest.mark.parametrize("name", INSTEAD)
def test_what_is_said_elsewhere_or_breaks_a_run_says_what_to_write_instead(tmp_path, name, stage):
    with pytest.raises(ValueError, match=rf"--{stage}training\.{name}: `{stage}training\.{name}` cannot be given: "):
        arguments_of(tmp_path, f"--{stage}training.{name}", "1")


@pytest.mark.parametrize("name", ["lomo", "adalomo", "galore_adamw", "apollo_adamw_layerwise"])
def test_an_optimizer_that_groups_parameters_itself_is_refused(tmp_path, name):
    with pytest.raises(
        ValueError, match=rf"`training\.optim` is '{name}', which cannot use our learning rates.*Choose another"
    ):
        arguments_of(tmp_path, "--training.optim", name)


def test_every_optimizer_that_asks_for_the_model_is_refused(tmp_path):
    asking = [
        name.value
        for name, handler in trainer_optimizer._OPTIMIZER_HANDLERS.items()
        if "ctx.model" in inspect.getsource(handler)
    ]
    assert len(asking) >= 10
    for name in OptimizerNames:
        if name in asking:
            with pytest.raises(ValueError, match="which cannot use our learning rates"):
                arguments_of(tmp_path, "--training.optim", name)


def test_the_fields_that_are_refused_are_transformers_own():
    known = {field.name for field in dataclasses.fields(TrainingArguments)} | {"warmup_ratio"}  # of releases before 5
    assert known >= INSTEAD.keys()
    assert {field.name for field in dataclasses.fields(LoraConfig)} >= LORA_INSTEAD.keys()


def test_a_recipe_with_options_is_written_and_read_as_the_same(tmp_path):
    options = {"optim_args": "eps=1e-6", "lr_scheduler_kwargs": {"num_cycles": 0.5}}
    lora = {"r": 2, "target_modules": ["q", "v"], "rank_pattern": {"q": 4}, "layers_to_transform": [0]}
    stages = tiny_recipe(tmp_path)["stages"]
    stages[1] |= {"lora": lora, "training": {"optim": "sgd"}}
    recipe = read_recipe(write_recipe(tmp_path, training=options, stages=stages))
    (tmp_path / "again.yaml").write_text(to_yaml(recipe), encoding="utf-8")
    again = to_recipe(read_yaml(tmp_path / "again.yaml"))
    assert again == recipe
    assert again.training["optim_args"] == "eps=1e-6"
    assert again.training["weight_decay"] == 0.1
    assert again.stages[1].lora == lora | {"lora_alpha": 16, "lora_dropout": 0.05}
    assert again.stages[1].lora_learning_rate == 2e-4


def test_a_run_goes_on_with_another_report_but_not_with_another_optimizer():
    free = {"report_to": ["tensorboard"], "disable_tqdm": True}
    assert find_differences({"training": {}}, {"training": free}) == []
    assert find_differences({"stages": [{"training": {}}]}, {"stages": [{"training": free}]}) == []
    old, new = [
        {"stages": [{"training": {"optim": name} | more}]} for name, more in (("sgd", {}), ("adafactor", free))
    ]
    assert find_differences(old, new) == ["stages.0.training.optim: sgd -> adafactor"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (["--stages.1.lora.use_dorra", "true"], r"`stages\.1\.lora\.use_dorra` is unknown\. Did you mean `use_dora`"),
        (["--stages.1.lora.rank", "4"], r"the key `stages\.1\.lora\.rank` is unknown\. Did you mean `rank_pattern`"),
        (["--stages.1.lora.r", "four"], r"`stages\.1\.lora\.r` is 'four', text, expected a whole number"),
        (["--stages.1.lora.init_lora_weights", "pisa"], r"is 'pisa', text, expected true or false or a name that is"),
        (
            ["--stages.1.lora.layers_pattern", "block"],
            r"recipe\.yaml, line \d+, with --stages\.1\.lora.*: `stages\.1\.lora`: When `layers_pattern`",
        ),
        (["--stages.0.lora.r", "4"], "`warm_up` trains no LoRA: take `lora` out"),
        (["--stages.0.lora_learning_rate", "1"], "`warm_up` trains no LoRA: take `lora_learning_rate` out"),
        *(
            ([f"--stages.1.lora.{name}", "true"], rf"`stages\.1\.lora\.{name}` cannot be given: ")
            for name in LORA_INSTEAD
        ),
    ],
)
def test_what_cannot_stand_in_lora_is_named(tmp_path, fields, message):
    with pytest.raises(ValueError, match=message):
        parse_command_line([str(write_recipe(tmp_path)), *fields])


def test_a_known_beginning_of_an_initialisation_is_enough(tmp_path):
    recipe = parse_command_line([str(write_recipe(tmp_path)), "--stages.1.lora.init_lora_weights", "pissa_niter_4"])
    assert recipe.stages[1].lora["init_lora_weights"] == "pissa_niter_4"


@pytest.mark.parametrize("family", ["mt5", "bloom", "gpt2", "llama"])
def test_layers_to_transform_adapts_exactly_these_layers(family):
    names = {name.removeprefix("language_model.") for name in linear_layers(tiny_model(family))}
    first = {name for name in names if next(part for part in name.split(".") if part.isdigit()) == "0"}
    assert first
    assert names - first
    model = set_trainable(tiny_model(family), "re_alignment", LoraConfig(layers_to_transform=[0]))
    assert adapted(model) == first


@pytest.mark.parametrize(
    ("lora", "ends"),
    [
        (LoraConfig(target_modules=["q", "v"]), ("q", "v")),
        (LoraConfig(target_modules=r".*SelfAttention\.(q|k)"), ("SelfAttention.q", "SelfAttention.k")),
        (LoraConfig(target_modules=["SelfAttention.q"], layers_to_transform=[1]), ("SelfAttention.q",)),
        (LoraConfig(target_modules="all-linear", exclude_modules=["q", "k", "v", "o", "wi_0", "wi_1"]), ("wo",)),
    ],
)
def test_narrowed_targets_are_taken_inside_the_language_model_alone(lora, ends):
    names = [name.removeprefix("language_model.") for name in linear_layers(tiny_model("mt5"))]
    wanted = {name for name in names if name.endswith(tuple(f".{end}" for end in ends))}
    if lora.layers_to_transform:
        wanted = {name for name in wanted if ".1.layer" in name}
    assert wanted
    assert adapted(set_trainable(tiny_model("mt5"), "re_alignment", lora)) == wanted


@pytest.mark.parametrize("family", ["mt5", "gpt2"])
def test_a_regular_expression_that_matches_the_image_side_adapts_the_language_model_alone(family):
    model = set_trainable(tiny_model(family), "re_alignment", LoraConfig(target_modules=".*"))
    assert {f"language_model.{name}" for name in adapted(model)} == set(linear_layers(tiny_model(family)))


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        (
            LoraConfig(target_modules=["q", "query"]),
            "has no linear layer `query`. Choose from these endings: k, o, q",
        ),
        (LoraConfig(layers_to_transform=[7]), "has no linear layer that matches all its options"),
        (LoraConfig(lora_bias=True), "`lora_bias` adds a bias to layers without one, so it cannot be merged"),
        (
            LoraConfig(modules_to_save=["lm_head"]),
            r"`modules_to_save` is \['lm_head'\], but re-alignment sets it to Q-Former, query",
        ),
    ],
)
def test_layers_that_are_not_there_are_an_error(lora, message):
    with pytest.raises(ValueError, match=message):
        lora_config(tiny_model("mt5"), lora)


def tiny_trainer(folder: Path, stage: str, **training: Any) -> MBlipTrainer:
    write_tiny_rows(folder / "rows.parquet")
    run = stage_run(folder, stage, **training)
    model = set_trainable(tiny_model("mt5"), stage)
    collator = MBlipCollator(tiny_processor("mt5"), model.config)
    return MBlipTrainer(
        model=model,
        args=training_arguments(run),
        data_collator=collator,
        train_dataset=TrainingRows(load_rows(folder / "rows.parquet")),
    )


@pytest.mark.slow
def test_label_smoothing_is_that_of_the_model_s_own_loss_while_it_trains(tmp_path, monkeypatch):
    trainer = tiny_trainer(tmp_path, "warm_up", label_smoothing_factor=0.1)
    model, seen = trainer.model, []
    forward = type(model).forward

    def watched(self, *arguments, **named):
        out = forward(self, *arguments, **named)
        seen.append((self.config.label_smoothing, "labels" in named, out.logits))
        return out

    monkeypatch.setattr(type(model), "forward", watched)
    trainer.train()
    assert seen == [(0.1, True, None)] * 3
    assert model.config.label_smoothing == 0.0


@pytest.mark.slow
def test_label_smoothing_and_another_optimizer_change_what_is_learned(tmp_path):
    weights = {}
    for name, training in {
        "plain": {},
        "smoothed": {"label_smoothing_factor": 0.1},
        "other": {"optim": "adafactor"},
    }.items():
        (tmp_path / name).mkdir()
        trainer = tiny_trainer(tmp_path / name, "warm_up", **training)
        trainer.train()
        weights[name] = trainer.model.language_projection.weight
        if name == "other":
            assert type(trainer.optimizer.optimizer).__name__ == "Adafactor"
    assert not torch.equal(weights["plain"], weights["smoothed"])
    assert not torch.equal(weights["plain"], weights["other"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "lora",
    [
        {"use_dora": True},
        {"use_rslora": True, "layers_to_transform": [0]},
        {"rank_pattern": {"q": 4}, "init_lora_weights": "pissa"},
    ],
)
def test_every_kind_of_lora_is_trained_saved_loaded_and_merged(tmp_path, lora):
    write_components(tmp_path)
    stages = tiny_recipe(tmp_path)["stages"][1:]
    stages[0] |= {"max_steps": 2, "lora": {"r": 2} | lora}
    train.main([str(write_recipe(tmp_path, stages=stages, training={"optim": "adafactor"}))])
    merged, _ = load_checkpoint(str(tmp_path / "out" / "model"))
    loaded, _ = load_checkpoint(str(tmp_path / "out" / "adapter"))
    weights = merged.state_dict()
    assert loaded.state_dict().keys() == weights.keys()
    for name, weight in loaded.state_dict().items():
        torch.testing.assert_close(weight, weights[name], rtol=0, atol=1e-6, msg=name)
    untrained, _ = load_checkpoint(str(tmp_path / "out" / "base"))
    changed = [
        name
        for name, weight in untrained.state_dict().items()
        if name.startswith("language_model.") and not torch.allclose(weight, weights[name], rtol=0, atol=1e-7)
    ]
    assert changed
    if "layers_to_transform" in lora:
        assert all(".block.0." in name for name in changed)


@pytest.mark.slow
def test_a_model_that_lies_in_shards_after_training_is_loaded_again(tmp_path, monkeypatch):
    """What follows FSDP; test_fsdp.py has what comes before."""
    write_components(tmp_path)
    recipe = str(write_recipe(tmp_path))
    train.main([recipe, "--output_dir", str(tmp_path / "in_memory")])
    monkeypatch.setattr(MBlipTrainer, "is_sharded", True)
    train.main([recipe, "--output_dir", str(tmp_path / "loaded_again")])
    one, other = (tmp_path / name / "model" / "model.safetensors" for name in ("in_memory", "loaded_again"))
    assert one.read_bytes() == other.read_bytes()


def test_what_trains_is_saved_from_gathered_values(tmp_path):
    model = set_trainable(tiny_model("mt5"), "warm_up")
    gathered = {name: torch.ones_like(parameter) for name, parameter in model.named_parameters()}
    save_trained(model, tmp_path, gathered)
    saved = load_file(tmp_path / "trained.safetensors")
    assert saved.keys() == {"language_projection.weight", "language_projection.bias"}
    assert all(value.eq(1).all() for value in saved.values())


@pytest.mark.slow
def test_an_error_of_a_data_loader_worker_is_told_as_without_workers(tmp_path):
    trainer = tiny_trainer(tmp_path, "warm_up", dataloader_num_workers=1)

    def refuse(rows):
        raise ValueError(f"Row {rows[0]['image_id']!r} is bad.\nRemove it.")

    trainer.data_collator = refuse
    with pytest.raises(ValueError, match=r"^Row 'row-\d+' is bad\.\nRemove it\.$"):
        trainer.train()
