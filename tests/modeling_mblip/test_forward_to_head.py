"""A run up to the head leaves hidden states from which head and tail make the model's own logits."""

import pytest
import torch
from tiny import ENCODER_DECODERS, FAMILIES, tiny_batch, tiny_model


def inputs(family):
    batch = tiny_batch(family)
    labels = batch.pop("labels").clamp(min=0)
    return batch | ({"decoder_input_ids": labels} if family in ENCODER_DECODERS else {})


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_states_at_the_head_give_the_models_own_logits(family):
    model, batch = tiny_model(family), inputs(family)
    expected = model(**batch).logits
    for is_tail_known in (False, True):
        assert (model.scaling_power is not None) == is_tail_known
        outputs, states_BTD = model.forward_to_head(**batch)
        assert outputs.logits is None
        torch.testing.assert_close(model.logits_from_states(states_BTD), expected)


@torch.no_grad()
def test_a_run_up_to_the_head_leaves_the_cache_and_the_encoders_output():
    bloom, _ = tiny_model("bloom").forward_to_head(**inputs("bloom"), use_cache=True)
    assert bloom.cache.get_seq_length() == 10
    mt5, _ = tiny_model("mt5").forward_to_head(**inputs("mt5"), use_cache=True)
    assert mt5.cache.get_seq_length() == 5
    assert mt5.encoder_last_hidden_state.shape == (3, 10, 32)


@torch.no_grad()
def test_one_position_needs_the_logits_of_one_position_only():
    model = tiny_model("llama")
    _, states_BTD = model.forward_to_head(**inputs("llama"))
    assert model.logits_from_states(states_BTD[1, 4]).shape == (128,)
