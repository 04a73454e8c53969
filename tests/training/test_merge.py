"""Merging gives, to the bit, what PEFT merges and transformers saves; what cannot be merged is refused and leaves
nothing behind.
"""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, PeftConfig, PeftModel, PromptTuningConfig, get_peft_model
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tiny import (
    NUM_QUERY_TOKENS,
    tiny_batch,
    tiny_blip2,
    tiny_model,
    tiny_processor,
    tiny_text_config,
    tiny_tokenizer,
)
from transformers import AutoProcessor

from mblip.training.compose import main as compose
from mblip.training.merge import main as merge
from mblip.training.trainable import lora_config
from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor

pytestmark = pytest.mark.slow

SHARD = "40KB"
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json")


def save_base(kind, family, folder, dtype=torch.float32):
    """A base of each kind there is."""
    base = folder / "base"
    if kind == "weightless":
        tiny_blip2("t5", seed=1).save_pretrained(folder / "blip2", max_shard_size="30KB")
        tiny_model(family, seed=2).language_model.to(dtype).save_pretrained(folder / "text", max_shard_size="30KB")
        MBlipForConditionalGeneration.from_blip2_pretrained(folder / "blip2", folder / "text").save_composition(base)
        return base
    if kind == "blip2":
        tiny_blip2(family).save_pretrained(base)
        return base
    model = tiny_model(family)
    for part in (model.vision_model, model.language_model):
        part.to(dtype)
    model.config.dtype = dtype
    model.save_pretrained(base, max_shard_size="50KB" if kind == "sharded" else "5GB")
    if kind == "bin":
        (file,) = base.glob("*.safetensors")
        torch.save(load_file(file), base / "pytorch_model.bin")
        file.unlink()
    return base


def save_adapter(base, folder, save_embedding_layers="auto", **settings):
    """An adapter on `base` whose every weight is random, saved by PEFT."""
    model = MBlipForConditionalGeneration.from_pretrained(base)
    config = replace(lora_config(model, LoraConfig(r=4, lora_alpha=16)), **settings)
    adapted = get_peft_model(model, config)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float().normal_(0.0, 0.1)
    adapted.save_pretrained(folder, save_embedding_layers=save_embedding_layers)
    return folder


def adapted_model(base, adapter):
    return PeftModel.from_pretrained(MBlipForConditionalGeneration.from_pretrained(base), adapter).eval()


def weight_files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if "safetensors" in path.name}


def logits(model):
    config = model.config
    batch = tiny_batch("mt5" if config.is_encoder_decoder else "bloom", image_token_id=config.image_token_id)
    with torch.no_grad():
        return model(**batch).logits


def assert_merged_is_the_adapter_on_its_base(base, adapter, tmp_path):
    merge([str(adapter), str(tmp_path / "merged"), "--max-shard-size", SHARD])
    adapted = adapted_model(base, adapter)
    adapted_logits = logits(adapted)
    expected = adapted.merge_and_unload()
    expected.save_pretrained(tmp_path / "expected", max_shard_size=SHARD)
    files = weight_files(tmp_path / "merged")
    assert len(files) > 2
    assert files == weight_files(tmp_path / "expected")
    loaded = MBlipForConditionalGeneration.from_pretrained(tmp_path / "merged")
    assert torch.equal(logits(loaded), logits(expected))
    if expected.dtype == torch.float32:
        torch.testing.assert_close(logits(loaded), adapted_logits, rtol=1e-4, atol=1e-4)
    assert loaded.config.parents is None
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("kind", "family"),
    [
        *(("sharded", family) for family in ("mt5", "mbart", "marian", "bloom", "gpt2", "llama")),
        *(("blip2", family) for family in ("mt5", "bloom")),
        *(("weightless", family) for family in ("mt5", "marian", "bloom")),
    ],
)
def test_the_files_are_those_of_merge_and_unload(kind, family, tmp_path):
    base = save_base(kind, family, tmp_path)
    assert_merged_is_the_adapter_on_its_base(base, save_adapter(base, tmp_path / "adapter"), tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {"use_rslora": True},
        {"alpha_pattern": {"q": 64}, "rank_pattern": {"SelfAttention.k": 2, "wo": 6}},
        {"modules_to_save": None},
        {"modules_to_save": ["language_projection"], "target_modules": ["q", "v"]},
        {"use_dora": True},
        {"bias": "all"},
        {"init_lora_weights": "pissa"},
    ],
)
def test_every_kind_of_lora_that_peft_merges_is_merged(settings, tmp_path):
    base = save_base("sharded", "mt5", tmp_path)
    assert_merged_is_the_adapter_on_its_base(base, save_adapter(base, tmp_path / "adapter", **settings), tmp_path)


