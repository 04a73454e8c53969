"""Merging from disk gives, to the bit, what PEFT's merging and `save_pretrained` write from memory."""

import json

import pytest
import torch
from merge_inputs import SHARD, reference, save_adapter, save_base, weight_files
from safetensors.torch import load_file, save_file
from tiny import NUM_QUERY_TOKENS, tiny_batch, tiny_blip2, tiny_model, tiny_processor, tiny_tokenizer
from transformers import AutoProcessor

from modeling_mblip import MBlipForConditionalGeneration
from modeling_mblip.marry import main as marry
from modeling_mblip.merge import main as merge
from processing_mblip import MBlipProcessor


def assert_equals_reference(base, adapter, tmp_path):
    merge([str(adapter), str(tmp_path / "merged"), "--max-shard-size", SHARD])
    expected = reference(base, adapter, tmp_path / "expected")
    files, expected_files = weight_files(tmp_path / "merged"), weight_files(tmp_path / "expected")
    assert len(files) > 2
    assert files == expected_files
    loaded = MBlipForConditionalGeneration.from_pretrained(tmp_path / "merged")
    batch = tiny_batch("mt5" if loaded.config.is_encoder_decoder else "bloom", image_token_id=loaded.image_token_id)
    with torch.no_grad():
        assert torch.equal(loaded(**batch).logits, expected(**batch).logits)
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == set()


@pytest.mark.parametrize("family", ["mt5", "mbart", "marian", "bloom", "gpt2", "llama"])
@pytest.mark.parametrize("kind", ["sharded", "weightless"])
def test_the_files_are_those_of_merge_and_unload(kind, family, tmp_path):
    base = save_base(kind, family, tmp_path)
    assert_equals_reference(base, save_adapter(base, tmp_path / "adapter"), tmp_path)


