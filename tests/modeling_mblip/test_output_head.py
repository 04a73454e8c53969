"""Tails: known ones equal the model's own, an unknown one raises, and nothing is left hanging on the head."""

import pytest
import torch
from tiny import FAMILIES, tiny_batch, tiny_model

from modeling_mblip.output_head import apply_tail, output_head, stop_at_head


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
    with pytest.raises(ValueError, match="in a way that is not known here"):
        model(**batch)


def test_the_tail_is_checked_once_and_again_after_resizing():
    model, batch = tiny_model("gemma2").train(), tiny_batch("gemma2")
    assert not model.is_tail_checked
    model(**batch)
    assert model.is_tail_checked
    model.config.image_token_id = 1000
    model.resize_token_embeddings(120)
    assert not model.is_tail_checked


def test_softcapping_is_the_published_formula():
    model = tiny_model("gemma2")
    logits = torch.tensor([[0.0, 3.0, 30.0]])
    torch.testing.assert_close(apply_tail(model.language_model, logits), 3.0 * torch.tanh(logits / 3.0))


def test_granite_divides_and_hyperclovax_multiplies():
    logits = torch.ones(1, 4)
    assert apply_tail(tiny_model("granite").language_model, logits).tolist() == [[pytest.approx(1 / 3)] * 4]
    assert apply_tail(tiny_model("hyperclovax").language_model, logits).tolist() == [[3.0] * 4]


def test_no_hook_stays_on_the_head_even_after_an_error():
    head = output_head(tiny_model("mt5").language_model)
    with pytest.raises(RuntimeError, match="stopped"), stop_at_head(head, with_probe=True):
        raise RuntimeError("stopped")
    assert not head._forward_pre_hooks
    assert not head._forward_hooks
