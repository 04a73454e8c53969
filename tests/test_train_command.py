"""`train.py` from recipe to model folder."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from peft import PeftModel
from safetensors.torch import load_file

from mblip import train
from mblip.loading import load_checkpoint, quiet_peft
from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor
from tests.training.tiny_run import ROOT, run_training, torchrun, write_components, write_recipe

EVALUATION = {
    "scenes.task:scenes": {"num_images": 2, "languages": ["en", "de"]},
    "settings": {"generation": {"max_new_tokens": 3}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: both stages, then the evaluation."""
    folder = tmp_path_factory.mktemp("run")
    write_components(folder)
    train.main([str(write_recipe(folder, evaluation=EVALUATION, compare_with_components="scenes", license="mit"))])
    return folder / "out"


def test_a_run_leaves_model_log_curve_results_and_table(folder):
    found = {path.name for path in folder.iterdir()}
    expected = {"model", "adapter", "training_log.jsonl", "loss_curve.png", "results.json", "table.md", "recipe.yaml"}
    assert expected <= found
    assert not [name for name in found if name.startswith(".")]
    entries = [json.loads(line) for line in (folder / "training_log.jsonl").read_text().splitlines()]
    assert [(entry["stage"], entry["step"]) for entry in entries if "loss" in entry] == [
        *(("0_warm_up", step) for step in (1, 2, 4, 6)),
        *(("1_re_alignment", step) for step in (1, 2, 4, 6, 8)),
    ]
    assert (folder / "loss_curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_checkpoints_hold_what_trained_and_nothing_else(folder):
    warm_up = load_file(folder / "0_warm_up" / "checkpoint-6" / "trained.safetensors")
    assert sorted(warm_up) == ["language_projection.bias", "language_projection.weight"]
    files = {path.name for path in (folder / "1_re_alignment" / "checkpoint-8").iterdir()}
    assert {name for name in files if name.endswith((".safetensors", ".bin"))} == {"trained.safetensors"}


def test_the_frozen_parts_are_bit_equal_to_the_components(folder):
    trained = load_file(folder / "model" / "model.safetensors")
    blip2 = load_file(folder.parent / "blip2" / "model.safetensors")
    language_model = load_file(folder.parent / "language_model" / "model.safetensors")
    frozen = {name: weight for name, weight in blip2.items() if name.startswith("vision_model.")}
    frozen |= {
        f"language_model.{name}": weight for name, weight in language_model.items() if is_unadapted(name, weight)
    }
    assert len(frozen) > 20
    assert all(torch.equal(trained[name], weight) for name, weight in frozen.items())


def is_unadapted(name: str, weight: torch.Tensor) -> bool:
    """LoRA changes the weights of linear layers, but not embeddings, norms and head."""
    return weight.ndim < 2 or name.startswith(("shared", "lm_head")) or "embed" in name or "bias" in name


def test_the_model_folder_loads_and_generates(folder):
    model = MBlipForConditionalGeneration.from_pretrained(folder / "model").eval()
    processor = MBlipProcessor.from_pretrained(folder / "model")
    inputs = processor(
        images=torch.zeros(3, 40, 40, dtype=torch.uint8), text="Caption in English", return_tensors="pt"
    )
    assert processor.batch_decode(model.generate(**inputs, max_new_tokens=2))


def test_the_adapter_on_its_base_is_the_merged_model(folder):
    base = json.loads((folder / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"]
    base_model = MBlipForConditionalGeneration.from_pretrained(base)
    with quiet_peft():
        adapted = PeftModel.from_pretrained(base_model, folder / "adapter").eval()
    merged = MBlipForConditionalGeneration.from_pretrained(folder / "model").eval()
    inputs = {
        "pixel_values": torch.randn(1, 3, 28, 28),
        "input_ids": torch.tensor([[128, 128, 128, 128, 7, 8]]),
        "decoder_input_ids": torch.tensor([[0, 5, 6]]),
    }
    with torch.no_grad():
        torch.testing.assert_close(adapted(**inputs).logits, merged(**inputs).logits, rtol=1e-4, atol=1e-4)


def test_an_adapter_is_loaded_on_its_base_with_the_processor_of_the_components(folder):
    model, processor = load_checkpoint(str(folder / "adapter"))
    assert model.name_or_path == str(folder / "adapter")
    whole, processor_of_whole = load_checkpoint(str(folder / "model"))
    weights, wanted = model.state_dict(), whole.state_dict()
    assert weights.keys() == wanted.keys()
    assert all(torch.allclose(weights[name], wanted[name], atol=1e-6) for name in wanted)
    assert processor.to_dict() == processor_of_whole.to_dict()
    assert processor.tokenizer.padding_side == processor_of_whole.tokenizer.padding_side


def test_an_adapter_without_its_base_is_an_error_that_names_both(folder, tmp_path):
    shutil.copytree(folder / "adapter", tmp_path / "adapter")
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(config.read_text().replace(str(folder / "base"), str(tmp_path / "gone")))
    message = (
        rf"The base {tmp_path}/gone of the adapter {tmp_path}/adapter cannot be loaded: There is no folder "
        rf"{tmp_path}/gone, (.|\n)*adapter_config.json"
    )
    with pytest.raises(OSError, match=message):
        load_checkpoint(str(tmp_path / "adapter"))


def test_a_run_s_own_folder_is_no_model_and_the_error_says_which_is(folder):
    with pytest.raises(OSError, match=r"holds no config\.json, expected a model.*`model/` or `adapter/`"):
        load_checkpoint(str(folder))


@pytest.mark.parametrize("name", ["outputs/of/nobody", "/outputs", "./nobody", "../nobody", "~/nobody"])
def test_a_path_that_leads_nowhere_is_an_error_that_names_it(tmp_path, name):
    message = rf"There is no folder {Path(name)}, and this is no repository name either\. Paths are relative to"
    with pytest.raises(OSError, match=message):
        load_checkpoint(name)
    with pytest.raises(OSError, match=message):
        train.main([str(write_recipe(tmp_path)), "--model.blip2", name])


def test_the_card_has_the_hub_s_metadata_and_no_figure_that_was_not_measured(folder):
    card = ModelCard.load(folder / "model" / "README.md")
    assert card.data.language == ["de", "en"]
    assert card.data.license == "mit"
    assert card.data.library_name == "transformers"
    assert card.data.pipeline_tag == "image-text-to-text"
    assert card.data.base_model is None  # its components are folders of this machine
    assert "| warm_up | 544 (projection 544) | 6 | 4 | 0.005 |" in card.text
    assert (folder / "table.md").read_text().strip() in card.text


def test_the_results_compare_with_before_and_with_the_english_blip2(folder):
    results = json.loads((folder / "results.json").read_text())
    assert set(results) == {"scenes", "scenes_before", "scenes_english_parent"}


def test_the_task_to_compare_by_is_one_of_the_evaluation(tmp_path):
    recipe = write_recipe(tmp_path, evaluation=EVALUATION, compare_with_components="xm3600")
    write_components(tmp_path)
    with pytest.raises(
        ValueError, match=r"`compare_with_components` is 'xm3600', expected one of the tasks .*: scenes"
    ):
        train.main([str(recipe)])


def test_the_same_line_again_says_that_all_is_done_and_changes_nothing(folder, capsys):
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    train.main([str(folder.parent / "recipe.yaml")])
    assert f"{folder / 'model'} exists: this run is finished" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == times


def test_another_recipe_for_the_same_folder_is_an_error_that_names_the_difference(folder):
    with pytest.raises(ValueError, match=r"stages\.0\.max_steps: 6 -> 7"):
        train.main([str(folder.parent / "recipe.yaml"), "--stages.0.max_steps", "7"])


def test_the_default_recipe_is_the_quickstart():
    assert (ROOT / "quickstart" / "quickstart.yaml").is_file()


@pytest.mark.slow
def test_an_unknown_key_ends_the_command_with_an_error_that_names_it(tmp_path):
    ended = run_training(str(write_recipe(tmp_path)), "--stages.1.max_stepz", "3")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[0] == (
        "mblip train: error: --stages.1.max_stepz: the key `stages.1.max_stepz` is unknown. Did you mean `max_steps`?"
    )


@pytest.mark.slow
def test_torchrun_sees_that_the_input_was_wrong(tmp_path):
    ended = torchrun(2, str(write_recipe(tmp_path)), "--stages.1.max_stepz", "3")
    assert ended.returncode != 0
    assert ended.stderr.count("mblip train: error: --stages.1.max_stepz") >= 1


@pytest.mark.slow
@pytest.mark.parametrize("bits", ["8bit", "4bit"])
def test_a_language_model_that_is_quantised_in_training_is_published_as_it_was_with_lora_merged(tmp_path, bits):
    write_components(tmp_path)
    ended = run_training(str(write_recipe(tmp_path)), "--model.load_in", bits)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "quantization_config" not in json.loads((tmp_path / "out" / "model" / "config.json").read_text())
    trained = load_file(tmp_path / "out" / "model" / "model.safetensors")
    parent = load_file(tmp_path / "language_model" / "model.safetensors")
    assert torch.equal(trained["language_model.shared.weight"], parent["shared.weight"])
    query = "encoder.block.0.layer.0.SelfAttention.q.weight"
    change = trained[f"language_model.{query}"] - parent[query]
    assert torch.linalg.matrix_rank(change) == 2  # LoRA of rank 2, and no error of quantisation