def dtypes(folder):
    """The dtypes of each part in a folder's files."""
    weights = [item for file in folder.glob("*.safetensors") for item in load_file(file).items()]
    parts = sorted({key.split(".")[0] for key, _ in weights})
    return {part: {weight.dtype for key, weight in weights if key.split(".")[0] == part} for part in parts}


@pytest.mark.parametrize("kind", ["single", "bin", "weightless"])
@pytest.mark.parametrize(
    ("dtype", "of_language_model"),
    [
        (torch.bfloat16, {torch.bfloat16}),
        (torch.float16, {torch.float16, torch.float32}),  # transformers keeps the `wo` of mT5 in fp32 then
    ],
)
def test_the_base_keeps_its_dtype_and_the_image_side_its_own(kind, dtype, of_language_model, tmp_path):
    base = save_base(kind, "mt5", tmp_path, dtype)
    assert_merged_is_the_adapter_on_its_base(base, save_adapter(base, tmp_path / "adapter"), tmp_path)
    assert dtypes(tmp_path / "merged") == {
        "language_model": of_language_model,
        "language_projection": {torch.float32},
        "qformer": {torch.float32},
        "query_tokens": {torch.float32},
        "vision_model": {dtype},
    }


def test_a_language_model_that_does_not_say_its_dtype_keeps_the_one_it_is_stored_in(tmp_path):
    """Not that of the BLIP-2 beside it."""
    base = save_base("weightless", "bloom", tmp_path, torch.bfloat16)
    for path in (tmp_path / "text" / "config.json", base / "config.json"):
        config = json.loads(path.read_text())
        for part in (config, config.get("text_config", {})):
            part.pop("dtype", None)
        path.write_text(json.dumps(config))
    assert_merged_is_the_adapter_on_its_base(base, save_adapter(base, tmp_path / "adapter"), tmp_path)
    assert dtypes(tmp_path / "merged")["language_model"] == {torch.bfloat16}


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
    assert_merged_is_the_adapter_on_its_base(base, save_adapter(base, tmp_path / "adapter"), tmp_path)
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
    assert_merged_is_the_adapter_on_its_base(base, save_adapter(base, tmp_path / "adapter"), tmp_path)
    index = json.loads((tmp_path / "merged" / "model.safetensors.index.json").read_text())["weight_map"]
    assert shared in index
    assert not set(copies) & index.keys()


