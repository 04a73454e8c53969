"""Training with another image encoder: the stage `pretrain`, and a whole run from a recipe."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, SiglipImageProcessorPil

from mblip import train
from mblip.training.compose import main as compose_command
from mblip.training.recipe import ModelRecipe
from mblip.training.trainable import IMAGE_SIDE_MODULES, set_trainable
from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor
from tests.tiny import QFORMER, tiny_model
from tests.tiny_towers import IMAGE_SIZE, tiny_tower_config, tower_batch
from tests.training.tiny_run import write_components, write_recipe

SIZE = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
# SigLIP's head, DINOv2's mask token and the pooler of a ViT do not reach the features
IDLE = {"siglip_vision_model": "head.probe", "dinov2": "embeddings.mask_token", "vit": "pooler.dense.weight"}


def write_tower(folder: Path, name: str = "siglip_vision_model") -> None:
    AutoModel.from_config(tiny_tower_config(name)).save_pretrained(folder / "tower")
    SiglipImageProcessorPil(size=SIZE).save_pretrained(folder / "tower")


def test_pretrain_moves_qformer_query_tokens_and_projection_and_nothing_else():
    model = set_trainable(tiny_model("mt5", vision_config=tiny_tower_config("dinov2")), "pretrain").train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.1)
    model(**tower_batch()).loss.backward()
    optimizer.step()
    moved = {key for key, value in model.state_dict().items() if not torch.equal(before[key], value)}
    assert {key.split(".")[0] for key in moved} == {*IMAGE_SIDE_MODULES}
    trained = {key for key, each in model.named_parameters() if each.requires_grad}
    assert trained == {key for key in before if key.split(".")[0] in IMAGE_SIDE_MODULES}


@pytest.mark.parametrize(
    "name", ["siglip_vision_model", *(pytest.param(name, marks=pytest.mark.slow) for name in ("dinov2", "vit"))]
)
def test_full_trains_what_reaches_the_features_and_only_that(name):
    model = set_trainable(tiny_model("mt5", vision_config=tiny_tower_config(name)), "full").train()
    assert not model.vision_model.get_parameter(IDLE[name]).requires_grad
    model(**tower_batch()).loss.backward()
    trained = {key: each for key, each in model.named_parameters() if each.requires_grad}
    assert sum(key.startswith("vision_model.") for key in trained) > 10
    assert [key for key, each in trained.items() if each.grad is None] == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"vision": "a"}, "found `vision`, expected either `name_or_path` or both `blip2`"),
        ({"vision": "a", "blip2": "b", "language_model": "c"}, "found `blip2` and `vision` and `language_model`"),
        ({"blip2": "b", "language_model": "c", "num_query_tokens": 4}, "`num_query_tokens` is for a new Q-Former"),
        (
            {"vision": "a", "qformer": "b", "language_model": "c", "qformer_config": {}},
            "`qformer_config` is for a new Q-Former",
        ),
    ],
)
def test_parts_that_make_no_composition_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        ModelRecipe(**given)


@pytest.mark.parametrize("weightless", [False, True])
def test_the_command_composes_another_tower_with_its_processor(weightless, tmp_path, capsys):
    write_components(tmp_path)
    write_tower(tmp_path)
    names = [str(tmp_path / name) for name in ("blip2", "language_model", "composed")]
    compose_command([*names, "--vision", str(tmp_path / "tower"), *(["--weightless"] if weightless else [])])
    said = capsys.readouterr().out
    assert f"from {tmp_path / 'tower'}\n" in said
    assert f"from {tmp_path / 'blip2'}, new cross-attention\n" in said
    model = MBlipForConditionalGeneration.from_pretrained(tmp_path / "composed")
    processor = MBlipProcessor.from_pretrained(tmp_path / "composed")
    assert type(processor.image_processor) is SiglipImageProcessorPil
    assert model.config.vision_config.model_type == "siglip_vision_model"
    assert (model.config.parents is None) != weightless


@pytest.mark.slow
def test_a_run_pretrains_a_new_qformer_re_aligns_and_leaves_a_model_and_an_adapter(tmp_path):
    write_components(tmp_path)
    write_tower(tmp_path)
    steps = {"max_steps": 4, "batch_size": 4, "learning_rate": 1e-3, "warmup_steps": 1}
    model = {"vision": str(tmp_path / "tower"), "language_model": str(tmp_path / "language_model")}
    recipe = write_recipe(
        tmp_path,
        model=model | {"num_query_tokens": 4, "qformer_config": QFORMER},
        stages=[{"stage": "pretrain", **steps}, {"stage": "re_alignment", **steps, "lora": {"r": 2}}],
    )
    train.main([str(recipe)])
    out = tmp_path / "out"
    card = (out / "model" / "README.md").read_text()
    assert "composed from two components" in card
    assert "with a new Q-Former and a random projection" in card
    assert "| pretrain | " in card
    whole = MBlipForConditionalGeneration.from_pretrained(out / "model")
    adapted = MBlipForConditionalGeneration.from_pretrained(out / "adapter")
    assert json.loads((out / "base" / "config.json").read_text())["parents"]["qformer"] is None
    processor = MBlipProcessor.from_pretrained(out / "model")
    assert type(processor.image_processor) is SiglipImageProcessorPil
    with torch.no_grad():
        batch = tower_batch()
        assert torch.allclose(whole(**batch).logits, adapted(**batch).logits, atol=1e-3)
