"""Loading and saving: BLIP-2's layout, old folders, two components, ties, resizing, and round trips bit by bit."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny import (
    FAMILIES,
    NUM_QUERY_TOKENS,
    VOCAB_SIZE,
    tiny_batch,
    tiny_blip2,
    tiny_config,
    tiny_model,
    tiny_text_config,
    tiny_tokenizer,
)
from transformers import Blip2Config, Mistral3Config

from modeling_mblip import MBlipConfig, MBlipForConditionalGeneration

load = MBlipForConditionalGeneration.from_pretrained


def saved_keys(folder):
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        return set(file.keys())


def assert_equal_weights(found, expected):
    expected_state = expected.state_dict()
    assert found.state_dict().keys() == expected_state.keys()
    for name, weight in found.state_dict().items():
        assert torch.equal(weight, expected_state[name]), name


def edit_config(folder, **changes):
    path = folder / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not ...}))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_model_comes_back_bit_by_bit(family, tmp_path):
    model = tiny_model(family)
    model.save_pretrained(tmp_path)
    assert_equal_weights(load(tmp_path), model)


def test_buffers_that_are_not_saved_are_filled_again(tmp_path):
    """Falcon-H1's multipliers lie in its layers, and the module above them fills them in."""
    model = tiny_model(
        "falcon_h1", text_config=tiny_text_config("falcon_h1", ssm_multipliers=[2.0, 3.0, 4.0, 5.0, 6.0])
    )
    model.save_pretrained(tmp_path)
    loaded = dict(load(tmp_path).named_buffers())
    for name, buffer in model.named_buffers():
        assert torch.equal(loaded[name], buffer), name


@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_the_keys_on_disk_are_those_of_blip2_but_for_the_query_tokens(family, tmp_path):
    tiny_blip2(family).save_pretrained(tmp_path / "blip2")
    tiny_model(family).save_pretrained(tmp_path / "made")
    load(tmp_path / "blip2").save_pretrained(tmp_path / "converted")
    expected = saved_keys(tmp_path / "blip2") - {"query_tokens"} | {"query_tokens.weight"}
    assert saved_keys(tmp_path / "made") == saved_keys(tmp_path / "converted") == expected


@pytest.mark.parametrize("changes", [{"image_token_index": ..., "image_token_id": ...}, {"image_token_index": -1}])
def test_an_old_folder_without_image_token_takes_the_first_id_behind_the_vocabulary(changes, tmp_path):
    tiny_blip2("mt5").save_pretrained(tmp_path)
    edit_config(tmp_path, **changes)
    assert load(tmp_path).config.image_token_id == VOCAB_SIZE


def test_an_old_folder_with_a_tokenizer_takes_the_first_id_behind_the_tokenizer(tmp_path):
    tiny_blip2("mt5").save_pretrained(tmp_path)
    tiny_tokenizer(100).save_pretrained(tmp_path)
    edit_config(tmp_path, image_token_index=...)
    assert load(tmp_path).config.image_token_id == 100


def test_a_tokenizer_that_knows_the_image_token_gives_its_id(tmp_path):
    tiny_blip2("mt5").save_pretrained(tmp_path)
    tokenizer = tiny_tokenizer(100)
    tokenizer.add_tokens(["<other>", "<image>", "<third>"])
    tokenizer.save_pretrained(tmp_path)
    edit_config(tmp_path, image_token_index=...)
    assert load(tmp_path).config.image_token_id == 101


def test_a_blip2_folder_keeps_its_image_token_and_becomes_an_mblip_folder(tmp_path):
    tiny_blip2("bloom").save_pretrained(tmp_path / "blip2")
    model = load(tmp_path / "blip2")
    assert model.config.image_token_id == VOCAB_SIZE - 1
    model.save_pretrained(tmp_path / "mblip")
    config = json.loads((tmp_path / "mblip" / "config.json").read_text())
    assert (config["model_type"], config["image_token_id"]) == ("mblip", VOCAB_SIZE - 1)
    assert_equal_weights(load(tmp_path / "mblip"), model)


@pytest.fixture
def untied(tmp_path):
    """An mT5 whose head is another matrix than its embeddings, as mT0's, saved and loaded."""
    model = tiny_model("mt5")
    model.language_model.lm_head.weight = torch.nn.Parameter(torch.randn(VOCAB_SIZE, 32))
    model.forget_tie("language_model.lm_head.weight")
    model.save_pretrained(tmp_path / "untied")
    return load(tmp_path / "untied")


def test_an_untied_head_is_loaded_as_it_is_and_no_tying_touches_it(untied, tmp_path):
    expected = load_file(tmp_path / "untied" / "model.safetensors")["language_model.lm_head.weight"]
    assert torch.equal(untied.get_output_embeddings().weight, expected)
    untied.tie_weights()
    assert torch.equal(untied.get_output_embeddings().weight, expected)
    assert untied.language_model.encoder.embed_tokens.weight is untied.get_input_embeddings().weight


