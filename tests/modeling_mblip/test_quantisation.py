"""The language model in 8 bit and in nf4: what is quantised, saved and loaded again, trained and evaluated by turns.

The language models are 64 wide: 4-bit layers on a CPU want multiples of it.
"""

import logging

import bitsandbytes
import pytest
import torch
from peft import LoraConfig, PeftModel
from tiny import tiny_batch, tiny_blip2, tiny_model, tiny_text_config
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForSeq2SeqLM,
    BitsAndBytesConfig,
    GPTQConfig,
)

from mblip.training.trainable import LearningRates, linear_layers, parameter_groups, set_trainable
from modeling_mblip import MBlipForConditionalGeneration
from modeling_mblip.quantisation import sparing_the_image_side
from tests.tiny_towers import tiny_tower_config

WIDE = {
    "mt5": {"d_model": 64, "d_kv": 16, "d_ff": 128},
    "bloom": {"hidden_size": 64},
    "llama": {"hidden_size": 64, "intermediate_size": 128},
}
LAYERS = {"8bit": bitsandbytes.nn.Linear8bitLt, "nf4": bitsandbytes.nn.Linear4bit}
NO_DROPOUT = LoraConfig(lora_alpha=16)
RATES = LearningRates(projection=1e-2, qformer=1e-3, lora=1e-2)

every_family = pytest.mark.parametrize("family", WIDE)
both_bits = pytest.mark.parametrize("bits", LAYERS)


def in_bits(bits):
    if bits == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)


