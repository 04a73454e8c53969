"""FSDP2: two processes that hold a model in shards train, save, resume and generate what one process does.

No GPU is needed: the processes are CPUs over gloo (fsdp_on_cpu.py). NCCL and CUDA are not tried by these tests.
"""

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from accelerate.utils.dataclasses import get_module_class_from_name
from safetensors.torch import load_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from transformers import TrainingArguments

from mblip.training import trainer
from mblip.training.checkpoints import load_trained
from mblip.training.sharding import check_sharding, prepare_sharding
from mblip.training.trainable import set_trainable
from mblip.training.trainer import MBlipTrainer
from tests.tiny import tiny_batch, tiny_model
from tests.training.test_options import arguments_of
from tests.training.test_processes import relative_difference
from tests.training.tiny_run import run_training, torchrun, write_components, write_recipe, write_tiny_rows

ON_CPU = ("-m", "tests.training.fsdp_on_cpu")
EVALUATION = {
    "scenes.task:scenes": {"languages": ["en", "sw"], "num_images": 4},
    "settings": {"generation": {"max_new_tokens": 3}},
}


def recipe_of(folder: Path, family: str) -> str:
    """Two stages whose batches on two processes are with and without images."""
    write_components(folder, family)
    write_tiny_rows(folder / "rows.parquet", 24, 12)
    stage = {"batch_size": 4, "warmup_steps": 1}
    lora = {"r": 2, "lora_dropout": 0}
    recipe = write_recipe(
        folder,
        data={"rows": {"path": str(folder / "rows.parquet")}},
        stages=[
            stage | {"stage": "warm_up", "learning_rate": 5e-3, "max_steps": 2},
            stage | {"stage": "re_alignment", "learning_rate": 1e-3, "max_steps": 4, "lora": lora},
        ],
        training={
            "logging_steps": 1,
            "save_steps": 2,
            "eval_steps": 2,
            "eval_images": 2,
            "label_smoothing_factor": 0.1,
            "activation_checkpointing": True,
        },
        evaluation=EVALUATION,
    )
    return str(recipe)


def logged(folder: Path, name: str) -> list[float]:
    lines = (folder / "training_log.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry[name] for entry in map(json.loads, lines) if name in entry]


def test_the_options_reach_training_arguments_and_accelerate(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "check_sharding", lambda arguments, location: None)
    given = ["--training.fsdp", "true", "--training.fsdp_config", "{version: 2, reshard_after_forward: false}"]
    for arguments in arguments_of(tmp_path, *given):
        assert arguments.fsdp is True
        plugin = arguments.fsdp_plugin_args
        assert (plugin["fsdp_version"], plugin["reshard_after_forward"]) == (2, False)
        assert (plugin["auto_wrap_policy"], plugin["cpu_ram_efficient_loading"]) == ("TRANSFORMER_BASED_WRAP", False)


def test_without_gpus_sharding_is_refused_instead_of_left_out(tmp_path):
    with pytest.raises(
        ValueError, match=r"shards a model over GPUs, but there is none here: each process would train"
    ):
        arguments_of(tmp_path, "--training.fsdp", "true")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"version": 1}, r"`training\.fsdp_config\.version` is 1, expected 2"),
        ({"activation_checkpointing": True}, r"activation_checkpointing` is set, but it draws new dropout"),
        ({"cpu_ram_efficient_loading": True}, r"cpu_ram_efficient_loading` is set, but a composition needs"),
        ({}, r"`training\.fsdp` needs a process for each GPU\. Start them with torchrun"),
    ],
)
def test_options_that_would_train_wrongly_are_refused(config, message, monkeypatch):
    """With a stand-in for a GPU."""
    if config:
        monkeypatch.setenv("LOCAL_RANK", "0")
    arguments: Any = SimpleNamespace(fsdp=True, fsdp_config=config, device=torch.device("cuda"))
    with pytest.raises(ValueError, match=rf"recipe\.yaml:3: .*{message}"):
        check_sharding(arguments, "recipe.yaml:3")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (["--stages.1.training.fsdp", "true"], "the stages differ in `fsdp` or `fsdp_config`"),
        (["--training.fsdp", "true", "--model.load_in", "8bit"], "`fsdp` cannot shard a quantised language model"),
        (["--training.fsdp", "full_shard"], r"training\.fsdp.*'full_shard'"),
    ],
)
def test_a_recipe_is_sharded_as_a_whole_not_quantised_and_by_true_or_false(tmp_path, fields, message):
    with pytest.raises(ValueError, match=message):
        arguments_of(tmp_path, *fields)


