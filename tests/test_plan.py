"""`mblip plan`: what it counts on tensors without values is what real tensors take, and exact parameter counts."""

import json
import math
import mmap
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from transformers import TrainingArguments

from benchmarks.model_shapes import full_shape
from mblip.cli import main as mblip
from mblip.evaluation.generation_settings import GenerationSettings
from mblip.loading import without_adapter
from mblip.plan import _fitting, _resident_bytes_of_files
from mblip.planning.models import in_stage, meta_model
from mblip.planning.simulation import LANGUAGE_MODEL, RECOMPUTATION, TOWER, Cost, Counting, as_on, make_fake
from mblip.planning.steps import BatchShape, generation, optimizer_bytes, training_step
from mblip.training.recipe import StageRecipe
from mblip.training.trainable import set_trainable
from modeling_mblip import MBlipForConditionalGeneration
from tests.tiny import tiny_batch, tiny_blip2, tiny_config, tiny_text_config

CPU, GPU = torch.device("cpu"), torch.device("cuda")
BATCH = BatchShape(num_images=2, num_prompts=4, text_tokens=6, target_tokens=5)


def stage(kind: str) -> StageRecipe:
    return StageRecipe(stage=kind, learning_rate=1e-4, batch_size=4, max_steps=2)


def arguments(folder: Path, **options) -> TrainingArguments:
    return TrainingArguments(output_dir=str(folder), use_cpu=True, report_to=[], **options)


@pytest.mark.parametrize(("name", "expected"), [("mt0-xl", 124_431_872), ("bloomz-7b1", 124_040_704)])
def test_re_alignment_trains_the_published_number_of_parameters(name, expected):
    model = in_stage(meta_model(full_shape(name).ours(), torch.bfloat16), stage("re_alignment"))
    assert sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad) == expected


def count(model, fake, batch) -> Cost:
    """The cost of a forward and a backward pass of a model in training mode."""
    counting = Counting(fake)
    without_adapter(model).scaling_power = 0
    with counting.watching(without_adapter(model)), nullcontext() if fake is None else as_on(CPU):
        model(**batch).loss.backward()
    return counting.cost


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        ("mt5", "re_alignment"),
        ("llama", "full"),
        *(
            pytest.param(family, kind, marks=pytest.mark.slow)
            for family in ("mt5", "bloom", "llama", "bart", "gpt2")
            for kind in ("warm_up", "pretrain", "re_alignment", "full")
        ),
    ],
)
def test_tensors_without_values_count_as_real_ones_do(family, kind):
    torch.manual_seed(0)
    real = set_trainable(MBlipForConditionalGeneration(tiny_config(family)), kind).train()
    planned = in_stage(meta_model(tiny_config(family), torch.float32), stage(kind))
    expected = count(real, None, tiny_batch(family))
    found = count(planned, make_fake(planned), tiny_batch(family))
    assert dict(found.flops) == dict(expected.flops)
    assert found.peak_bytes == expected.peak_bytes


@pytest.mark.slow
def test_checkpointing_takes_less_memory_and_recomputes_the_language_model(tmp_path):
    costs = [
        training_step(
            in_stage(meta_model(tiny_config("llama"), torch.bfloat16), stage("re_alignment")),
            BatchShape(8, 32, 48, 16).tensors(tiny_config("llama")),
            GPU,
            arguments(tmp_path, activation_checkpointing=is_checkpointed),
            is_autocast=True,
        )
        for is_checkpointed in (False, True)
    ]
    assert costs[1].peak_bytes < costs[0].peak_bytes
    assert costs[0].flops[LANGUAGE_MODEL, RECOMPUTATION] == 0 < costs[1].flops[LANGUAGE_MODEL, RECOMPUTATION]


def test_stored_features_cost_no_image_encoder(tmp_path):
    model = in_stage(meta_model(tiny_config("mt5"), torch.float32, has_tower=False), stage("warm_up"))
    batch = BATCH.tensors(tiny_config("mt5"), "query_features")
    cost = training_step(model, batch, CPU, arguments(tmp_path), is_autocast=False)
    assert sum(value for (part, _), value in cost.flops.items() if part == TOWER) == 0
    assert cost.memory[f"weights: {TOWER}"] == 0


@pytest.mark.parametrize(("load_in", "share"), [("8bit", 1 / 4), ("4bit", 0.5625 / 4)])
def test_a_quantised_language_model_takes_its_share_of_the_bytes(load_in, share):
    whole = meta_model(tiny_config("llama"), torch.float32)
    quantised = meta_model(tiny_config("llama"), torch.float32, load_in=load_in)
    layer = "language_model.model.layers.0.mlp.up_proj.weight"
    assert quantised.get_parameter(layer).nbytes == whole.get_parameter(layer).nbytes * share
    assert quantised.language_model.lm_head.weight.dtype == torch.float32


