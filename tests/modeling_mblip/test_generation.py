"""Generation: new tokens only, images encoded once, every generation mode, and image ids that meet no processor."""

import pytest
import torch
from tiny import ENCODER_DECODERS, FAMILIES, IMAGE_TOKEN_ID, NUM_QUERY_TOKENS, tiny_batch, tiny_model, tiny_tokenizer
from transformers import AutoConfig, GenerationConfig, LogitsProcessor, LogitsProcessorList, TextIteratorStreamer
from transformers.cache_utils import EncoderDecoderCache

from modeling_mblip.generation_mblip import MBlipGenerationMixin

KINDS = ("mt5", "bart", "bloom", "gpt2", "gemma2")
FORCED = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}


def prompts(family, batch_size=3):
    batch = tiny_batch(family, batch_size)
    batch.pop("labels")
    return batch


def num_returned(family):
    return 7 if family in ENCODER_DECODERS else 6


@pytest.mark.parametrize("family", FAMILIES)
def test_new_tokens_only_and_features_give_the_same(family):
    model, batch = tiny_model(family), prompts(family)
    ids = model.generate(**batch, **FORCED)
    assert ids.shape == (3, num_returned(family))
    features = model.get_image_features(batch.pop("pixel_values")).pooler_output
    assert torch.equal(model.generate(**batch, image_features=features, **FORCED), ids)


@pytest.mark.parametrize("family", KINDS)
@pytest.mark.parametrize(
    "how",
    [
        {"cache_implementation": "static", "disable_compile": True},
        {"use_cache": False},
        {"num_beams": 3},
        {"num_beams": 3, "num_return_sequences": 2},
        {"num_beams": 2, "cache_implementation": "static", "disable_compile": True},
        {"do_sample": True, "num_return_sequences": 2, "top_k": 5},
        {"repetition_penalty": 1.5, "no_repeat_ngram_size": 2},
        {"logits_processor": LogitsProcessorList()},
        {"generation_config": GenerationConfig(max_new_tokens=6, min_new_tokens=6, do_sample=False)},
    ],
    ids=lambda how: "+".join(how),
)
def test_every_generation_mode_returns_new_tokens(family, how):
    model, batch = tiny_model(family), prompts(family)
    arguments = how if "generation_config" in how else FORCED | how
    ids = model.generate(**batch, **arguments)
    assert ids.shape == (3 * how.get("num_return_sequences", 1), num_returned(family))
    assert ids.max() < 128


@pytest.mark.parametrize("family", KINDS)
@pytest.mark.parametrize("cache", [{"cache_implementation": "static", "disable_compile": True}, {"use_cache": False}])
def test_the_kind_of_cache_moves_nothing(family, cache):
    model, batch = tiny_model(family), prompts(family)
    assert torch.equal(model.generate(**batch, **FORCED, **cache), model.generate(**batch, **FORCED))


@pytest.mark.parametrize("family", [*KINDS, "gemma3_text", "llama", "opt"])
def test_prompt_lookup_equals_greedy_search_although_it_guesses_wrong(family):
    model, batch = tiny_model(family), prompts(family, 1)
    batch["input_ids"][0, NUM_QUERY_TOKENS:] = torch.tensor([9, 10, 11, 9, 10, 11])
    greedy = model.generate(**batch, max_new_tokens=12, min_new_tokens=12, do_sample=False)
    looked_up = model.generate(
        **batch, max_new_tokens=12, min_new_tokens=12, do_sample=False, prompt_lookup_num_tokens=3
    )
    assert torch.equal(looked_up, greedy)


@pytest.mark.parametrize("family", KINDS)
def test_a_dict_output_holds_new_tokens_only_and_its_scores_fit(family):
    model, batch = tiny_model(family), prompts(family)
    arguments = FORCED | {"num_beams": 3, "num_return_sequences": 2}
    out = model.generate(**batch, **arguments, return_dict_in_generate=True, output_scores=True)
    assert torch.equal(out.sequences, model.generate(**batch, **arguments))
    assert model.compute_transition_scores(out.sequences, out.scores, out.beam_indices).shape == (6, 6)


@pytest.mark.parametrize("family", ["mt5", "llama"])
def test_hidden_states_come_out_where_asked_for(family):
    out = tiny_model(family).generate(
        **prompts(family), **FORCED, return_dict_in_generate=True, output_hidden_states=True
    )
    name = "decoder_hidden_states" if family == "mt5" else "hidden_states"
    assert len(out[name]) == 6
    assert ("encoder_hidden_states" in out) == (family == "mt5")