@pytest.mark.parametrize("kind", ["single", "bin", "weightless"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_base_keeps_its_dtype_and_the_image_side_its_own(kind, dtype, tmp_path):
    base = save_base(kind, "mt5", tmp_path, dtype)
    assert_equals_reference(base, save_adapter(base, tmp_path / "adapter"), tmp_path)


def test_a_language_model_that_does_not_say_its_dtype_keeps_the_one_it_is_stored_in(tmp_path):
    """Not that of the BLIP-2 beside it."""
    base = save_base("weightless", "mt5", tmp_path, torch.bfloat16)
    for path in (tmp_path / "text" / "config.json", base / "config.json"):
        config = json.loads(path.read_text())
        for part in (config, config.get("text_config", {})):
            part.pop("dtype", None)
        path.write_text(json.dumps(config))
    assert_equals_reference(base, save_adapter(base, tmp_path / "adapter"), tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {"use_rslora": True},
        {"alpha_pattern": {"q": 64}, "rank_pattern": {"SelfAttention.k": 2, "wo": 6}},
        {"modules_to_save": None},
        {"modules_to_save": ["language_projection"], "target_modules": ["q", "v"]},
    ],
)
def test_scales_ranks_and_what_is_left_out_are_honoured(settings, tmp_path):
    base = save_base("sharded", "mt5", tmp_path)
    assert_equals_reference(base, save_adapter(base, tmp_path / "adapter", **settings), tmp_path)


@pytest.mark.parametrize("kind", ["single", "weightless"])
def test_a_head_that_is_not_tied_stays_as_it_is(kind, tmp_path):
    """As in mT0, whose configuration says that it is tied."""
    model = tiny_model("mt5")
    model.language_model.lm_head.weight = torch.nn.Parameter(torch.randn(128, 32))
    model.forget_tie("language_model.lm_head.weight")
    if kind == "single":
        base = tmp_path / "base"
        model.save_pretrained(base)
    else:
        base = save_base("weightless", "mt5", tmp_path)
        for file in (tmp_path / "text").glob("*.safetensors*"):
            file.unlink()
        model.language_model.save_pretrained(tmp_path / "text")
    assert_equals_reference(base, save_adapter(base, tmp_path / "adapter"), tmp_path)
    merged = MBlipForConditionalGeneration.from_pretrained(tmp_path / "merged")
    assert torch.equal(merged.get_output_embeddings().weight, model.get_output_embeddings().weight)


def test_weights_that_are_tied_and_stored_twice_are_written_once(tmp_path):
    """As in the .bin files of 2023."""
    base = save_base("single", "mt5", tmp_path)
    (file,) = base.glob("*.safetensors")
    weights = load_file(file)
    shared = "language_model.shared.weight"
    copies = ("language_model.lm_head.weight", "language_model.encoder.embed_tokens.weight")
    weights |= {name: weights[shared].clone() for name in copies}
    save_file(weights, file, metadata={"format": "pt"})
    adapter = save_adapter(base, tmp_path / "adapter")
    assert_equals_reference(base, adapter, tmp_path)
    index = json.loads((tmp_path / "merged" / "model.safetensors.index.json").read_text())["weight_map"]
    assert shared in index
    assert not set(copies) & index.keys()


def test_one_file_is_written_where_all_fits_in(tmp_path):
    base = save_base("sharded", "bloom", tmp_path)
    adapter = save_adapter(base, tmp_path / "adapter")
    merge([str(adapter), str(tmp_path / "merged")])
    reference(base, adapter, tmp_path / "expected").save_pretrained(tmp_path / "single")
    assert weight_files(tmp_path / "merged") == weight_files(tmp_path / "single")


def test_a_folder_in_blip2s_layout_is_a_base_too(tmp_path):
    tiny_blip2("mt5").save_pretrained(tmp_path / "base")
    assert_equals_reference(tmp_path / "base", save_adapter(tmp_path / "base", tmp_path / "adapter"), tmp_path)


def test_the_base_can_lie_elsewhere_and_the_report_counts(tmp_path, capsys):
    base = save_base("sharded", "mt5", tmp_path)
    adapter = save_adapter(base, tmp_path / "adapter")
    expected = reference(base, adapter, tmp_path / "expected")
    base.rename(tmp_path / "moved")
    with pytest.raises(SystemExit, match=r"Not merged\. "):
        merge([str(adapter), str(tmp_path / "merged")])
    merge([str(adapter), str(tmp_path / "merged"), "--base", str(tmp_path / "moved"), "--max-shard-size", SHARD])
    assert weight_files(tmp_path / "merged") == weight_files(tmp_path / "expected")
    num_lora = len([key for key in load_file(adapter / "adapter_model.safetensors") if "lora_A" in key])
    written = capsys.readouterr().out
    assert f"{num_lora} linear layers with their LoRA" in written
    assert f"{expected.num_parameters():,} parameters" in written


@pytest.mark.parametrize("kind", ["whole", "weightless", "adapter"])
def test_processor_and_generation_settings_come_along(kind, tmp_path):
    tiny_blip2("opt").save_pretrained(tmp_path / "blip2")
    tiny_processor("bloom").image_processor.save_pretrained(tmp_path / "blip2")
    language_model = tiny_model("bloom").language_model
    language_model.generation_config.num_beams = 3
    language_model.save_pretrained(tmp_path / "text")
    tiny_tokenizer(100).save_pretrained(tmp_path / "text")
    options = ["--weightless"] if kind == "weightless" else []
    marry([str(tmp_path / "blip2"), str(tmp_path / "text"), str(tmp_path / "base"), *options])
    adapter = save_adapter(tmp_path / "base", tmp_path / "adapter")
    if kind == "adapter":
        for name in ("preprocessor_config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json"):
            (tmp_path / "base" / name).unlink()
        processor = tiny_processor("bloom", image_token_id=100)
        processor.tokenizer = tiny_tokenizer(90, padding_side="left")
        processor.save_pretrained(adapter)
    merge([str(adapter), str(tmp_path / "merged")])
    model = MBlipForConditionalGeneration.from_pretrained(tmp_path / "merged")
    assert model.generation_config.num_beams == 3
    assert model.config.parents is None
    processor = AutoProcessor.from_pretrained(tmp_path / "merged")
    assert type(processor) is MBlipProcessor
    assert (processor.num_query_tokens, processor.image_token_id) == (NUM_QUERY_TOKENS, 100)
    assert len(processor.tokenizer) == (90 if kind == "adapter" else 100)
    assert processor.tokenizer.padding_side == "left"


# transformers 5.23 leaves the files of named templates open.
@pytest.mark.filterwarnings("ignore:unclosed file .*jinja:ResourceWarning")
def test_every_file_of_the_tokenizer_comes_along(tmp_path):
    """Those of Marian's two SentencePiece models, and of chat templates that have names."""
    base = save_base("single", "llama", tmp_path)
    processor = tiny_processor("llama")
    processor.tokenizer.chat_template = {"default": "{{ messages }}", "rag": "{{ documents }}"}
    processor.save_pretrained(base)
    (base / "source.spm").write_bytes(b"source")
    merge([str(save_adapter(base, tmp_path / "adapter")), str(tmp_path / "merged")])
    assert (tmp_path / "merged" / "source.spm").read_bytes() == b"source"
    assert AutoProcessor.from_pretrained(tmp_path / "merged").chat_template == processor.tokenizer.chat_template
