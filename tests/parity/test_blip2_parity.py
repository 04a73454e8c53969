"""The same weights in transformers' `Blip2ForConditionalGeneration` and in ours: the same logits, beams, loss and
gradients.
"""

import pytest
import torch
from tiny import VOCAB_SIZE, tiny_batch, tiny_blip2

from modeling_mblip import MBlipForConditionalGeneration

FAMILIES = ("mt5", "bloom", "t5", "llama", "gemma2", "granite")
IMAGE_TOKEN_ID = VOCAB_SIZE - 1


@pytest.fixture(params=FAMILIES)
def pair(request, tmp_path):
    """The reference, ours loaded from the folder it saved, and a batch."""
    reference = tiny_blip2(request.param)
    reference.save_pretrained(tmp_path)
    ours = MBlipForConditionalGeneration.from_pretrained(tmp_path).eval()
    return reference, ours, tiny_batch(request.param, image_token_id=IMAGE_TOKEN_ID)


def without_labels(batch):
    return {name: value for name, value in batch.items() if name != "labels"}


def target_tokens(ours, batch):
    return {"decoder_input_ids": batch["labels"].clamp(min=0)} if ours.config.is_encoder_decoder else {}


def test_logits_are_the_same(pair):
    reference, ours, batch = pair
    tokens = target_tokens(ours, batch)
    with torch.no_grad():
        expected = reference(**without_labels(batch), **tokens).logits
        found = ours(**without_labels(batch), **tokens).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_image_features_are_the_same(pair):
    reference, ours, batch = pair
    with torch.no_grad():
        expected = reference.get_image_features(batch["pixel_values"]).pooler_output
        found = ours.get_image_features(batch["pixel_values"]).pooler_output
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("arguments", [{"num_beams": 3}, {"num_beams": 1}, {"num_beams": 4, "length_penalty": -1.0}])
def test_beams_are_the_same(pair, arguments):
    reference, ours, batch = pair
    arguments = {"max_new_tokens": 6, "do_sample": False} | arguments
    expected = reference.generate(**without_labels(batch), **arguments)
    found = ours.generate(**without_labels(batch), **arguments)
    if not ours.config.is_encoder_decoder:
        expected = expected[:, batch["input_ids"].shape[1] :]
    assert torch.equal(found, expected)


def test_a_repetition_penalty_does_the_same(pair):
    reference, ours, batch = pair
    arguments = {"max_new_tokens": 6, "do_sample": False, "repetition_penalty": 1.5}
    expected = reference.generate(**without_labels(batch), **arguments)
    found = ours.generate(**without_labels(batch), **arguments)
    if not ours.config.is_encoder_decoder:
        expected = expected[:, batch["input_ids"].shape[1] :]
    assert torch.equal(found, expected)


def test_loss_and_every_gradient_equal_the_unchunked_formula_on_the_references_logits(pair):
    reference, ours, batch = pair
    for model in (reference, ours):
        model.vision_model.requires_grad_(False)
    labels, is_shifted = batch["labels"], not ours.config.is_encoder_decoder
    if is_shifted:
        logits, labels = reference(**without_labels(batch)).logits[:, :-1], labels[:, 1:]
    else:
        shifted = ours.prepare_decoder_input_ids_from_labels(labels)
        logits = reference(**without_labels(batch), decoder_input_ids=shifted).logits
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    expected.backward()
    loss = ours.train()(**batch).loss
    loss.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    gradients = {n.replace("query_tokens", "query_tokens.weight"): p.grad for n, p in reference.named_parameters()}
    largest = max(gradient.abs().max() for gradient in gradients.values() if gradient is not None)
    for name, parameter in ours.named_parameters():
        expected_gradient = gradients[name]
        assert (parameter.grad is None) == (expected_gradient is None), name
        if parameter.grad is not None:
            torch.testing.assert_close(
                parameter.grad / largest, expected_gradient / largest, rtol=0, atol=1e-5, msg=name
            )