@pytest.mark.parametrize(("optim", "expected"), [("adamw_torch", 8), ("sgd", 0), ("adafactor", 0.03125)])
def test_the_optimizers_state_is_asked_of_the_optimizer(tmp_path, optim, expected):
    assert optimizer_bytes(arguments(tmp_path, optim=optim)) == pytest.approx(expected)


@pytest.mark.parametrize("family", ["mt5", pytest.param("llama", marks=pytest.mark.slow)])
def test_beams_multiply_the_cache_of_an_evaluation(family):
    greedy, beams = (
        generation(meta_model(tiny_config(family), torch.float32), BATCH, GenerationSettings(20, num_beams), CPU)
        for num_beams in (1, 5)
    )
    assert beams.total_flops > 3 * greedy.total_flops
    assert beams.peak_bytes > greedy.peak_bytes


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="the kernel lists no mappings: not Linux")
def test_a_probe_knows_the_memory_of_mapped_feature_files_from_other_memory(tmp_path):
    for name in ("features", "features_2"):
        (tmp_path / name).mkdir()
    (tmp_path / "features" / "0001").write_bytes(bytes(1 << 20))
    with (
        (tmp_path / "features" / "0001").open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        assert mapped[:] == bytes(1 << 20)
        assert _resident_bytes_of_files(tmp_path / "features") == 1 << 20
        assert _resident_bytes_of_files(tmp_path / "features_2") == 0
    assert _resident_bytes_of_files(tmp_path / "features") == 0


def test_the_largest_batch_lies_on_the_line_between_two_peaks():
    gib = 0.9 * 2**30  # of each GiB, a tenth stays free
    fits = _fitting({0: round(9.9 * gib), 8: round(25.9 * gib), 32: round(49.9 * gib)})
    assert fits == {16: 3, 24: 7, 40: 22, 80: 62}


@pytest.fixture
def recipe(tmp_path, monkeypatch) -> Path:
    """A recipe whose components are configurations alone, and whose data are not there."""
    monkeypatch.chdir(tmp_path)
    tiny_blip2("t5").config.save_pretrained("blip2")
    tiny_text_config("mt5").save_pretrained("text")
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "output_dir: out\nmodel: {blip2: blip2, language_model: text}\n"
        "data: {rows: {path: not_here, streaming: true}, max_text_tokens: 32, max_target_tokens: 16}\n"
        "stages:\n  - {stage: warm_up, learning_rate: 1e-3, batch_size: 8, max_steps: 10}\n"
        "training: {gradient_accumulation_steps: 2}\n"
    )
    return path


def test_a_plan_needs_configurations_alone_and_states_what_it_assumes(recipe, capsys):
    mblip(["plan", str(recipe), "--json", "plan.json"])
    text, found = capsys.readouterr().out, json.loads(Path("plan.json").read_text())["stages"][0]
    assert "The data are not here" in text
    assert "prompts and targets of 32 and 16 tokens, the recipe's limits" in text
    assert found["batch"] == {"num_images": 4, "num_prompts": 16, "text_tokens": 32, "target_tokens": 16}
    assert found["mean batch"] == {"num_images": 4, "num_prompts": 16, "text_tokens": 16, "target_tokens": 24}
    assert found["trained parameters in all"] == 16 * 32 + 32
    assert found["peak memory, bytes"] == sum(found["memory by part, bytes"].values())
    assert found["FLOP of a step"] == 2 * sum(sum(phases.values()) for phases in found["FLOP of a batch"].values())
    assert math.isclose(
        found["hours"]["A100 (40 or 80 GB)"], 10 * found["FLOP of a step"] / (312e12 * 0.35 * 3600), rel_tol=1e-6
    )


def test_a_batch_that_processes_cannot_share_is_refused(recipe, capsys):
    with pytest.raises(SystemExit):
        mblip(["plan", str(recipe), "--num_processes", "3"])
    assert "3 process(es) x 2 accumulation step(s) need a multiple of 6" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 3])
def test_the_predicted_peak_is_within_15_percent_of_the_measured(number, monkeypatch):
    monkeypatch.syspath_prepend("benchmarks")  # its scripts import each other so
    from benchmarks.plan_memory import RETURN_MEMORY_AT_ONCE, run_alone  # its imports take seconds

    predicted, measured = (run_alone(what, number, RETURN_MEMORY_AT_ONCE)["bytes"] for what in ("predict", "measure"))
    assert measured > 1e9
    assert abs(predicted / measured - 1) < 0.15
