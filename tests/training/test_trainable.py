"""What trains: exactly what a stage names, in fp32, saved whole, and counted at the published shapes."""

import pytest
import torch
from peft import LoraConfig
from safetensors import safe_open
from tiny import DECODER_ONLY, FAMILIES, tiny_batch, tiny_model
from torch import nn
from transformers import AutoConfig

from mblip.training.trainable import (
    STAGES,
    LearningRates,
    count_trainable,
    linear_layers,
    parameter_groups,
    set_trainable,
)
from modeling_mblip import MBlipConfig, MBlipForConditionalGeneration

NO_DROPOUT = LoraConfig(lora_alpha=16)
RATES = LearningRates(projection=1e-2, qformer=1e-3, lora=1e-4)


def train_one_step(model, batch):
    optimizer = torch.optim.AdamW(parameter_groups(model, RATES, weight_decay=0.1))
    model.train()
    model(**batch).loss.backward()
    optimizer.step()
    model.eval()


def state(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_warm_up_moves_the_projection_and_nothing_else(family):
    model = set_trainable(tiny_model(family), "warm_up")
    before = state(model)
    train_one_step(model, tiny_batch(family))
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == {"language_projection.weight", "language_projection.bias"}


@pytest.mark.parametrize("family", ["mt5", "bloom", "gpt2"])
def test_re_alignment_moves_what_trains_and_leaves_every_other_bit(family):
    model = set_trainable(tiny_model(family), "re_alignment", NO_DROPOUT)
    before = state(model)
    for _ in range(2):  # LoRA's second factor starts at zero, so the first has no gradient in the first step
        train_one_step(model, tiny_batch(family))
    for name, parameter in model.named_parameters():
        is_moved = not torch.equal(parameter, before[name])
        assert is_moved == parameter.requires_grad, name
        is_of_a_kind = "lora_" in name or "modules_to_save" in name
        assert parameter.requires_grad == is_of_a_kind, name


@pytest.mark.parametrize("family", FAMILIES)
def test_every_linear_layer_but_the_head_gets_an_adapter(family):
    model = tiny_model(family)
    names = set(linear_layers(model))
    head = model.get_output_embeddings()
    adapted = set_trainable(model, "re_alignment", NO_DROPOUT)
    found = {
        name.removeprefix("base_model.model.").removesuffix(".lora_A")
        for name, _ in adapted.named_modules()
        if name.endswith(".lora_A")
    }
    assert found == names
    assert adapted.base_model.model.get_output_embeddings() is head


@pytest.mark.parametrize("family", ["mt5", "bloom", "gemma2"])
def test_an_adapter_holds_what_trains_and_nothing_else_and_comes_back_equal(family, tmp_path):
    from peft import PeftModel

    batch = tiny_batch(family)
    tiny_model(family).save_pretrained(tmp_path / "base")
    model = MBlipForConditionalGeneration.from_pretrained(tmp_path / "base")
    adapted = set_trainable(model, "re_alignment", NO_DROPOUT)
    train_one_step(adapted, batch)
    with torch.no_grad():
        expected = adapted(**batch).logits
    adapted.save_pretrained(tmp_path / "adapter")
    with safe_open(tmp_path / "adapter" / "adapter_model.safetensors", framework="pt") as file:
        sizes = [file.get_tensor(key).numel() for key in file.keys()]  # noqa: SIM118 (no mapping)
    assert sum(sizes) == count_trainable(adapted)
    base = MBlipForConditionalGeneration.from_pretrained(tmp_path / "base")
    loaded = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(**batch).logits, expected, rtol=0, atol=0)
    prompts = {name: value for name, value in batch.items() if name != "labels"}
    assert torch.equal(
        loaded.generate(**prompts, max_new_tokens=4, do_sample=False),
        adapted.generate(**prompts, max_new_tokens=4, do_sample=False),
    )


@pytest.mark.parametrize("stage", ["warm_up", "re_alignment"])
def test_what_trains_is_fp32_whatever_the_rest_is(stage):
    model = set_trainable(tiny_model("mt5").to(torch.bfloat16), stage)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.dtype == torch.float32, name
        elif "language_model" in name:
            assert parameter.dtype == torch.bfloat16, name


def test_lora_on_the_head_gets_its_gradients_from_the_chunked_loss():
    from peft import LoraConfig, get_peft_model

    model, batch = tiny_model("bloom"), tiny_batch("bloom")
    adapted = get_peft_model(model, LoraConfig(target_modules=["lm_head"], init_lora_weights=False))
    adapted.train()
    adapted(**batch, skip_logits=False).loss.backward()
    expected = {name: p.grad.clone() for name, p in adapted.named_parameters() if p.requires_grad}
    adapted.zero_grad()
    adapted(**batch).loss.backward()
    assert len(expected) == 2
    for name, gradient in expected.items():
        torch.testing.assert_close(adapted.get_parameter(name).grad, gradient)


