"""The model without its language model's head, from which other people's losses start."""

import copy

import pytest
import torch
from tiny import DECODER_ONLY, IMAGE_TOKEN_ID, tiny_batch, tiny_model
from transformers import AutoConfig


def without_labels(family):
    batch = tiny_batch(family)
    batch.pop("labels")
    return batch


@pytest.mark.parametrize("family", DECODER_ONLY)
@torch.no_grad()
def test_head_and_tail_make_the_models_own_logits_of_its_states(family):
    model, batch = tiny_model(family), without_labels(family)
    output, (_, at_the_head) = model.base_model(**batch), model.forward_to_head(**batch)
    assert output.logits is None
    torch.testing.assert_close(output.last_hidden_state, at_the_head)
    torch.testing.assert_close(model.logits_from_states(output.last_hidden_state), model(**batch).logits)


def test_the_gradient_of_its_states_reaches_the_image_side_and_the_language_model():
    model = tiny_model("llama").train()
    model(**without_labels("llama"), skip_logits=True).last_hidden_state.sum().backward()
    assert model.vision_model.embeddings.patch_embedding.weight.grad.abs().sum() > 0
    assert model.get_input_embeddings().weight.grad.abs().sum() > 0
    assert model.get_output_embeddings().weight.grad is None


@pytest.mark.parametrize("family", ["llama", "mt5"])
@torch.no_grad()
def test_with_labels_it_gives_the_loss_and_no_states(family):
    model, batch = tiny_model(family), tiny_batch(family)
    output = model.base_model(**batch, skip_logits=False, return_dict=False)
    torch.testing.assert_close(output.loss, model(**batch).loss)
    assert (output.logits, output.last_hidden_state) == (None, None)


@pytest.mark.parametrize(("family", "encoder"), [("mt5", "language_model.encoder"), ("llama", None)])
def test_an_encoder_that_is_set_takes_the_place_of_the_language_models(family, encoder):
    model = tiny_model(family)
    names, given = list(model.state_dict()), copy.deepcopy(model.get_encoder())
    model.set_encoder(given)
    assert list(model.state_dict()) == names
    assert encoder is None or model.get_submodule(encoder) is given


def test_an_encoder_decoder_has_none_without_labels():
    with pytest.raises(ValueError, match="came without `labels` to an encoder-decoder"):
        tiny_model("mt5").base_model(**without_labels("mt5"))


@pytest.mark.parametrize("image_token_id", [127, IMAGE_TOKEN_ID])
def test_a_loss_at_image_tokens_is_refused_if_they_have_no_logits(image_token_id):
    model = tiny_model("llama", image_token_id=image_token_id)
    batch = tiny_batch("llama", image_token_id=image_token_id)
    labels_BL = batch.pop("labels")[:, 1:]

    def step(labels_BL):
        states_BLD = model.base_model(**batch).last_hidden_state[:, :-1]
        logits_BLV = model.get_output_embeddings()(states_BLD)
        torch.nn.functional.cross_entropy(logits_BLV.flatten(0, 1), labels_BL.flatten()).backward()

    is_image_BL = batch["input_ids"][:, 1:] == image_token_id
    step(labels_BL.masked_fill(is_image_BL, -100))
    if image_token_id < 128:
        step(labels_BL)
    else:
        with pytest.raises(ValueError, match="labels hold `<image>` tokens"):
            step(labels_BL)


@torch.no_grad()
def test_the_router_of_experts_is_in_its_output():
    experts = {"num_local_experts": 2, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text_config = AutoConfig.for_model("mixtral", vocab_size=128, hidden_size=32, num_key_value_heads=2, **experts)
    model = tiny_model(text_config=text_config)
    output = model.base_model(**without_labels("llama"), output_router_logits=True)
    assert [logits.shape for logits in output.router_logits] == [(30, 2)]


def test_transformers_asks_it_for_its_plans():
    assert [tiny_model(family).supports_tp_plan for family in ("gpt2", "llama")] == [False, True]
