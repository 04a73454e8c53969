"""The cache goes by its names; language models whose numbers would be wrong are refused by name, and only they."""

import inspect

import pytest
import torch
from tiny import FAMILIES, tiny_batch, tiny_config, tiny_model
from transformers import AutoConfig, LlamaForCausalLM

from modeling_mblip import MBlipForConditionalGeneration

BERT = {
    "vocab_size": 128,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
ENCODERS = ("bert", "roberta", "xlm-roberta", "electra", "rembert", "roformer", "megatron-bert", "big_bird")
LEFT_PADDED = {"input_ids": torch.tensor([[0, 9, 10]]), "attention_mask": torch.tensor([[0, 1, 1]])}


def model_of(model_type, **arguments):
    return tiny_model(text_config=AutoConfig.for_model(model_type, **arguments))


@pytest.mark.parametrize("family", FAMILIES)
def test_no_word_sees_the_words_behind_it(family):
    """Of a decoder-only model in its input, of an encoder-decoder in its answer."""
    model, tokens = tiny_model(family), torch.tensor([[9, 10, 11, 12]])
    others = torch.tensor([[9, 10, 11, 20]])
    name = "decoder_input_ids" if model.config.is_encoder_decoder else "input_ids"
    with torch.no_grad():
        first, second = (model(**{"input_ids": tokens, name: ids}).logits for ids in (tokens, others))
    torch.testing.assert_close(first[:, :3], second[:, :3], rtol=1e-5, atol=1e-5)
    assert (first[:, 3] - second[:, 3]).abs().max() > 1e-4


@pytest.mark.parametrize("model_type", ENCODERS)
def test_an_encoder_is_refused_until_it_is_set_to_be_a_decoder(model_type):
    with pytest.raises(ValueError, match=rf"\({model_type}\w*\) cannot read images: .*set `is_decoder=True`"):
        model_of(model_type, **BERT)
    model, tokens = model_of(model_type, **BERT, is_decoder=True), torch.tensor([[9, 10, 11]])
    with torch.no_grad():
        first, second = (model(input_ids=ids).logits[:, :2] for ids in (tokens, torch.tensor([[9, 10, 20]])))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize(
    ("model_type", "arguments", "why"),
    [
        ("xlnet", {"vocab_size": 128, "d_model": 32, "n_head": 4, "d_inner": 64, "n_layer": 2}, '`attn_type` is "bi"'),
        ("xlm", {"n_words": 128, "emb_dim": 32, "n_heads": 4, "n_layers": 2}, "every token attends to later tokens"),
        (
            "cpmant",
            {"vocab_size": 128, "hidden_size": 32, "num_attention_heads": 4, "dim_head": 8, "num_hidden_layers": 1},
            "its `forward` takes no `inputs_embeds`",
        ),
        ("gemma3n_text", {}, r"embeds token ids again in every layer \(`hidden_size_per_layer_input` is 256"),
        ("deepseek_v4", {}, r'chooses experts by token id \(`mlp_layer_types` holds "hash_moe"'),
        ("mllama", {}, "its `cross_attention_layers` read images of its own encoder"),
    ],
)
def test_a_language_model_that_cannot_read_images_is_refused_by_name(model_type, arguments, why):
    config = tiny_config(text_config=AutoConfig.for_model(model_type, **arguments))
    with torch.device("meta"), pytest.raises(ValueError, match=rf"\({model_type}\w*\) cannot read images: .*{why}"):
        MBlipForConditionalGeneration(config)


@pytest.mark.parametrize("call", ["forward", "generate"])
def test_a_decoder_that_counts_padding_refuses_it_in_front(call):
    model = model_of("bart", **(FAMILIES["bart"] | {"is_encoder_decoder": False}))
    with pytest.raises(ValueError, match="BartForCausalLM takes no `position_ids` and counts padding as tokens"):
        getattr(model, call)(**LEFT_PADDED)
    right_padded = {name: value.flip(1) for name, value in LEFT_PADDED.items()}
    with torch.no_grad():
        alone = model(input_ids=right_padded["input_ids"][:, :2]).logits
        torch.testing.assert_close(model(**right_padded).logits[:, :2], alone, rtol=1e-5, atol=1e-5)


def test_padding_in_front_is_harmless_where_only_distances_count():
    """RoFormer numbers its columns too, but turns queries and keys by the numbers."""
    model = model_of("roformer", **BERT, is_decoder=True)
    with torch.no_grad():
        alone = model(input_ids=LEFT_PADDED["input_ids"][:, 1:]).logits
        torch.testing.assert_close(model(**LEFT_PADDED).logits[:, 1:], alone, rtol=1e-5, atol=1e-5)


def test_recurrent_layers_without_a_mask_refuse_padding_in_front():
    model = model_of("rwkv", vocab_size=128, hidden_size=32, num_hidden_layers=2, attention_hidden_size=32)
    with pytest.raises(ValueError, match=r"RwkvForCausalLM reads padding as tokens\. Pad on the right for training"):
        model(**LEFT_PADDED)


@pytest.mark.parametrize("model_type", ["rwkv", "openai-gpt"])
def test_a_language_model_without_a_cache_writes_nothing(model_type):
    arguments = {"rwkv": {"attention_hidden_size": 32, "hidden_size": 32}, "openai-gpt": {"n_embd": 32, "n_head": 4}}
    model = model_of(model_type, vocab_size=128, num_hidden_layers=2, **arguments[model_type])
    with pytest.raises(ValueError, match="takes none of cache, past_key_values, cache_params"):
        model.generate(input_ids=torch.tensor([[9, 10]]))


@pytest.mark.parametrize("family", ["mt5", "llama", "mamba"])
def test_a_cache_is_taken_and_given_by_its_own_name_and_as_cache(family):
    model, batch = tiny_model(family), tiny_batch(family, 1)
    del batch["labels"]
    name = "decoder_input_ids" if model.config.is_encoder_decoder else "input_ids"
    if model.config.is_encoder_decoder:
        batch["decoder_input_ids"] = torch.tensor([[0, 9, 10]])
    last = {name: torch.tensor([[11]])}
    with torch.no_grad():
        whole = model(**(batch | {name: torch.cat([batch[name], last[name]], dim=1)} | {"attention_mask": None}))
        for given in ("cache", own_name_of_the_cache()):
            read = model(**batch, use_cache=True)
            assert read.cache is read[own_name_of_the_cache()]
            rest = {} if name == "input_ids" else {"encoder_outputs": (read.encoder_last_hidden_state,)}
            found = model(**last, **rest, **{given: read.cache}, use_cache=True).logits[:, -1]
            torch.testing.assert_close(found, whole.logits[:, -1], rtol=1e-4, atol=1e-5)
    assert own_name_of_the_cache() in inspect.signature(model.forward).parameters


def own_name_of_the_cache():
    """What the running release calls it."""
    names = inspect.signature(LlamaForCausalLM.forward).parameters.keys() & {"cache", "past_key_values"}
    (name,) = names
    return name


@pytest.mark.skipif(own_name_of_the_cache() == "cache", reason="transformers from 5.24 on says itself what it takes")
def test_a_cache_under_both_names_is_an_error():
    model, prompt = tiny_model("llama"), {"input_ids": torch.tensor([[9, 10]])}
    for call in (model.forward, model.generate):
        with pytest.raises(ValueError, match=r"Both .* came in, expected one of them"):
            call(**prompt, cache=None, past_key_values=None)


@pytest.mark.skipif(own_name_of_the_cache() != "cache", reason="transformers below 5.24 knows no older name")
def test_the_older_name_of_the_cache_warns_as_in_transformers():
    model = tiny_model("llama")
    cache = model(input_ids=torch.tensor([[9, 10]]), use_cache=True).cache
    with pytest.warns(FutureWarning, match="past_key_values"):
        model(input_ids=torch.tensor([[11]]), past_key_values=cache)
