"""What the forward pass never reaches is not trained: DistributedDataParallel would wait for its gradient."""

import logging
import re

import pytest
import torch
from peft import LoraConfig
from transformers import Blip2Config, Blip2ForImageTextRetrieval

from mblip.data import MBlipCollator
from mblip.training.trainable import has_separate_experts, linear_layers, set_trainable
from modeling_mblip import MBlipForConditionalGeneration
from tests.tiny import (
    FAMILIES,
    NUM_QUERY_TOKENS,
    QFORMER,
    VISION,
    enliven,
    tiny_batch,
    tiny_model,
    tiny_processor,
    tiny_text_config,
    tiny_tokenizer,
)
from tests.training.tiny_run import torchrun, write_components, write_recipe

TOWERS = r"vision_tower|projector|embed_tokens_extend"
LORA = LoraConfig(r=2, init_lora_weights=False)


def without_gradient(model, stage: str, family: str) -> list[str]:
    """The parameters that train, but get no gradient from a batch."""
    model = set_trainable(model, stage, LORA if stage == "re_alignment" else None).train()
    model(**tiny_batch(family)).loss.backward()
    trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
    assert trained
    return [name for name, each in trained.items() if each.grad is None]


@pytest.mark.parametrize("stage", ["re_alignment", "full"])
@pytest.mark.parametrize("family", ["gemma3", "t5gemma2", "phi4_multimodal", "llama4_text", "mamba", "marian"])
def test_all_that_trains_gets_a_gradient(family, stage):
    assert without_gradient(tiny_model(family), stage, family) == []


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["re_alignment", "full"])
@pytest.mark.parametrize("family", FAMILIES)
def test_all_that_trains_gets_a_gradient_in_every_family(family, stage):
    assert without_gradient(tiny_model(family), stage, family) == []


@pytest.mark.parametrize("family", ["gemma3", "t5gemma2", "phi4_multimodal"])
def test_a_tower_of_the_language_model_is_neither_built_nor_loaded_nor_saved(family, tmp_path):
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    config = tiny_text_config(family)
    published = (AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM).from_config(config)
    towers = [name for name in published.state_dict() if re.search(TOWERS, name)]
    assert towers
    published.save_pretrained(tmp_path / "language_model")
    tiny_tokenizer().save_pretrained(tmp_path / "language_model")
    tiny_model("t5").save_pretrained(tmp_path / "blip2")
    tiny_processor("t5").save_pretrained(tmp_path / "blip2")
    model = MBlipForConditionalGeneration.from_blip2_pretrained(tmp_path / "blip2", tmp_path / "language_model")
    assert not [name for name in model.state_dict() if re.search(TOWERS, name)]
    older = {f"language_model.{name}": torch.zeros(2) for name in towers}  # a checkpoint that has their weights
    model.save_pretrained(tmp_path / "model", state_dict=model.state_dict() | older)
    again, told = MBlipForConditionalGeneration.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert (told["unexpected_keys"], told["missing_keys"]) == (set(), set())
    batch = tiny_batch(family)
    with torch.no_grad():
        assert torch.equal(again(**batch).logits, model.eval()(**batch).logits)


def test_the_text_branch_of_a_ranking_qformer_is_neither_built_nor_trained(tmp_path):
    donor = Blip2ForImageTextRetrieval(
        Blip2Config(
            vision_config=dict(VISION),
            qformer_config=QFORMER | {"use_qformer_text_input": True},
            text_config=tiny_text_config("opt"),
            num_query_tokens=NUM_QUERY_TOKENS,
            image_token_index=127,
        )
    )
    enliven(donor)
    donor.save_pretrained(tmp_path / "blip2")
    tiny_processor("opt").save_pretrained(tmp_path / "blip2")
    tiny_model("llama").language_model.save_pretrained(tmp_path / "language_model")
    tiny_tokenizer(100).save_pretrained(tmp_path / "language_model")
    model = MBlipForConditionalGeneration.from_blip2_pretrained(tmp_path / "blip2", tmp_path / "language_model")
    layers = model.qformer.encoder.layer
    assert not any(hasattr(layer, "intermediate") for layer in layers)
    assert torch.equal(
        layers[0].intermediate_query.dense.weight, donor.qformer.encoder.layer[0].intermediate_query.dense.weight
    )
    batch = tiny_batch("llama", image_token_id=100)
    model = set_trainable(model, "re_alignment", LORA).train()
    model(**batch).loss.backward()
    assert not [name for name, each in model.named_parameters() if each.requires_grad and each.grad is None]


def test_layers_that_cannot_take_lora_are_left_out_and_named(caplog):
    model = tiny_model("llama4_text")
    with caplog.at_level(logging.INFO, logger="mblip.training.trainable"):
        layers = linear_layers(model)
    assert "LoRA leaves out router: Llama4Router is no plain linear layer." in caplog.messages
    assert not [name for name in layers if name.endswith("router")]
    assert "language_model.model.layers.0.self_attn.q_proj" in layers


def test_a_recipe_leaves_out_more_layers():
    narrowed = LoraConfig(exclude_modules=["q_proj", "v_proj"])
    adapted = set_trainable(tiny_model("llama"), "re_alignment", narrowed)
    targets = adapted.peft_config["default"].target_modules
    assert not [name for name in targets if name.endswith(("q_proj", "v_proj"))]
    assert any(name.endswith("k_proj") for name in targets)


@pytest.mark.parametrize("family", ["t5gemma", "t5gemma2"])
def test_a_family_without_start_token_starts_with_its_decoders_first(family):
    model = tiny_model(family)
    assert getattr(model.config.text_config, "decoder_start_token_id", None) is None
    assert model.config.decoder_start_token_id == model.config.text_config.decoder.bos_token_id == 1
    MBlipCollator(tiny_processor("t5gemma"), model.config)
    batch = tiny_batch(family)
    assert model.prepare_decoder_input_ids_from_labels(batch["labels"])[:, 0].tolist() == [1, 1, 1]
    labels = batch.pop("labels")
    tokens = model.generate(**batch, max_new_tokens=3, do_sample=False)
    assert tokens.shape[0] == len(labels)
    assert tokens[:, 0].tolist() == [1, 1, 1]


def test_experts_that_are_modules_may_be_unreached():
    assert has_separate_experts(tiny_model("nllb-moe"))
    assert not has_separate_experts(tiny_model("llama4_text"))


@pytest.mark.slow
def test_two_processes_train_experts_that_one_of_them_skips(tmp_path):
    """Without a search for unused parameters, DistributedDataParallel ends the second step with an error."""
    write_components(tmp_path, "nllb-moe")
    stage = {"stage": "re_alignment", "max_steps": 4, "batch_size": 4, "learning_rate": 1e-3, "lora": {"r": 2}}
    recipe = write_recipe(tmp_path, stages=[stage])
    told = torchrun(2, str(recipe))
    assert (tmp_path / "out" / "model" / "model.safetensors").is_file(), told.stderr[-2000:]