def wide_model(family):
    return tiny_model(family, seed=2, text_config=tiny_text_config(family, **WIDE[family]))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A whole model of each family, by family; and in `parents` its language model beside a BLIP-2."""
    root = tmp_path_factory.mktemp("models")
    tiny_blip2("t5", seed=1).save_pretrained(root / "blip2")
    for family in WIDE:
        model = wide_model(family)
        model.save_pretrained(root / family)
        model.language_model.save_pretrained(root / f"{family}_text")
    return root


def quantised(folders, family, bits):
    return MBlipForConditionalGeneration.from_pretrained(
        folders / family, quantization_config=in_bits(bits), dtype=torch.bfloat16
    )


def results(model, batch):
    prompts = {name: value for name, value in batch.items() if name != "labels"}
    with torch.no_grad():
        return model(**batch).logits, model.generate(**prompts, max_new_tokens=4, do_sample=False)


def assert_equal_results(found, expected):
    for tensor, wanted in zip(found, expected, strict=True):
        assert torch.equal(tensor, wanted)


def in_kind(kind, folders, family, bits, tmp_path):
    """A quantised model, as people come by one."""
    config, components = in_bits(bits), (folders / "blip2", folders / f"{family}_text")
    if kind == "composition":
        return MBlipForConditionalGeneration.from_blip2_pretrained(
            *components, quantization_config=config, dtype=torch.bfloat16
        )
    folder = folders / family
    if kind != "whole":
        folder = tmp_path / "weightless"
        MBlipForConditionalGeneration.from_blip2_pretrained(*components).save_composition(folder)
    if kind == "adapter":
        base = MBlipForConditionalGeneration.from_pretrained(folder)
        folder = tmp_path / "adapter"
        set_trainable(base, "re_alignment", NO_DROPOUT).save_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, quantization_config=config, dtype=torch.bfloat16)
    assert not config.llm_int8_skip_modules, "the configuration given was changed in place"
    return model


@both_bits
@pytest.mark.parametrize("kind", ["composition", "whole", "weightless", "adapter"])
@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_defect_6_only_the_language_model_is_quantised_and_not_its_head(family, kind, bits, folders, tmp_path):
    """FACTS.md: loading in 8 bit quantised ViT and Q-Former as well."""
    model = in_kind(kind, folders, family, bits, tmp_path)
    # transformers leaves T5's `wo` as it is, in every quantisation: its values are too large.
    expected = {name for name in linear_layers(wide_model(family)) if not name.endswith(".wo")}
    if kind == "adapter":
        expected = {f"{name}.base_layer" for name in expected}
    assert {name for name, module in model.named_modules() if isinstance(module, LAYERS[bits])} == expected


@both_bits
def test_another_tower_is_never_quantised(bits, tmp_path):
    text_config, tower = tiny_text_config("llama", **WIDE["llama"]), tiny_tower_config("siglip_vision_model")
    whole = tiny_model("llama", text_config=text_config, vision_config=tower)
    whole.save_pretrained(tmp_path)
    model = MBlipForConditionalGeneration.from_pretrained(
        tmp_path, quantization_config=in_bits(bits), dtype=torch.bfloat16
    )
    changed = {name for name, module in model.named_modules() if isinstance(module, LAYERS[bits])}
    assert changed == set(linear_layers(whole))
    for name, weights in whole.vision_model.state_dict().items():
        assert torch.equal(model.vision_model.state_dict()[name], weights.to(torch.bfloat16)), name


@both_bits
@every_family
def test_what_is_not_quantised_keeps_its_dtype(family, bits, folders):
    model = quantised(folders, family, bits)
    for part, dtype in (
        (model.vision_model, torch.bfloat16),
        (model.query_tokens, torch.float32),
        (model.qformer, torch.float32),
        (model.language_projection, torch.float32),
        (model.language_model.get_output_embeddings(), torch.bfloat16),
    ):
        assert {parameter.dtype for parameter in part.parameters()} == {dtype}


@both_bits
@every_family
def test_it_answers_about_as_the_model_that_is_not_quantised(family, bits, folders):
    batch = tiny_batch(family)
    whole = MBlipForConditionalGeneration.from_pretrained(folders / family, dtype=torch.bfloat16)
    expected, found = results(whole, batch)[0].float(), results(quantised(folders, family, bits), batch)[0].float()
    assert not torch.equal(found, expected)
    assert torch.cosine_similarity(found.flatten(), expected.flatten(), dim=0) > (0.999 if bits == "8bit" else 0.95)


@both_bits
@every_family
@pytest.mark.parametrize("kind", ["whole", "composition"])
def test_saved_and_loaded_again_it_is_quantised_and_gives_equal_results(kind, family, bits, folders, tmp_path):
    model, batch = in_kind(kind, folders, family, bits, tmp_path), tiny_batch(family)
    expected = results(model, batch)
    model.save_pretrained(tmp_path / "saved")
    again = MBlipForConditionalGeneration.from_pretrained(tmp_path / "saved")
    assert_equal_results(results(again, batch), expected)
    names = {name for name, module in model.named_modules() if isinstance(module, LAYERS[bits])}
    assert {name for name, module in again.named_modules() if isinstance(module, LAYERS[bits])} == names
    assert_equal_results(results(model, batch), expected)


@both_bits
@pytest.mark.parametrize("family", ["mt5", "llama"])
def test_a_language_model_that_is_quantised_already_is_composed_as_it_is(family, bits, folders, tmp_path):
    """Its own configuration spares no image side, which has to be there when the composition is loaded again."""
    auto_class = AutoModelForSeq2SeqLM if family == "mt5" else AutoModelForCausalLM
    in_few_bits = auto_class.from_pretrained(
        folders / f"{family}_text", quantization_config=in_bits(bits), dtype=torch.bfloat16
    )
    in_few_bits.save_pretrained(tmp_path / "text")
    model = MBlipForConditionalGeneration.from_blip2_pretrained(folders / "blip2", tmp_path / "text")
    model.save_pretrained(tmp_path / "saved")
    again = MBlipForConditionalGeneration.from_pretrained(tmp_path / "saved")
    names = {name for name, module in model.named_modules() if isinstance(module, LAYERS[bits])}
    assert names
    assert {name for name, module in again.named_modules() if isinstance(module, LAYERS[bits])} == names
    batch = tiny_batch(family)
    assert_equal_results(results(again, batch), results(model, batch))


def test_a_configuration_may_come_as_a_dict(folders):
    model = MBlipForConditionalGeneration.from_pretrained(
        folders / "llama", quantization_config=in_bits("nf4").to_dict(), dtype=torch.bfloat16
    )
    assert isinstance(model.language_model.model.layers[0].mlp.up_proj, LAYERS["nf4"])
    assert {type(module) for module in model.qformer.modules() if isinstance(module, torch.nn.Linear)} == {
        torch.nn.Linear
    }


@both_bits
def test_a_language_model_of_which_nothing_can_be_quantised_is_refused(bits, tmp_path):
    """Falcon's linear layers are of a class of its own, which transformers skips."""
    falcon = AutoConfig.for_model("falcon", vocab_size=128, hidden_size=64, num_hidden_layers=1, num_attention_heads=4)
    tiny_model("llama", text_config=falcon).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"No layer of FalconForCausalLM is quantised.*Leave out"):
        MBlipForConditionalGeneration.from_pretrained(tmp_path, quantization_config=in_bits(bits))


