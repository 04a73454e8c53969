"""Tails: known ones equal the model's own, an unknown one raises, and nothing is left hanging on the head."""

import pytest
import torch
from tiny import FAMILIES, tiny_batch, tiny_model
from transformers import AutoConfig

from modeling_mblip.label_loss import apply_tail, output_head, stop_at_head


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_without_logits_equals_the_loss_from_the_models_own_logits(family):
    model, batch = tiny_model(family), tiny_batch(family)
    with torch.no_grad():
        expected = model(**batch, skip_logits=False)
        out = model(**batch, skip_logits=True)
    assert out.logits is None
    assert expected.logits is not None
    torch.testing.assert_close(out.loss, expected.loss, rtol=1e-5, atol=1e-5)


def test_an_unknown_tail_is_an_error_in_training(monkeypatch):
    model, batch = tiny_model("llama").train(), tiny_batch("llama")
    forward = type(model.language_model).forward

    def with_unknown_tail(self, *args, **kwargs):
        outputs = forward(self, *args, **kwargs)
        outputs.logits = outputs.logits * 1.5
        return outputs

    monkeypatch.setattr(type(model.language_model), "forward", with_unknown_tail)
    with pytest.raises(ValueError, match=r"LlamaForCausalLM \(llama\) changes the output of its head"):
        model(**batch)
    assert model(**batch, skip_logits=False).loss.requires_grad


@pytest.mark.parametrize("change", ["add", "cap", "drop a word"])
def test_unknown_tails_of_any_kind_are_seen_by_the_probe(monkeypatch, change):
    model, batch = tiny_model("bloom").train(), tiny_batch("bloom")
    tails = {"add": lambda x: x + 0.1, "cap": lambda x: 30 * torch.tanh(x / 30), "drop a word": lambda x: x[..., :-1]}
    forward = type(model.language_model).forward

    def with_unknown_tail(self, *args, **kwargs):
        outputs = forward(self, *args, **kwargs)
        outputs.logits = tails[change](outputs.logits)
        return outputs

    monkeypatch.setattr(type(model.language_model), "forward", with_unknown_tail)
    with pytest.raises(ValueError, match="in a way that `apply_tail` does not know"):
        model(**batch)


def test_the_tail_is_checked_once_and_again_after_resizing():
    model, batch = tiny_model("gemma2").train(), tiny_batch("gemma2")
    assert model.scaling_power is None
    model(**batch)
    assert model.scaling_power is not None
    model.config.image_token_id = 1000
    model.resize_token_embeddings(120)
    assert model.scaling_power is None


def test_softcapping_is_the_published_formula():
    model = tiny_model("gemma2")
    logits = torch.tensor([[0.0, 3.0, 30.0]])
    torch.testing.assert_close(apply_tail(model.language_model, logits, 0), 3.0 * torch.tanh(logits / 3.0))


@pytest.mark.parametrize(("family", "power"), [("granite", -1), ("hyperclovax", 1), ("minicpm3", 0)])
def test_what_logits_scaling_does_is_read_off_the_model(family, power):
    """Granite divides by it, HyperCLOVA X multiplies by it, MiniCPM3 has used it before its head."""
    shapes = {"q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8}
    changes = {} if family in FAMILIES else {"num_key_value_heads": 4, "dim_model_base": 16} | shapes
    text_config = AutoConfig.for_model(family, **(FAMILIES.get(family, FAMILIES["llama"]) | changes))
    model, batch = tiny_model(text_config=text_config).train(), tiny_batch("llama")
    loss = model(**batch).loss
    assert model.scaling_power == power
    torch.testing.assert_close(loss, model(**batch, skip_logits=False).loss)
    logits, scaling = torch.ones(1, 4), text_config.logits_scaling
    assert apply_tail(model.language_model, logits, power).tolist() == [[pytest.approx(scaling**power)] * 4]


def test_hidden_states_of_several_streams_are_refused():
    """ProphetNet's head sees all its n-gram streams at once, (B, n, T, D)."""
    head = output_head(tiny_model("mt5").language_model)
    message = r"shape \(1, 2, 5, 32\), expected \(prompts, tokens, width\)"
    with pytest.raises(ValueError, match=message), stop_at_head(head, with_probe=True):
        head(torch.zeros(1, 2, 5, 32))


def test_no_hook_stays_on_the_head_even_after_an_error():
    head = output_head(tiny_model("mt5").language_model)
    with pytest.raises(RuntimeError, match="stopped"), stop_at_head(head, with_probe=True):
        raise RuntimeError("stopped")
    assert not head._forward_pre_hooks
    assert not head._forward_hooks