def test_an_untied_head_survives_resizing_and_another_round_trip(untied, tmp_path):
    untied.config.image_token_id = 1000
    head, embeddings = untied.get_output_embeddings().weight.clone(), untied.get_input_embeddings().weight.clone()
    untied.resize_token_embeddings(VOCAB_SIZE + 8)
    assert torch.equal(untied.get_output_embeddings().weight[:VOCAB_SIZE], head)
    assert torch.equal(untied.get_input_embeddings().weight[:VOCAB_SIZE], embeddings)
    assert untied.get_output_embeddings().weight is not untied.get_input_embeddings().weight
    assert untied.language_model.encoder.embed_tokens.weight is untied.get_input_embeddings().weight
    assert untied.config.text_config.vocab_size == untied.language_model.config.vocab_size == VOCAB_SIZE + 8
    untied.save_pretrained(tmp_path / "resized")
    assert_equal_weights(load(tmp_path / "resized"), untied)


@pytest.mark.parametrize("family", ["bloom", "bart", "gemma2"])
def test_a_tied_head_stays_tied_when_resized_and_its_tail_grows_along(family):
    model, batch = tiny_model(family, image_token_id=1000), tiny_batch(family, image_token_id=1000)
    model.resize_token_embeddings(VOCAB_SIZE + 8)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model(**batch).logits.shape[-1] == VOCAB_SIZE + 8
    assert model.train()(**batch).loss.requires_grad


def test_growing_over_the_image_tokens_id_is_an_error():
    with pytest.raises(ValueError, match=r"A table of 136 instead of 128 tokens would give the id 128 of"):
        tiny_model("bloom").resize_token_embeddings(VOCAB_SIZE + 8)


@pytest.fixture
def components(tmp_path):
    """A BLIP-2 in several shards and an mT5 with a tokenizer of 100 tokens."""
    blip2, text_model = tiny_blip2("t5", seed=1), tiny_model("mt5", seed=2).language_model
    blip2.save_pretrained(tmp_path / "blip2", max_shard_size="30KB")
    text_model.save_pretrained(tmp_path / "text")
    tiny_tokenizer(100).save_pretrained(tmp_path / "text")
    return tmp_path / "blip2", tmp_path / "text", blip2, text_model


@pytest.mark.parametrize("projection", ["random", "blip2"])
def test_a_composition_takes_each_part_from_its_component(components, projection):
    blip2_folder, text_folder, blip2, text_model = components
    model = MBlipForConditionalGeneration.from_blip2_pretrained(blip2_folder, text_folder, projection=projection)
    assert_equal_weights(model.vision_model, blip2.vision_model)
    assert_equal_weights(model.qformer, blip2.qformer)
    assert_equal_weights(model.language_model, text_model)
    assert torch.equal(model.query_tokens.weight, blip2.query_tokens)
    is_kept = torch.equal(model.language_projection.weight, blip2.language_projection.weight)
    assert is_kept == (projection == "blip2")
    assert model.language_projection.weight.any()
    assert model.config.image_token_id == 100
    assert model.config.num_query_tokens == NUM_QUERY_TOKENS
    assert model(**tiny_batch("mt5", image_token_id=100)).loss.isfinite()


def test_a_composition_opens_no_shard_of_the_old_language_model(components):
    blip2_folder, text_folder, *_ = components
    index = json.loads((blip2_folder / "model.safetensors.index.json").read_text())["weight_map"]
    image_side = {shard for key, shard in index.items() if not key.startswith("language_model.")}
    others = set(index.values()) - image_side
    assert others
    for shard in others:
        (blip2_folder / shard).unlink()
    MBlipForConditionalGeneration.from_blip2_pretrained(blip2_folder, text_folder)


@pytest.mark.parametrize("is_sharded", [False, True])
def test_a_composition_reads_bin_files(components, tmp_path, is_sharded):
    _, text_folder, blip2, _ = components
    folder = tmp_path / "bin"
    blip2.config.save_pretrained(folder)
    state = blip2.state_dict()
    if is_sharded:
        torch.save({k: v for k, v in state.items() if not k.startswith("qformer")}, folder / "1.bin")
        torch.save({k: v for k, v in state.items() if k.startswith("qformer")}, folder / "2.bin")
        shards = {key: "2.bin" if key.startswith("qformer") else "1.bin" for key in state}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": shards}))
    else:
        torch.save(state, folder / "pytorch_model.bin")
    model = MBlipForConditionalGeneration.from_blip2_pretrained(folder, text_folder, projection="blip2")
    assert_equal_weights(model.qformer, blip2.qformer)


def test_a_composition_in_bf16_keeps_what_trains_in_fp32(components):
    model = MBlipForConditionalGeneration.from_blip2_pretrained(*components[:2], dtype=torch.bfloat16)
    assert {p.dtype for p in model.vision_model.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in model.language_model.parameters()} == {torch.bfloat16}
    for part in (model.query_tokens, model.qformer, model.language_projection):
        assert {p.dtype for p in part.parameters()} == {torch.float32}


