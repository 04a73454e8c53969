"""Where training can begin besides a composition: an adapter, its merged model, a published checkpoint; and on which
base the next adapter then stands.
"""

import json

import pytest
import torch
from bitsandbytes.nn import Linear4bit, Linear8bitLt
from peft import PeftModel

from mblip import train
from mblip.evaluation.environment import describe_model
from mblip.loading import Precision, load_checkpoint, quiet_peft
from mblip.training.recipe_reading import read_recipe
from mblip.training.run_folder import Run
from mblip.training.starting_model import build_model
from mblip.training.trainable import choose_trainable
from modeling_mblip import MBlipForConditionalGeneration
from tests.tiny import VOCAB_SIZE, tiny_blip2, tiny_tokenizer
from tests.training.tiny_run import write_components, write_recipe

pytestmark = pytest.mark.slow

QUANTISED = (Linear8bitLt, Linear4bit)
LORA = {"r": 2, "lora_dropout": 0.0}
STAGE = {"stage": "re_alignment", "batch_size": 4, "learning_rate": 1e-3, "warmup_steps": 0, "lora": LORA}


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    """The folder of a finished run of two steps of re-alignment."""
    folder = tmp_path_factory.mktemp("first")
    write_components(folder)
    train.main([str(write_recipe(folder, stages=[STAGE | {"max_steps": 2}]))])
    return folder / "out"


def run_from(name_or_path, folder, **model):
    """Two steps more, in a run of their own; its folder."""
    recipe = write_recipe(
        folder, model={"name_or_path": str(name_or_path)} | model, stages=[STAGE | {"max_steps": 2}], seed=11
    )
    train.main([str(recipe)])
    return folder / "out"