def train(model, batch, *, num_steps=4, evaluates):
    """The losses, and what the model gives after training."""
    adapted = set_trainable(model, "re_alignment", NO_DROPOUT)
    optimizer = torch.optim.AdamW(parameter_groups(adapted, RATES, weight_decay=0.0))
    losses = []
    for _ in range(num_steps):
        loss = adapted.train()(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if evaluates:
            results(adapted.eval(), batch)
    return losses, results(adapted.eval(), batch)


@pytest.mark.slow
@both_bits
@every_family
def test_evaluation_in_between_does_not_change_training(family, bits, folders):
    """In nf4 on a CPU with AVX512-BF16, an evaluation packs the weights anew, and what trains behind it goes wrong."""
    batch = tiny_batch(family)
    torch.manual_seed(0)
    losses, expected = train(quantised(folders, family, bits), batch, evaluates=False)
    torch.manual_seed(0)
    losses_between, found = train(quantised(folders, family, bits), batch, evaluates=True)
    assert losses_between == losses
    assert losses[-1] < losses[0]
    assert_equal_results(found, expected)


@pytest.mark.slow
@both_bits
def test_an_adapter_trained_on_a_quantised_model_comes_back_on_it(bits, folders, tmp_path):
    batch = tiny_batch("mt5")
    model = quantised(folders, "mt5", bits)
    adapted = set_trainable(model, "re_alignment", NO_DROPOUT)
    optimizer = torch.optim.AdamW(parameter_groups(adapted, RATES, weight_decay=0.0))
    adapted.train()(**batch).loss.backward()
    optimizer.step()
    expected = results(adapted.eval(), batch)
    adapted.save_pretrained(tmp_path / "adapter")
    assert_equal_results(
        results(PeftModel.from_pretrained(quantised(folders, "mt5", bits), tmp_path / "adapter").eval(), batch),
        expected,
    )
    through_auto = AutoModelForImageTextToText.from_pretrained(
        tmp_path / "adapter", quantization_config=in_bits(bits), dtype=torch.bfloat16
    )
    # transformers' `load_adapter` holds LoRA in the base's dtype, PEFT in fp32.
    found = results(through_auto, batch)[0].float()
    assert torch.cosine_similarity(found.flatten(), expected[0].float().flatten(), dim=0) > 0.999


def test_8_bit_products_do_not_log_that_they_cast_their_input(folders, caplog):
    model = quantised(folders, "mt5", "8bit")
    upstream = logging.getLogger("bitsandbytes.autograd._functions")
    with caplog.at_level(logging.WARNING, upstream.name):
        results(model, tiny_batch("mt5"))
        assert caplog.messages == []
        upstream.warning("something else")
    assert caplog.messages == ["something else"]


def test_a_quantisation_without_a_list_of_what_to_spare_is_refused():
    with pytest.raises(ValueError, match=r"GPTQConfig has none of .* Use `BitsAndBytesConfig`"):
        sparing_the_image_side(GPTQConfig(bits=4), tiny_text_config("mt5"))
