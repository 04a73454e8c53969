"""Composing another image encoder, a Q-Former and a language model from their folders."""

import json
import logging
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    CLIPConfig,
    CLIPModel,
    Siglip2Config,
    SiglipConfig,
    SiglipModel,
    ViTForImageClassification,
)

from modeling_mblip import MBlipForConditionalGeneration
from tests.tiny import NUM_QUERY_TOKENS, QFORMER, tiny_blip2, tiny_tokenizer
from tests.tiny_towers import TOWERS, tiny_tower_config, tower_batch

compose = MBlipForConditionalGeneration.from_sub_models_pretrained
NEW_QFORMER = {"qformer_config": dict(QFORMER), "num_query_tokens": NUM_QUERY_TOKENS}
TEXT = {"hidden_size": 24, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 9}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("components")
    torch.manual_seed(0)
    tiny_blip2("t5").save_pretrained(folder / "blip2")
    tiny_blip2("mt5").language_model.save_pretrained(folder / "text")
    tiny_tokenizer().save_pretrained(folder / "text")
    for name in TOWERS:
        AutoModel.from_config(tiny_tower_config(name)).save_pretrained(folder / name)
    for name, whole, config in (("clip", CLIPModel, CLIPConfig), ("siglip", SiglipModel, SiglipConfig)):
        vision = tiny_tower_config(f"{name}_vision_model").to_dict()
        whole(config(vision_config=vision, text_config=TEXT)).save_pretrained(folder / name)
    ViTForImageClassification(tiny_tower_config("vit")).save_pretrained(folder / "vit")
    return folder


def from_blip2(model, folder, part: str) -> dict[str, torch.Tensor]:
    blip2 = MBlipForConditionalGeneration.from_pretrained(folder / "blip2")
    return {key: value for key, value in blip2.state_dict().items() if key.startswith(part)}


IN_SLOW_TESTS = ("siglip_vision_model", "clip_vision_model", "dinov2", "dinov3_convnext", "siglip")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in IN_SLOW_TESTS else [])
        for name in (*TOWERS, "clip", "siglip", "vit")
    ],
)
def test_a_tower_of_a_folder_keeps_its_weights_and_the_qformer_is_new(name, folder):
    model = compose(folder / name, None, folder / "text", **NEW_QFORMER)
    wanted = AutoModel.from_pretrained(folder / name).state_dict()
    if name in ("clip", "siglip"):
        wanted = AutoModel.from_pretrained(folder / name).vision_model.state_dict()
    found = model.vision_model.state_dict()
    assert found
    idle = {key for key in found if name == "vit" and key.startswith("pooler")}  # which a classifier lacks
    assert {key for key in found if not torch.equal(found[key], wanted[key])} <= idle
    assert model.config.parents == {
        "vision": str(folder / name),
        "vision_revision": None,
        "qformer": None,
        "qformer_revision": None,
        "language_model": str(folder / "text"),
        "language_model_revision": None,
        "projection": "random",
        "cross_attention": "random",
    }
    assert all(each.dtype == torch.float32 and each.isfinite().all() for each in model.parameters())
    assert model(**tower_batch()).loss.isfinite()


def test_a_qformer_of_a_blip2_is_kept_but_for_what_reads_another_tower(folder):
    model = compose(folder / "dinov2", folder / "blip2", folder / "text")
    blip2, found = from_blip2(model, folder, ("qformer.", "query_tokens.")), model.state_dict()
    changed = {key for key, value in blip2.items() if not torch.equal(found[key], value)}
    assert changed == {
        f"qformer.encoder.layer.{layer}.crossattention.attention.{name}.{kind}"
        for layer in (0, 1)
        for name in ("key", "value")
        for kind in ("weight", "bias")
    }
    kept = compose(folder / "dinov2", folder / "blip2", folder / "text", cross_attention="blip2").state_dict()
    assert all(torch.equal(kept[key], value) for key, value in blip2.items())
    assert model.config.parents["qformer"] == str(folder / "blip2")


def test_the_short_form_is_the_same_composition(folder):
    torch.manual_seed(1)
    short = MBlipForConditionalGeneration.from_blip2_pretrained(folder / "blip2", folder / "text")
    torch.manual_seed(1)
    model = compose(folder / "blip2", folder / "blip2", folder / "text")
    assert model.config.to_dict() == short.config.to_dict()
    assert all(torch.equal(value, short.state_dict()[key]) for key, value in model.state_dict().items())
    assert model.config.parents == {
        "blip2": str(folder / "blip2"),
        "blip2_revision": None,
        "language_model": str(folder / "text"),
        "language_model_revision": None,
        "projection": "random",
    }


