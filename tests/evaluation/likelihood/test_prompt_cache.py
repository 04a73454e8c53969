"""A prompt's cache is taken up where it can be shared out and gives what a whole forward gives, and nowhere else."""

import logging

import pytest
import torch
from likelihood_models import IMAGE_ROWS, PROMPTS, encode, model_and_processor, separate_forward
from tiny import FAMILIES, enliven, tiny_batch, tiny_config, tiny_model, tiny_processor, tiny_text_config
from transformers import AutoConfig
from transformers.cache_utils import DynamicCache, StaticCache

from mblip.evaluation.likelihood import candidate_scores
from mblip.evaluation.likelihood.ranking import rank
from mblip.evaluation.likelihood.read_prompts import (
    can_be_shared_out,
    continues_exactly,
    leaves_window,
    select_prompts,
)
from modeling_mblip import MBlipForConditionalGeneration

RECURRENT = ("falcon_h1", "mamba")
LONG = "w50 w60 w70 w80 w90 w91 w92 w93"


def cache_of(family, **changes):
    model, batch = tiny_model(family, **changes), tiny_batch(family)
    labels = batch.pop("labels").clamp(min=0)
    start = {"decoder_input_ids": labels[:, :1]} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model(**batch, **start, use_cache=True).cache


@pytest.mark.parametrize("family", FAMILIES)
def test_caches_of_attention_can_be_shared_out_and_those_of_recurrent_layers_cannot(family):
    assert can_be_shared_out(cache_of(family)) == (family not in RECURRENT)


@pytest.mark.parametrize("cache", [None, StaticCache(tiny_text_config("llama"), max_cache_len=4), torch.zeros(2)])
def test_other_kinds_of_caches_are_not_shared_out(cache):
    assert not can_be_shared_out(cache)


def test_a_cache_of_a_kind_of_its_own_is_not_shared_out():
    class OwnCache(DynamicCache):
        """Such as MiniMax's, which keeps a state beside keys and values."""

    assert not can_be_shared_out(OwnCache())


def test_rows_take_the_prompts_they_ask_for_and_leave_the_cache_as_it_is():
    cache = cache_of("llama")
    keys = cache.layers[0].keys.clone()
    selected = select_prompts(cache, torch.tensor([2, 0, 2, 2]))
    assert torch.equal(selected.layers[0].keys, keys[[2, 0, 2, 2]])
    assert torch.equal(cache.layers[0].keys, keys)


def test_the_cross_attention_of_an_encoder_decoder_is_selected_too():
    cache = cache_of("t5")
    selected = select_prompts(cache, torch.tensor([1, 1]))
    assert torch.equal(
        selected.cross_attention_cache.layers[1].values, cache.cross_attention_cache.layers[1].values[[1, 1]]
    )
    assert all(selected.is_updated.values())


@pytest.mark.parametrize(("num_tokens", "leaves"), [(2, False), (3, True)])
def test_tokens_leave_a_window_that_they_and_the_prompt_do_not_fit_into(num_tokens, leaves):
    cache = cache_of("mistral", text_config=tiny_text_config("mistral", sliding_window=12))
    assert cache.get_seq_length() == 10
    assert leaves_window(cache, num_tokens) == leaves
    assert not leaves_window(cache_of("llama"), num_tokens)


class ReadTwice:
    """Prompts whose states behind the cache are `error` off."""

    def __init__(self, error, dtype):
        self.cache = cache_of("llama")
        self.error, self.dtype = error, dtype

    def continued(self, prompts_R, tokens_RL):
        return self.read_again(prompts_R, tokens_RL) + self.error

    def read_again(self, prompts_R, tokens_RL):
        return torch.full((1, tokens_RL.shape[1], 4), 2.0, dtype=self.dtype)


@pytest.mark.parametrize(
    ("error", "dtype", "is_exact"),
    [
        (0.0, torch.float32, True),
        (5e-4, torch.float32, True),
        (1e-3, torch.float32, False),
        (0.1, torch.bfloat16, True),
        (0.3, torch.bfloat16, False),
        (float("nan"), torch.float32, False),
    ],
)
def test_half_of_the_digits_must_agree(error, dtype, is_exact, caplog):
    caplog.set_level(logging.INFO)
    assert continues_exactly(ReadTwice(error, dtype), torch.zeros(1, 3, dtype=torch.long)) == is_exact
    assert ("candidates are scored without the cache" in caplog.text) != is_exact


@pytest.mark.parametrize("family", ["mt5", "bart", "llama"])
def test_whole_forwards_give_the_same_numbers_as_the_cache(family, monkeypatch):
    model, processor = model_and_processor(family)
    arguments = {"image_features": encode(model, processor), "image_rows": IMAGE_ROWS}
    by_cache = rank(model, processor, PROMPTS, ["red", LONG], **arguments)
    monkeypatch.setattr(candidate_scores, "continues_exactly", lambda read, tokens_1L: False)
    by_whole_forwards = rank(model, processor, PROMPTS, ["red", LONG], **arguments)
    for found, expected in zip(by_whole_forwards, by_cache, strict=True):
        torch.testing.assert_close(found.log_likelihoods, expected.log_likelihoods, rtol=2e-6, atol=0)


def moshi():
    """A family that ignores its window when several tokens come at once after a longer prompt."""
    keys = {name: value for name, value in FAMILIES["llama"].items() if name != "intermediate_size"}
    text_config = AutoConfig.for_model("moshi", **keys, head_dim=8, ffn_dim=64, sliding_window=6)
    torch.manual_seed(0)
    model = MBlipForConditionalGeneration(tiny_config(text_config=text_config)).eval()
    enliven(model)
    return model, tiny_processor("llama")


@pytest.mark.parametrize("make", [moshi, *(lambda family=family: model_and_processor(family) for family in RECURRENT)])
def test_where_a_cache_cannot_be_used_whole_forwards_give_the_same_numbers(make, caplog):
    caplog.set_level(logging.INFO)
    model, processor = make()
    features = encode(model, processor)
    candidates = ["red", "red circle", LONG]
    ranked = rank(model, processor, PROMPTS, candidates, image_features=features, image_rows=IMAGE_ROWS)
    for answers, prompt, rows in zip(ranked, PROMPTS, IMAGE_ROWS, strict=True):
        expected = [separate_forward(model, processor, prompt, rows, candidate)[0] for candidate in candidates]
        assert answers.log_likelihoods.tolist() == pytest.approx(expected, rel=2e-6)
    assert caplog.text.count("candidates are scored without") == 1