def test_groups_have_a_rate_per_kind_and_no_decay_on_vectors():
    model = set_trainable(tiny_model("mt5"), "re_alignment")
    groups = {group["name"]: group for group in parameter_groups(model, RATES, weight_decay=0.1)}
    rates = {name: (group["lr"], group["weight_decay"]) for name, group in groups.items()}
    assert rates == {
        "projection": (1e-2, 0.1),
        "projection, no decay": (1e-2, 0.0),
        "qformer": (1e-3, 0.1),
        "qformer, no decay": (1e-3, 0.0),
        "lora": (1e-4, 0.1),
    }
    vectors = groups["projection, no decay"]["params"] + groups["qformer, no decay"]["params"]
    assert {parameter.ndim for parameter in vectors} == {1}
    assert sum(parameter.numel() for group in groups.values() for parameter in group["params"]) == count_trainable(
        model
    )


def test_a_parameter_without_a_rate_is_an_error():
    model = tiny_model("mt5").requires_grad_(True)
    with pytest.raises(ValueError, match=r"`vision_model\.\S+` trains, but learning rates are for"):
        parameter_groups(model, RATES, weight_decay=0.1)


def test_full_trains_everything_with_one_more_rate():
    model = set_trainable(tiny_model("mt5"), "full")
    rates = LearningRates(projection=1e-2, qformer=1e-2, lora=0.0, rest=1e-3)
    groups = {group["name"]: group for group in parameter_groups(model, rates, weight_decay=0.1)}
    assert groups["rest"]["lr"] == 1e-3
    trained = sum(parameter.numel() for group in groups.values() for parameter in group["params"])
    assert trained == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("stage", STAGES)
def test_a_batch_without_an_image_gives_everything_that_trains_of_the_image_side_a_gradient_of_zero(stage):
    model = set_trainable(tiny_model("mt5"), stage).train()
    batch = {name: value for name, value in tiny_batch("mt5").items() if name != "pixel_values"}
    batch["input_ids"], batch["attention_mask"] = batch["input_ids"][:, -6:], batch["attention_mask"][:, -6:]
    model(**batch).loss.backward()
    image_side = [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and "language_model" not in name
    ]
    assert image_side
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in image_side)


def test_an_unknown_stage_and_lora_in_warm_up_are_errors():
    with pytest.raises(ValueError, match="`stage` is 'both', expected one of warm_up, re_alignment"):
        set_trainable(tiny_model("mt5"), "both")
    with pytest.raises(ValueError, match='The stage "warm_up" has no LoRA'):
        set_trainable(tiny_model("mt5"), "warm_up", LoraConfig())


def text_config(name):
    """The shapes of the published language models, from their configurations."""
    if name == "mt0-xl":
        shape = {"d_model": 2048, "d_kv": 64, "d_ff": 5120, "num_layers": 24, "num_heads": 32, "vocab_size": 250112}
        return AutoConfig.for_model("mt5", **shape, feed_forward_proj="gated-gelu", pad_token_id=0, eos_token_id=1)
    return AutoConfig.for_model("bloom", hidden_size=4096, n_layer=30, n_head=32, vocab_size=250880)


@pytest.mark.parametrize(("name", "num_parameters"), [("mt0-xl", 124_431_872), ("bloomz-7b1", 124_040_704)])
def test_exactly_the_published_number_of_parameters_trains(name, num_parameters):
    with torch.device("meta"):
        model = MBlipForConditionalGeneration(MBlipConfig(text_config=text_config(name)))
        adapted = set_trainable(model, "re_alignment")
    assert count_trainable(adapted) == num_parameters


@pytest.mark.parametrize(("name", "num_parameters"), [("mt0-xl", 1_574_912), ("bloomz-7b1", 3_149_824)])
def test_the_warm_up_trains_the_projection_alone(name, num_parameters):
    with torch.device("meta"):
        model = MBlipForConditionalGeneration(MBlipConfig(text_config=text_config(name)))
    assert count_trainable(set_trainable(model, "warm_up")) == num_parameters


def test_families_have_linear_layers_to_adapt():
    assert DECODER_ONLY
    for family in DECODER_ONLY:
        assert all(isinstance(layer, nn.Module) for layer in linear_layers(tiny_model(family)).values())


@pytest.mark.parametrize("family", ["mt5", "t5", "umt5"])
@pytest.mark.parametrize("way", ["own dtype", "autocast"])
def test_t5_and_its_heirs_are_not_trained_in_fp16(family, way):
    model = tiny_model(family).train()
    if way == "own dtype":
        model.language_model.half()
    with (
        torch.autocast("cpu", torch.float16, enabled=way == "autocast"),
        pytest.raises(ValueError, match=rf"trained in float16 \(.*{way}\): its values overflow. Use"),
    ):
        model(**tiny_batch(family))


def test_fp16_is_refused_in_training_alone_and_to_those_alone_that_overflow():
    batch = tiny_batch("mt5")
    with torch.autocast("cpu", torch.float16):
        assert tiny_model("bloom").train()(**tiny_batch("bloom")).loss.isfinite()
        assert tiny_model("mt5").eval()(**batch).loss.isfinite()
    with torch.autocast("cpu", torch.bfloat16):
        assert tiny_model("mt5").train()(**batch).loss.isfinite()