def test_what_accelerate_would_leave_unsharded_is_no_error_and_no_silence(tmp_path):
    """accelerate trains whole copies on CPUs, whatever `fsdp` says."""
    model = set_trainable(tiny_model("mt5"), "warm_up")
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", fsdp=True)
    with pytest.raises(ValueError, match="Using fsdp only works in distributed training"):
        MBlipTrainer(model, arguments, None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("family", ["mt5", "marian", "llama", "gemma3"])
def test_the_units_of_sharding_are_the_layers_of_all_parts(family):
    """The Q-Former's class names modules that it does not have here, and Marian's names none."""
    model = tiny_model(family)
    units = {name for name in model._no_split_modules if get_module_class_from_name(model, name) is not None}
    assert units == set(model._no_split_modules)
    assert {"Blip2EncoderLayer", "Blip2QFormerLayer", "Blip2VisionEmbeddings"} < units
    stacks = [each for each in model.language_model.modules() if isinstance(each, torch.nn.ModuleList)]
    outside = {type(layer).__name__ for stack in stacks for layer in stack} - units
    assert outside <= {"MT5LayerSelfAttention", "MT5LayerCrossAttention", "MT5LayerFF"}  # within layers


def test_experts_that_one_process_may_skip_are_refused():
    plugin: Any = SimpleNamespace(mixed_precision_policy=None)
    with pytest.raises(ValueError, match="a batch may skip some of its experts"):
        prepare_sharding(plugin, tiny_model("nllb-moe"))


def test_gradients_are_summed_and_the_loss_is_returned_in_float32():
    plugin: Any = SimpleNamespace(mixed_precision_policy=MixedPrecisionPolicy(*[torch.bfloat16] * 3))
    prepare_sharding(plugin, tiny_model("mt5"))
    policy = plugin.mixed_precision_policy
    assert (policy.param_dtype, policy.reduce_dtype, policy.output_dtype) == (torch.bfloat16, torch.float32, None)


@pytest.mark.parametrize("family", ["t5", "bart", "m2m_100"])
def test_embeddings_that_share_a_weight_are_one_module_with_the_same_results(family):
    model, batch = tiny_model(family), tiny_batch(family)
    expected = model(**batch).logits
    prepare_sharding(SimpleNamespace(mixed_precision_policy=None), model)  # type: ignore[arg-type]
    for stack in (model.language_model.get_encoder(), model.language_model.get_decoder()):
        assert stack.embed_tokens is model.get_input_embeddings()
    assert torch.equal(model(**batch).logits, expected)


@pytest.fixture
def group_of_one(tmp_path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_what_trains_is_gathered_saved_and_loaded_into_shards(tmp_path, group_of_one):
    models = [set_trainable(tiny_model("mt5", seed=seed), "warm_up") for seed in (0, 1)]
    for model in models:
        fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
    trainer_of = SimpleNamespace(
        is_fsdp_enabled=True, trained_model=models[0], state=SimpleNamespace(global_step=3), _hint="", folder=tmp_path
    )
    trainer_of.args = SimpleNamespace(should_save=True)
    trainer_of._save = partial(MBlipTrainer._save, trainer_of)  # type: ignore[arg-type]
    MBlipTrainer.save_model(trainer_of, str(tmp_path / "saved"))  # type: ignore[arg-type]
    saved = load_file(tmp_path / "saved" / "trained.safetensors")
    expected = tiny_model("mt5", seed=0).language_projection
    assert saved.keys() == {"language_projection.weight", "language_projection.bias"}
    assert torch.equal(saved["language_projection.weight"], expected.weight)
    load_trained(models[1], tmp_path / "saved")
    assert torch.equal(models[1].language_projection.weight.full_tensor(), expected.weight)
    models[0].language_projection.bias.data.to_local()[0] = torch.nan
    with pytest.raises(
        ValueError, match=r"`language_projection\.bias` of the model after step 3 holds values that are"
    ):
        MBlipTrainer.save_model(trainer_of, str(tmp_path / "broken"))  # type: ignore[arg-type]


MODELS = [
    *("mt5:re_alignment:checkpointing", "t5:full:", "mbart:full:", "t5gemma2:re_alignment:"),
    *("llama:re_alignment:", "llama:full:checkpointing", "bloom:re_alignment:", "gemma3:full:", "llama4_text:full:"),
    *("mt5+siglip_vision_model:full:", "mt5+dinov2:re_alignment:checkpointing", "mt5+convnext:pretrain:"),
]


@pytest.mark.slow
def test_a_step_in_shards_is_the_step_of_the_whole_model_and_generates_the_same(tmp_path):
    """Of two processes, one has no image, and other numbers of labels and of chunks of the loss."""
    told = torchrun(2, str(tmp_path / "found"), *MODELS, target=("-m", "tests.training.sharded_models"))
    for rank in range(2):
        found = tmp_path / f"found.{rank}"
        assert found.is_file(), told.stderr[-4000:]
        results = json.loads(found.read_text(encoding="utf-8"))
        assert list(results) == MODELS
        for name, differences in results.items():
            assert differences["loss"] <= 1e-6, name
            assert differences["norm"] <= 1e-6, name
            assert differences["weights"] <= 1e-6 < 1e-3 < differences["moved"], name
            assert differences["differing_tokens"] == 0, name


@pytest.mark.slow
@pytest.mark.parametrize("family", ["mt5"])
def test_a_run_in_shards_is_the_run_of_one_process_and_resumes_to_the_same_weights(tmp_path, family):
    recipe = recipe_of(tmp_path, family)
    one = run_training(recipe, "--output_dir", str(tmp_path / "one"))
    sharded = ["--training.fsdp", "true", "--training.gradient_accumulation_steps", "2"]
    two = torchrun(2, recipe, "--output_dir", str(tmp_path / "two"), *sharded, target=ON_CPU)
    told = one.stderr[-2000:] + two.stderr[-4000:]
    assert (tmp_path / "two" / "model" / "model.safetensors").is_file(), told
    for name, tolerance in (("loss", 1e-5), ("grad_norm", 1e-4), ("eval_generation", 0)):
        ours, theirs = (torch.tensor(logged(tmp_path / each, name)) for each in ("one", "two"))
        assert len(ours) == (3 if name == "eval_generation" else 6)
        torch.testing.assert_close(theirs, ours, rtol=tolerance, atol=1e-6)
    checkpoints = sorted(path.parent.relative_to(tmp_path / "one") for path in tmp_path.glob("one/*/*/manifest.json"))
    assert len(checkpoints) == 3
    for checkpoint in checkpoints:
        ours, theirs = (load_file(tmp_path / each / checkpoint / "trained.safetensors") for each in ("one", "two"))
        assert ours.keys() == theirs.keys()
        flat = [torch.cat([weights[name].flatten() for name in ours]) for weights in (ours, theirs)]
        assert relative_difference(*flat) <= 1e-5, checkpoint
        files = {path.name for path in (tmp_path / "two" / checkpoint).iterdir()}
        assert not [name for name in files if name.startswith("pytorch_model")], "the weights a second time"

    last = tmp_path / "two" / checkpoints[-1]
    assert last.name == "checkpoint-4"
    undisturbed = (last / "trained.safetensors").read_bytes()
    for path in (last, tmp_path / "two" / "model", tmp_path / "two" / "adapter"):
        shutil.rmtree(path)
    again = torchrun(2, recipe, "--output_dir", str(tmp_path / "two"), *sharded, target=ON_CPU)
    assert (tmp_path / "two" / "model" / "model.safetensors").is_file(), again.stderr[-4000:]
    assert (last / "trained.safetensors").read_bytes() == undisturbed