@pytest.mark.parametrize("name", [pytest.param("clip_vision_model", marks=pytest.mark.slow), "dinov3_vit"])
def test_a_composed_model_gives_its_tower_to_another(name, folder, tmp_path):
    first = compose(folder / name, None, folder / "text", **NEW_QFORMER)
    first.save_pretrained(tmp_path / "first")
    second = compose(tmp_path / "first", tmp_path / "first", folder / "text", projection="blip2")
    batch = tower_batch()
    with torch.no_grad():
        assert torch.equal(first(**batch).logits, second(**batch).logits)


@pytest.mark.parametrize("qformer", [None, "blip2"])
def test_a_base_without_weights_composes_again(qformer, folder, tmp_path):
    new = NEW_QFORMER if qformer is None else {}
    model = compose(folder / "siglip", qformer and folder / qformer, folder / "text", **new)
    model.save_composition(tmp_path / "base")
    again = MBlipForConditionalGeneration.from_pretrained(tmp_path / "base")
    assert json.loads((tmp_path / "base" / "config.json").read_text())["parents"] == model.config.parents
    assert again.config.qformer_config.to_dict() == model.config.qformer_config.to_dict()
    vision = model.vision_model.state_dict()
    assert all(torch.equal(value, vision[key]) for key, value in again.vision_model.state_dict().items())


def test_the_tower_takes_the_language_models_dtype(folder):
    model = compose(folder / "siglip", None, folder / "text", dtype=torch.bfloat16, **NEW_QFORMER)
    assert {each.dtype for each in model.vision_model.parameters()} == {torch.bfloat16}
    assert {each.dtype for each in model.qformer.parameters()} == {torch.float32}
    assert model(**tower_batch()).loss.isfinite()


@pytest.mark.parametrize(
    ("vision", "qformer", "changes", "message"),
    [
        ("text", None, {}, "type 'mt5' does not encode images .*: it takes text"),
        ("vit", "vit", {}, "vit is a checkpoint of type 'vit', expected BLIP-2's layout"),
        ("vit", None, {"projection": "blip2"}, '`projection` is "blip2", but `qformer` is None'),
        ("vit", None, {"cross_attention": "kept"}, "`cross_attention` is 'kept', expected"),
        ("vit", "blip2", {"num_query_tokens": 8}, "`num_query_tokens` is that of .*blip2"),
        ("own_tower", "blip2", {"cross_attention": "blip2"}, r"has shape \(16, 24\), expected \(16, 20\)"),
        ("naflex", None, {}, "NaFlex variant"),
        ("torn", None, {}, "torn lacks 2 weights of its image encoder, such as 'norm.running_mean'"),
    ],
)
def test_what_cannot_be_composed_is_named(vision, qformer, changes, message, folder, tmp_path):
    Siglip2Config().save_pretrained(folder / "naflex")
    own = AutoModel.from_config(tiny_tower_config("own_tower"))
    weights = {key: value for key, value in own.state_dict().items() if "running" not in key}
    own.save_pretrained(folder / "torn", state_dict=weights)
    with pytest.raises(ValueError, match=message):
        compose(folder / vision, qformer and folder / qformer, folder / "text", **changes)


def test_the_log_says_where_each_part_came_from_and_what_is_random(folder, caplog):
    from transformers.utils import logging as logging_of_transformers

    logging_of_transformers.set_verbosity_info()
    logging_of_transformers.enable_propagation()
    try:
        with caplog.at_level(logging.INFO):
            compose(folder / "clip", folder / "blip2", folder / "text")
    finally:
        logging_of_transformers.disable_propagation()
        logging_of_transformers.set_verbosity_warning()
    assert f"Components(vision='{folder / 'clip'}', qformer='{folder / 'blip2'}', language_model=" in caplog.text
    assert "random, wholly or in part, are qformer, language_projection. " in caplog.text
    assert "UNEXPECTED" not in caplog.text


def test_a_language_model_that_lacks_a_weight_is_reported_though_it_has_others(folder, tmp_path, caplog, monkeypatch):
    shutil.copytree(folder / "text", tmp_path / "text")
    weights = load_file(tmp_path / "text" / "model.safetensors")
    weights["another.weight"] = weights.pop("encoder.final_layer_norm.weight")
    save_file(weights, tmp_path / "text" / "model.safetensors", metadata={"format": "pt"})
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    compose(folder / "blip2", folder / "blip2", tmp_path / "text")
    assert "encoder.final_layer_norm.weight" in caplog.text