def test_a_composition_can_be_saved_without_weights_and_made_again(components, tmp_path):
    model = MBlipForConditionalGeneration.from_blip2_pretrained(*components[:2], projection="blip2")
    model.save_composition(tmp_path / "base")
    assert not list((tmp_path / "base").glob("*.safetensors"))
    again = load(tmp_path / "base")
    assert_equal_weights(again, model)
    assert again.config.name_or_path == str(tmp_path / "base")


def test_a_composition_saved_with_its_weights_says_nothing_of_its_components(components, tmp_path):
    model = MBlipForConditionalGeneration.from_blip2_pretrained(*components[:2], projection="blip2")
    model.save_pretrained(tmp_path)
    assert_equal_weights(load(tmp_path), model)
    assert str(components[1]) not in (tmp_path / "config.json").read_text()
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(OSError, match=r"no file named model\.safetensors"):  # and no new composition
        load(tmp_path)
    assert model.config.parents is not None


def test_a_base_without_weights_has_no_loading_info(components, tmp_path):
    MBlipForConditionalGeneration.from_blip2_pretrained(*components[:2]).save_composition(tmp_path)
    with pytest.raises(ValueError, match=r"holds no weights, so there is no `output_loading_info`"):
        MBlipForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)


def test_only_a_composition_can_be_saved_as_one(tmp_path):
    with pytest.raises(ValueError, match="names no components"):
        tiny_model("mt5").save_composition(tmp_path)


def test_a_projection_of_another_width_is_refused(components, tmp_path):
    wide = tiny_config("mt5").text_config.to_dict() | {"d_model": 48}
    tiny_model("mt5", text_config=wide).language_model.save_pretrained(tmp_path / "wide")
    with pytest.raises(ValueError, match=r"has shape \(32, 16\), expected \(48, 16\).*use \"random\""):
        MBlipForConditionalGeneration.from_blip2_pretrained(components[0], tmp_path / "wide", projection="blip2")


def test_an_unknown_projection_and_a_folder_that_is_no_blip2_are_refused(components):
    blip2_folder, text_folder, *_ = components
    with pytest.raises(ValueError, match='`projection` is \'both\', expected "random" or "blip2"'):
        MBlipForConditionalGeneration.from_blip2_pretrained(blip2_folder, text_folder, projection="both")
    with pytest.raises(ValueError, match=r"is a checkpoint of type 'mt5', expected BLIP-2's layout"):
        MBlipForConditionalGeneration.from_blip2_pretrained(text_folder, text_folder)


def test_what_is_no_language_model_is_refused_as_one(components):
    with pytest.raises(ValueError, match=r"of type 'blip-2', expected a language model that AutoModelFor\w+ loads"):
        MBlipForConditionalGeneration.from_blip2_pretrained(components[0], components[0])


def test_a_blip2_that_lacks_a_weight_is_refused(components, tmp_path):
    _, text_folder, blip2, _ = components
    folder = tmp_path / "torn"
    blip2.config.save_pretrained(folder)
    state = {key: weight for key, weight in blip2.state_dict().items() if key != "qformer.layernorm.weight"}
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"lacks 1 of the \d+ weights of `qformer`.*'layernorm.weight'"):
        MBlipForConditionalGeneration.from_blip2_pretrained(folder, text_folder)


def test_a_folder_without_weights_is_refused(components, tmp_path):
    _, text_folder, blip2, _ = components
    blip2.config.save_pretrained(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match=r"holds none of model\.safetensors"):
        MBlipForConditionalGeneration.from_blip2_pretrained(tmp_path / "empty", text_folder)


def test_a_language_model_that_embeds_words_in_every_layer_is_refused():
    config = tiny_config("llama")
    config.text_config.hidden_size_per_layer_input = 8
    with pytest.raises(ValueError, match="embeds token ids again in every layer"):
        MBlipForConditionalGeneration(config)


def test_the_configuration_reads_both_names_of_the_image_token():
    text = tiny_config("mt5").text_config
    assert MBlipConfig(text_config=text, image_token_index=7).image_token_id == 7
    assert MBlipConfig(text_config=text, image_token_id=7).image_token_index == 7
    assert MBlipConfig(text_config=text).image_token_id == VOCAB_SIZE


@pytest.mark.parametrize(("family", "start"), [("mt5", 0), ("bart", 2), ("bloom", None)])
def test_the_configuration_takes_special_tokens_from_the_language_model(family, start):
    config = tiny_config(family)
    assert config.decoder_start_token_id == start
    assert config.pad_token_id == 0
    assert config.eos_token_id == tiny_config(family).text_config.eos_token_id


@pytest.mark.parametrize(
    ("config", "hint"),
    [
        (Mistral3Config(), r"loads\. Give a language model without images\.$"),
        (Blip2Config(), r"The BLIP-2 is the first argument, the language model the second\.$"),
    ],
)
def test_a_model_with_images_is_no_language_model_and_the_hint_fits_it(config, hint, tmp_path):
    tiny_blip2("t5").save_pretrained(tmp_path / "blip2")
    config.save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match=rf"is a checkpoint of type '{config.model_type}', expected .*{hint}"):
        MBlipForConditionalGeneration.from_blip2_pretrained(tmp_path / "blip2", tmp_path / "other")