def base_of(run):
    return json.loads((run / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"]


def assert_close(found, expected):
    weights, wanted = found.state_dict(), expected.state_dict()
    assert weights.keys() == wanted.keys()
    for name, weight in wanted.items():
        torch.testing.assert_close(weights[name], weight, rtol=1e-5, atol=1e-6)


def assert_adapter_is_the_model(run):
    """The adapter on the base it names is the model that the run published."""
    with quiet_peft():
        base = MBlipForConditionalGeneration.from_pretrained(base_of(run))
        assert_close(
            PeftModel.from_pretrained(base, run / "adapter").merge_and_unload(),
            MBlipForConditionalGeneration.from_pretrained(run / "model"),
        )


def test_an_adapter_is_trained_further_on_its_base(first_run, tmp_path):
    run = run_from(first_run / "adapter", tmp_path)
    assert base_of(run) == base_of(first_run) == str(first_run / "base")
    assert not (run / "base").exists()
    assert_adapter_is_the_model(run)


def test_what_is_trained_further_is_what_the_adapter_holds(first_run, tmp_path):
    recipe = read_recipe(write_recipe(tmp_path, model={"name_or_path": str(first_run / "adapter")}))
    model, processor = build_model(recipe.model, seed=5)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in model.named_parameters() if "lora_" in name or "modules_to_save" in name}
    expected, expected_processor = load_checkpoint(str(first_run / "adapter"))
    with quiet_peft():
        assert_close(model.merge_and_unload(), expected)
    assert processor.to_dict() == expected_processor.to_dict()


def test_a_fresh_lora_begins_on_the_merged_model(first_run, tmp_path):
    run = run_from(first_run / "adapter", tmp_path, adapter="fresh")
    assert base_of(run) == str(run / "base")
    assert_close(
        MBlipForConditionalGeneration.from_pretrained(run / "base"),
        MBlipForConditionalGeneration.from_pretrained(first_run / "model"),
    )
    assert_adapter_is_the_model(run)


@pytest.mark.parametrize("bits", ["8bit", "4bit"])
@pytest.mark.parametrize("start", ["adapter", "model"])
def test_a_language_model_quantised_in_training_is_whole_in_what_is_published(first_run, start, bits, tmp_path):
    run = run_from(first_run / start, tmp_path, load_in=bits)
    assert base_of(run) == str(first_run / ("base" if start == "adapter" else "model"))
    assert "quantization_config" not in json.loads((run / "model" / "config.json").read_text())
    assert_adapter_is_the_model(run)


@pytest.mark.parametrize("bits", ["8bit", "4bit"])
def test_an_adapter_is_used_on_its_base_in_bits(first_run, bits):
    model, _ = load_checkpoint(str(first_run / "adapter"), Precision.named(load_in=bits))
    assert describe_model(model).name == str(first_run / "adapter")
    layers = [name for name, module in model.named_modules() if isinstance(module, QUANTISED)]
    assert layers
    assert all(name.startswith("language_model.") and name.endswith(".base_layer") for name in layers)


def test_a_fresh_lora_on_an_adapter_in_bits_is_refused(first_run, tmp_path):
    message = r"`adapter: fresh` cannot merge .* into a base in 8bit\. First run `mblip merge"
    with pytest.raises(ValueError, match=message):
        run_from(first_run / "adapter", tmp_path, adapter="fresh", load_in="8bit")


def test_a_merged_model_is_the_base_of_the_next_adapter(first_run, tmp_path):
    run = run_from(first_run / "model", tmp_path)
    assert base_of(run) == str(first_run / "model")
    assert not (run / "base").exists()
    assert_adapter_is_the_model(run)


def test_a_checkpoint_in_blip2s_layout_is_converted_for_the_adapter_to_stand_on(first_run, tmp_path):
    published = tmp_path / "published"
    tiny_blip2("mt5", image_token_index=None).save_pretrained(published)  # as published in 2023
    tiny_tokenizer(VOCAB_SIZE).save_pretrained(published)
    settings = (first_run / "model" / "processor_config.json").read_text()
    (published / "processor_config.json").write_text(settings)
    run = run_from(published, tmp_path)
    assert base_of(run) == str(run / "base")
    assert json.loads((run / "base" / "config.json").read_text())["model_type"] == "mblip"
    assert_adapter_is_the_model(run)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"stage": "warm_up", "lora": ...}, "The stage warm_up has no LoRA"),
        (
            {"lora": LORA | {"r": 4}},
            r"The stage re_alignment has `r` 4, but the adapter 2\. .* continues the adapter's LoRA",
        ),
    ],
)
def test_a_stage_that_does_not_suit_the_adapter_is_refused(stage, message, first_run, tmp_path):
    changed = {name: value for name, value in (STAGE | {"max_steps": 2} | stage).items() if value is not ...}
    recipe = write_recipe(tmp_path, model={"name_or_path": str(first_run / "adapter")}, stages=[changed])
    with pytest.raises(ValueError, match=message + r"(.|\n)*`model\.adapter: fresh`"):
        train.main([str(recipe)])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"name_or_path": "model", "adapter": "fresh"}, r"`adapter: fresh`, but \S+ is a whole model"),
        (
            {"name_or_path": "adapter", "random_weights": True},
            "an adapter, which cannot be used with `random_weights`",
        ),
        ({"blip2": "a", "language_model": "b", "adapter": "fresh"}, "`adapter` needs an adapter in `name_or_path`"),
    ],
)
def test_what_does_not_go_together_is_refused(model, message, first_run, tmp_path):
    if "name_or_path" in model:
        model = model | {"name_or_path": str(first_run / model["name_or_path"])}
    with pytest.raises(ValueError, match=message):
        train.main([str(write_recipe(tmp_path, model=model))])


def test_one_lora_is_carried_through_stages_as_before(first_run, tmp_path):
    recipe = read_recipe(
        write_recipe(
            tmp_path,
            model={"name_or_path": str(first_run / "adapter")},
            stages=[STAGE | {"max_steps": 1}, STAGE | {"max_steps": 1}],
        )
    )
    model, _ = build_model(recipe.model, seed=5)
    for stage in Run(recipe).stages:
        assert choose_trainable(model, stage) is model


@pytest.mark.parametrize("is_random", [True, False], ids=["random weights", "fully trained"])
def test_no_adapter_is_written_on_weights_that_are_in_no_checkpoint(tmp_path, caplog, is_random):
    write_components(tmp_path)
    full = {name: value for name, value in STAGE.items() if name != "lora"} | {"stage": "full", "max_steps": 1}
    stages = [STAGE | {"max_steps": 1}] if is_random else [full, STAGE | {"max_steps": 1}]
    model = {
        "blip2": str(tmp_path / "blip2"),
        "language_model": str(tmp_path / "language_model"),
        "random_weights": is_random,
    }
    train.main([str(write_recipe(tmp_path, model=model, stages=stages))])
    assert not (tmp_path / "out" / "adapter").exists()
    assert "No adapter is written" in caplog.text
    assert (tmp_path / "out" / "model" / "model.safetensors").is_file()