@pytest.mark.parametrize("family", KINDS)
def test_a_streamer_gets_the_new_tokens_and_no_prompt(family):
    model, batch = tiny_model(family), prompts(family, 1)
    tokenizer = tiny_tokenizer()
    streamer = TextIteratorStreamer(tokenizer)
    ids = model.generate(**batch, **FORCED, streamer=streamer)
    assert "".join(streamer).split() == tokenizer.decode(ids[0]).split()


class Seen(LogitsProcessor):
    def __init__(self):
        self.ids = []

    def __call__(self, input_ids, scores):
        self.ids.append(input_ids.tolist())
        return scores


def test_processors_see_a_word_of_the_prompt_where_an_image_outside_the_vocabulary_stands():
    model, seen = tiny_model("bloom"), Seen()
    batch = prompts("bloom", 2)
    batch["input_ids"] = torch.tensor([[0] + [IMAGE_TOKEN_ID] * 4 + [9, 8], [IMAGE_TOKEN_ID] * 4 + [7, 6, 5]])
    batch["attention_mask"] = torch.tensor([[0, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1]])
    model.generate(**batch, max_new_tokens=1, do_sample=False, logits_processor=LogitsProcessorList([seen]))
    assert seen.ids[0] == [[0, 9, 9, 9, 9, 9, 8], [7, 7, 7, 7, 7, 6, 5]]


def test_an_image_id_inside_the_vocabulary_is_left_to_processors_as_transformers_leaves_it():
    model, seen = tiny_model("bloom", image_token_id=120), Seen()
    batch = prompts("bloom", 1)
    batch["input_ids"] = torch.tensor([[120, 120, 120, 120, 9]])
    batch["attention_mask"] = torch.ones(1, 5).long()
    model.generate(**batch, max_new_tokens=1, do_sample=False, logits_processor=LogitsProcessorList([seen]))
    assert seen.ids[0] == [[120, 120, 120, 120, 9]]


def test_a_prompt_of_nothing_but_an_image_generates_with_a_repetition_penalty():
    batch = prompts("llama", 1)
    batch["input_ids"] = batch["input_ids"][:, :NUM_QUERY_TOKENS]
    batch["attention_mask"] = batch["attention_mask"][:, :NUM_QUERY_TOKENS]
    assert tiny_model("llama").generate(**batch, **FORCED, repetition_penalty=2.0).shape == (1, 6)


def test_an_image_id_that_is_generated_is_text():
    """Inside the vocabulary the `<image>` id can be sampled; it must not be taken for a missing image."""
    model = tiny_model("llama", image_token_id=120)
    batch = prompts("llama", 1)
    batch["input_ids"][batch["input_ids"] == IMAGE_TOKEN_ID] = 120
    ids = model.generate(**batch, **FORCED, prefix_allowed_tokens_fn=lambda row, ids: [120])
    assert ids.tolist() == [[120] * 6]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("num_beams", [1, 3])
def test_padding_on_either_side_moves_nothing(family, num_beams):
    model, batch = tiny_model(family), prompts(family)
    expected = model.generate(**batch, **FORCED, num_beams=num_beams)
    padding = torch.zeros(3, 3, dtype=torch.long)
    for side in ("left", "right"):
        both = {name: batch[name] for name in ("input_ids", "attention_mask")}
        parts = {name: [padding, value] if side == "left" else [value, padding] for name, value in both.items()}
        wide = batch | {name: torch.cat(columns, dim=1) for name, columns in parts.items()}
        assert torch.equal(model.generate(**wide, **FORCED, num_beams=num_beams), expected), side


@pytest.mark.parametrize("family", KINDS)
def test_images_are_encoded_once_whatever_the_generation_mode(family):
    model, batch = tiny_model(family), prompts(family)
    rows = []
    model.vision_model.register_forward_pre_hook(lambda module, arguments: rows.append(len(arguments[0])))
    model.generate(**batch, **FORCED, num_beams=3)
    assert rows == [3]


@pytest.mark.parametrize("family", ENCODER_DECODERS)
def test_beams_leave_the_encoders_keys_in_place_and_write_what_full_reordering_writes(family, monkeypatch):
    model, batch = tiny_model(family), prompts(family)
    reordered = []
    monkeypatch.setattr(EncoderDecoderCache, "reorder_cache", lambda *_: reordered.append("all"))
    ids = model.generate(**batch, **FORCED, num_beams=3)
    assert reordered == []
    monkeypatch.undo()
    monkeypatch.delattr(MBlipGenerationMixin, "_reorder_cache")  # transformers then asks the cache
    assert torch.equal(model.generate(**batch, **FORCED, num_beams=3), ids)