def test_a_folder_without_an_adapter_is_named(tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(ValueError, match=r"model holds no adapter_config\.json, expected an adapter"):
        merge([str(tmp_path / "model"), str(tmp_path / "merged")])
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*/lost, and this is no repository name"):
        merge([str(tmp_path / "lost"), str(tmp_path / "merged")])
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_base_can_lie_elsewhere_and_the_report_counts(tmp_path, capsys):
    base = save_base("sharded", "mt5", tmp_path)
    adapter = save_adapter(base, tmp_path / "adapter")
    expected = adapted_model(base, adapter).merge_and_unload()
    expected.save_pretrained(tmp_path / "expected")
    base.rename(tmp_path / "moved")
    with pytest.raises((ValueError, OSError), match=rf"There is no folder {base}"):
        merge([str(adapter), str(tmp_path / "merged")])
    merge([str(adapter), str(tmp_path / "merged"), "--base", str(tmp_path / "moved")])
    files = weight_files(tmp_path / "merged")
    assert list(files) == ["model.safetensors"]
    assert files == weight_files(tmp_path / "expected")
    assert capsys.readouterr().out == (
        f"{adapter} is merged into {tmp_path / 'moved'}.\n"
        f"{tmp_path / 'merged'}: {expected.num_parameters():,} parameters.\n"
    )


@pytest.mark.parametrize("kind", ["whole", "weightless", "parents", "adapter"])
def test_processor_and_generation_settings_come_along(kind, tmp_path):
    tiny_blip2("opt").save_pretrained(tmp_path / "blip2")
    tiny_processor("bloom").image_processor.save_pretrained(tmp_path / "blip2")
    language_model = tiny_model("bloom").language_model
    language_model.generation_config.num_beams = 3
    language_model.save_pretrained(tmp_path / "text")
    tiny_tokenizer(100).save_pretrained(tmp_path / "text")
    options = ["--weightless"] if kind in ("weightless", "parents") else []
    compose([str(tmp_path / "blip2"), str(tmp_path / "text"), str(tmp_path / "base"), *options])
    adapter = save_adapter(tmp_path / "base", tmp_path / "adapter")
    if kind in ("parents", "adapter"):  # a base without a processor of its own, as training writes it
        for name in PROCESSOR_FILES:
            (tmp_path / "base" / name).unlink()
    if kind == "adapter":
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


def test_the_processor_of_a_folder_in_blip2s_layout_is_ours_when_merged(tmp_path):
    base = save_base("blip2", "mt5", tmp_path)
    processor = tiny_processor("mt5")
    processor.tokenizer.save_pretrained(base)
    settings = processor.image_processor.to_dict() | {"processor_class": "Blip2Processor"}
    (base / "preprocessor_config.json").write_text(json.dumps(settings))
    merge([str(save_adapter(base, tmp_path / "adapter")), str(tmp_path / "merged")])
    assert type(AutoProcessor.from_pretrained(tmp_path / "merged")) is MBlipProcessor


# transformers 5.23 leaves the files of named templates open.
@pytest.mark.filterwarnings("ignore:unclosed file .*jinja:ResourceWarning")
def test_every_file_of_the_tokenizer_comes_along_and_no_other(tmp_path):
    """Those of Marian's two SentencePiece models, and of chat templates that have names."""
    base = save_base("single", "llama", tmp_path)
    processor = tiny_processor("llama")
    processor.tokenizer.chat_template = {"default": "{{ messages }}", "rag": "{{ documents }}"}
    processor.save_pretrained(base)
    (base / "source.spm").write_bytes(b"source")
    (base / "results.json").write_text("{}")
    merge([str(save_adapter(base, tmp_path / "adapter")), str(tmp_path / "merged")])
    assert (tmp_path / "merged" / "source.spm").read_bytes() == b"source"
    assert AutoProcessor.from_pretrained(tmp_path / "merged").chat_template == processor.tokenizer.chat_template
    names = [{path.relative_to(folder) for path in folder.rglob("*")} for folder in (base, tmp_path / "merged")]
    assert names[0] - names[1] == {(base / "results.json").relative_to(base)}
    assert names[1] <= names[0]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_base("single", "mt5", tmp_path_factory.mktemp("refused"))


def assert_refused(message, adapter, tmp_path, *options):
    """Refused with this message, and nothing is written."""
    before = sorted(tmp_path.iterdir())
    with pytest.raises((ValueError, OSError, SafetensorError), match=rf"{message}"):
        merge([str(adapter), str(tmp_path / "merged"), *options])
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("settings", "weight"),
    [
        ({"target_modules": ["lm_head", "q"]}, "lm_head"),
        ({"target_modules": ["lm_head", "q"], "save_embedding_layers": False}, "lm_head"),
        ({"target_modules": ["shared", "q"], "save_embedding_layers": False}, "shared"),
        ({"modules_to_save": ["shared"]}, "shared"),
        ({"trainable_token_indices": {"shared": [5]}}, "shared"),
    ],
)
@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers` to `True`:UserWarning")
def test_an_adapter_on_weights_that_are_tied_is_refused(settings, weight, base, tmp_path):
    """PEFT merges it, and the model answers otherwise than the adapter did."""
    adapter = save_adapter(base, tmp_path / "adapter", **settings)
    assert_refused(rf"\S+ changes 'language_model\.{weight}\.weight', which its base shares", adapter, tmp_path)


def test_an_adapter_of_another_base_is_refused(base, tmp_path):
    adapter = save_adapter(base, tmp_path / "adapter")
    sizes = {"wide": {"d_model": 48}, "deep": {"num_layers": 3}}
    for name, size in sizes.items():
        tiny_model("mt5", text_config=tiny_text_config("mt5", **size)).save_pretrained(tmp_path / name)
    other = save_base("single", "bloom", tmp_path)
    for folder, message in {
        tmp_path / "wide": r"\S+adapter does not fit its base\. Give the one it was trained on.*size mismatch",
        tmp_path / "deep": r"\S+adapter does not fit its base\. .*It lacks 14 weights.*block\.2\.",
        other: "No modules were targeted",
        adapter: r"\S+adapter does not fit its base\. .*Already found a `peft_config`",
    }.items():
        assert_refused(message, adapter, tmp_path, "--base", str(folder))


def test_an_adapter_that_lacks_a_weight_is_refused(base, tmp_path):
    adapter = save_adapter(base, tmp_path / "adapter")
    weights = load_file(adapter / "adapter_model.safetensors")
    del weights[next(key for key in weights if "lora_B" in key)]
    save_file(weights, adapter / "adapter_model.safetensors")
    assert_refused(r"\S+ does not fit its base\. .*It lacks 1 weights.*lora_B", adapter, tmp_path)


def test_a_random_projection_must_be_in_the_adapter(tmp_path):
    base = save_base("weightless", "mt5", tmp_path)
    adapter = save_adapter(base, tmp_path / "adapter", modules_to_save=["qformer"])
    assert_refused(r"\S+ holds no `language_projection`, and its base has a random one", adapter, tmp_path)


@pytest.mark.parametrize("part", ["lora_B", "qformer"])
def test_a_weight_that_is_not_finite_is_refused(part, base, tmp_path):
    adapter = save_adapter(base, tmp_path / "adapter")
    weights = load_file(adapter / "adapter_model.safetensors")
    name = next(key for key in weights if part in key)
    save_file(weights | {name: weights[name] * float("nan")}, adapter / "adapter_model.safetensors")
    assert_refused(r".*holds values that are not finite", adapter, tmp_path)


@pytest.mark.parametrize(("kind", "quantised"), [("single", "base"), ("weightless", "text")])
def test_a_quantised_base_is_refused(kind, quantised, tmp_path):
    base = save_base(kind, "mt5", tmp_path)
    adapter = save_adapter(base, tmp_path / "adapter")
    path = tmp_path / quantised / "config.json"
    settings = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    assert_refused(
        rf"\S+/{quantised} is quantised, and an adapter cannot be merged into quantised weights", adapter, tmp_path
    )


def test_a_base_whose_run_was_quantised_but_whose_components_are_not_is_merged(tmp_path):
    """`save_composition` of a model in 8 bits."""
    base = save_base("weightless", "mt5", tmp_path)
    adapter = save_adapter(base, tmp_path / "adapter")
    settings = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | settings))
    merge([str(adapter), str(tmp_path / "merged")])
    assert "quantization_config" not in json.loads((tmp_path / "merged" / "config.json").read_text())
    MBlipForConditionalGeneration.from_pretrained(tmp_path / "merged")


def test_what_names_no_base_or_is_no_adapter_of_weights_is_refused(base, tmp_path):
    adapter = save_adapter(base, tmp_path / "adapter")
    config = PeftConfig.from_pretrained(adapter)
    assert isinstance(config, LoraConfig)
    config.base_model_name_or_path = None
    config.save_pretrained(adapter)
    assert_refused(r"\S+ names no base\. Give the one it was trained on with --base", adapter, tmp_path)
    assert_refused(r".*adapter_config\.json", base, tmp_path)
    prompts = PromptTuningConfig(
        task_type="SEQ_2_SEQ_LM",
        num_virtual_tokens=2,
        num_layers=2,
        token_dim=32,
        num_attention_heads=4,
        base_model_name_or_path=str(base),
    )
    prompts.save_pretrained(tmp_path / "prompts")
    assert_refused(r"\S+prompts is an adapter of kind .*PROMPT_TUNING", tmp_path / "prompts", tmp_path)


def test_a_folder_that_is_there_is_left_alone(base, tmp_path):
    adapter = save_adapter(base, tmp_path / "adapter")
    (tmp_path / "merged").mkdir()
    assert_refused(r"\S+merged already exists\. Delete it, or give another folder", adapter, tmp_path)
    assert list((tmp_path / "merged").iterdir()) == []


def test_a_full_disk_leaves_nothing_and_what_a_killed_merge_left_is_overwritten(base, tmp_path, monkeypatch):
    adapter = save_adapter(base, tmp_path / "adapter")

    def fill_disk(model, folder, **kwargs):
        folder.mkdir(exist_ok=True)
        (folder / "model-00001-of-00002.safetensors").write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as context:
        context.setattr(MBlipForConditionalGeneration, "save_pretrained", fill_disk)
        assert_refused(r".*No space left on device", adapter, tmp_path)
    (tmp_path / ".merged.partial").mkdir()
    (tmp_path / ".merged.partial" / "model-00001-of-00002.safetensors").write_bytes(b"half")
    merge([str(adapter), str(tmp_path / "merged")])
    assert list(weight_files(tmp_path / "merged")) == ["model.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "merged"]


def test_an_adapter_of_a_deeper_base_is_refused(base, tmp_path):
    """PEFT would leave out what has no layer."""
    deep = tiny_text_config("mt5", num_layers=3)
    tiny_model("mt5", text_config=deep).save_pretrained(tmp_path / "deep")
    adapter = save_adapter(tmp_path / "deep", tmp_path / "adapter")
    message = r"\S+ does not fit its base\. .*of its weights are not in the base, such as '.*encoder\.block\.2\."
    assert_refused(message, adapter, tmp_path, "--base", str(base))


def test_a_base_that_lacks_weights_is_refused(base, tmp_path):
    """transformers would make them up."""
    adapter = save_adapter(base, tmp_path / "adapter")
    weights = load_file(base / "model.safetensors")
    del weights["vision_model.post_layernorm.weight"]
    shutil.copytree(base, tmp_path / "lacking")
    save_file(weights, tmp_path / "lacking" / "model.safetensors", metadata={"format": "pt"})
    message = r"\S+lacking lacks 1 weights, such as 'vision_model\.post_layernorm\.weight'\. Give the base"
    assert_refused(message, adapter, tmp_path, "--base", str(tmp_path / "lacking"))