@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_its_own_generation_config_counts(family):
    model, batch = tiny_model(family), prompts(family)
    model.generation_config.max_new_tokens = 2
    assert model.generate(**batch).shape == (3, num_returned(family) - 4)


@pytest.mark.parametrize("family", ["mt5", "bloom"])
@pytest.mark.parametrize(
    ("argument", "why"),
    [
        ({"assistant_model": object()}, "an assistant model cannot see the images"),
        ({"assistant_early_exit": 1}, "an assistant model cannot see the images"),
        ({"token_healing": True}, "it rewrites the end of the prompt"),
        ({"prefill_chunk_size": 2}, "a prompt with images cannot be split into chunks"),
    ],
)
def test_a_generation_mode_that_would_lose_the_images_is_refused(family, argument, why):
    (name,) = argument
    with pytest.raises(ValueError, match=f"`{name}` is set, but {why}.*Leave it out"):
        tiny_model(family).generate(**prompts(family), **argument)


def test_a_generation_mode_is_refused_where_the_generation_config_asks_for_it_too():
    model = tiny_model("bloom")
    model.generation_config.prefill_chunk_size = 2
    with pytest.raises(ValueError, match="`prefill_chunk_size` is set"):
        model.generate(**prompts("bloom"))


@pytest.mark.parametrize("family", ["mamba", "falcon_h1"])
def test_guesses_are_refused_where_they_cannot_be_taken_back(family):
    with pytest.raises(ValueError, match=r"`prompt_lookup_num_tokens` is set, but .* cannot undo a wrong guess"):
        tiny_model(family).generate(**prompts(family, 1), prompt_lookup_num_tokens=2)


def test_guidance_is_refused_where_the_answer_alone_says_nothing():
    with pytest.raises(ValueError, match=r"`guidance_scale` is set, .* the decoder of MT5.* without its encoder"):
        tiny_model("mt5").generate(**prompts("mt5"), guidance_scale=1.5)


@pytest.mark.parametrize("family", ["gpt2", "bloom"])
def test_guidance_moves_away_from_what_the_language_model_says_without_the_prompt(family):
    model, batch = tiny_model(family), prompts(family, 1)
    batch["input_ids"][0, -1] = 9
    out = model.generate(
        **batch, max_new_tokens=1, guidance_scale=3.0, return_dict_in_generate=True, output_scores=True
    )
    with torch.no_grad():
        guided = model(**batch).logits[:, -1].log_softmax(-1)
        alone = model(input_ids=torch.tensor([[9]])).logits[:, -1].log_softmax(-1)
    torch.testing.assert_close(out.scores[0], alone + 3.0 * (guided - alone), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_cache_moves_nothing(family):
    """Tokens one by one through the cache equal the whole answer read at once."""
    model, batch = tiny_model(family), prompts(family)
    out = model.generate(**batch, **FORCED, return_dict_in_generate=True, output_logits=True)
    if family in ENCODER_DECODERS:
        whole = model(**batch, decoder_input_ids=out.sequences[:, :-1]).logits
    else:
        batch["input_ids"] = torch.cat([batch["input_ids"], out.sequences[:, :-1]], dim=1)
        whole = model(**batch | {"attention_mask": torch.ones_like(batch["input_ids"])}).logits[:, -6:]
    torch.testing.assert_close(torch.stack(out.logits, dim=1), whole.detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_a_misspelt_argument_is_refused(family):
    with pytest.raises(ValueError, match="max_new_tokenz"):
        tiny_model(family).generate(**prompts(family), max_new_tokenz=3)


def test_an_encoder_that_names_its_token_ids_first_takes_embeddings():
    sizes = FAMILIES["bart"] | {"src_vocab_size": 128, "tgt_vocab_size": 128, "langs": ["en", "de"]}
    del sizes["vocab_size"]
    model = tiny_model(text_config=AutoConfig.for_model("fsmt", **sizes))
    assert model.generate(**prompts("bart"), **FORCED).shape == (3, 7)


def test_text_alone_is_continued():
    ids = tiny_model("bloom").generate(input_ids=torch.tensor([[9, 10]]), **FORCED)
    assert ids.shape == (1, 6)


def test_encoder_tokens_can_be_barred_with_images_in_the_prompt():
    model, batch = tiny_model("mt5"), prompts("mt5")
    ids = model.generate(**batch, **FORCED, encoder_no_repeat_ngram_size=1, encoder_repetition_penalty=1.2)
    for row, tokens in zip(ids[:, 1:], batch["input_ids"][:, NUM_QUERY_TOKENS:], strict=True):
        assert not set(row.tolist()) & set(tokens.tolist())
