"""A model exported to BLIP-2's layout answers the same in transformers' own class and in ours. What that layout or
vLLM cannot run is refused, and nothing is written. vLLM itself: tests/test_vllm.py.
"""

import json

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from tiny import QFORMER, VOCAB_SIZE, tiny_model, tiny_processor, tiny_text_config, tiny_tokenizer
from transformers import AutoProcessor, AutoTokenizer, Blip2ForConditionalGeneration, Blip2Processor

from mblip import export
from mblip.cli import main
from mblip.export import export_to_blip2
from mblip.loading import Precision, load_checkpoint
from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor
from tests.training.test_merge import save_adapter

PROMPTS = ["caption a red", "what colour"]
# The head of Llama is its own, that of OPT and Gemma the embeddings.
FAMILIES = ("llama", pytest.param("opt", marks=pytest.mark.slow), "gemma2")


def save(folder, family="llama", *, tokenizer=None, model=None, **changes):
    """A model with its processor, as a path in text."""
    processor = tiny_processor(family)
    if tokenizer is not None:
        processor = MBlipProcessor(processor.image_processor, tokenizer, processor.num_query_tokens, VOCAB_SIZE)
    (tiny_model(family, **changes) if model is None else model).save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def pictures():
    generator = np.random.default_rng(0)
    return [Image.fromarray(generator.integers(0, 256, (40, 50, 3), dtype=np.uint8)) for _ in PROMPTS]


def inputs_of(processor):
    return processor(images=pictures()[0], text=PROMPTS[0], return_tensors="pt")


def logits_of(model, inputs):
    with torch.no_grad():
        return model.eval()(**inputs).logits


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_and_our_own_class_compute_the_same_from_the_exported_folder(family, tmp_path):
    source = save(tmp_path / "model", family)
    export_to_blip2(source, tmp_path / "blip2")
    ours, processor = load_checkpoint(source, Precision("auto"))
    theirs = Blip2ForConditionalGeneration.from_pretrained(tmp_path / "blip2")
    their_processor = AutoProcessor.from_pretrained(tmp_path / "blip2")
    again, processor_again = load_checkpoint(str(tmp_path / "blip2"), Precision("auto"))
    assert type(their_processor) is Blip2Processor

    # One at a time: BLIP-2's processor pads between image and text.
    for picture, text in zip(pictures(), PROMPTS, strict=True):
        mine, other, read = (
            p(images=picture, text=text, return_tensors="pt") for p in (processor, their_processor, processor_again)
        )
        assert mine["input_ids"].tolist() == other["input_ids"].tolist() == read["input_ids"].tolist()
        assert torch.equal(mine["pixel_values"], other["pixel_values"])
        expected, found = logits_of(ours, mine), logits_of(theirs, other)
        assert torch.equal(found[..., :VOCAB_SIZE], expected)
        torch.testing.assert_close(found[..., VOCAB_SIZE], mean_logit(family, expected), rtol=0, atol=1e-6)
        assert torch.equal(logits_of(again, read), found)
        answer = ours.generate(**mine, max_new_tokens=5, do_sample=False)
        assert torch.equal(theirs.generate(**other, max_new_tokens=5, do_sample=False)[:, -answer.shape[1] :], answer)


def mean_logit(family, logits):
    """What the mean of the head's rows gives; Gemma caps its logits behind the head, at 3 in tests/tiny.py."""
    if family == "gemma2":
        return 3 * torch.tanh(torch.atanh(logits / 3).mean(-1))
    return logits.mean(-1)


def test_the_layout_is_blip2s(tmp_path):
    source = save(tmp_path / "model")
    export_to_blip2(source, tmp_path / "blip2")
    config = json.loads((tmp_path / "blip2" / "config.json").read_text())
    text_config = config["text_config"]
    assert (config["model_type"], config["image_token_index"], config["num_query_tokens"]) == ("blip-2", 128, 4)
    assert (text_config["architectures"], text_config["vocab_size"]) == (["LlamaForCausalLM"], 129)
    assert (config["tie_word_embeddings"], text_config["tie_word_embeddings"]) == (False, False)
    with safe_open(tmp_path / "blip2" / "model.safetensors", framework="pt") as file:
        keys = set(file.keys())
        assert file.get_tensor("query_tokens").shape == (1, 4, 16)
        assert file.get_tensor("language_model.lm_head.weight").shape == (129, 32)
    assert {key.split(".")[0] for key in keys} == {
        *("vision_model", "query_tokens", "qformer", "language_projection", "language_model")
    }
    token = AutoTokenizer.from_pretrained(tmp_path / "blip2").added_tokens_decoder[128]
    assert (token.content, token.special, token.normalized) == ("<image>", True, False)


def test_a_table_with_a_row_to_spare_stays_as_it_is(tmp_path):
    source = save(tmp_path / "model", tokenizer=tiny_tokenizer(vocab_size=120, padding_side="left"))
    export_to_blip2(source, tmp_path / "blip2")
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("model", "blip2"))
    before["query_tokens"] = before.pop("query_tokens.weight")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert json.loads((tmp_path / "blip2" / "config.json").read_text())["image_token_index"] == 120


def test_each_part_keeps_its_dtype_and_large_models_are_sharded(tmp_path):
    model = tiny_model("llama")
    model.vision_model.bfloat16()
    model.language_model.bfloat16()
    model.config.dtype = torch.bfloat16
    source = save(tmp_path / "model", model=model)
    export_to_blip2(source, tmp_path / "blip2", max_shard_size="50KB")
    index = json.loads((tmp_path / "blip2" / "model.safetensors.index.json").read_text())["weight_map"]
    assert len(set(index.values())) > 2
    dtypes = {}
    for file in set(index.values()):
        for key, weight in load_file(tmp_path / "blip2" / file).items():
            dtypes.setdefault(key.split(".")[0], set()).add(weight.dtype)
    half, full = {torch.bfloat16}, {torch.float32}
    assert dtypes == {
        "vision_model": half,
        "language_model": half,
        "qformer": full,
        "query_tokens": full,
        "language_projection": full,
    }
    again, ours = map(MBlipForConditionalGeneration.from_pretrained, (tmp_path / "blip2", source))
    assert again.dtype == ours.dtype == torch.bfloat16
    inputs = inputs_of(tiny_processor("llama"))
    assert torch.equal(logits_of(again, inputs)[..., :VOCAB_SIZE], logits_of(ours, inputs))
    theirs = Blip2ForConditionalGeneration.from_pretrained(tmp_path / "blip2")
    assert {parameter.dtype for parameter in theirs.parameters()} == half


def test_an_adapter_is_merged_on_the_way(tmp_path):
    base = save(tmp_path / "base")
    adapter = save_adapter(base, tmp_path / "adapter")
    export_to_blip2(str(adapter), tmp_path / "blip2")
    merged, processor = load_checkpoint(str(adapter), Precision("auto"))
    found = Blip2ForConditionalGeneration.from_pretrained(tmp_path / "blip2")
    plain = MBlipForConditionalGeneration.from_pretrained(base)
    inputs = inputs_of(processor)
    assert torch.equal(logits_of(found, inputs)[..., :VOCAB_SIZE], logits_of(merged, inputs))
    assert not torch.allclose(logits_of(plain, inputs), logits_of(merged, inputs), atol=0.1)


def test_a_text_branch_that_images_never_reach_is_left_out(tmp_path):
    source = save(tmp_path / "model", qformer_config=QFORMER | {"use_qformer_text_input": True})
    export_to_blip2(source, tmp_path / "blip2")
    with safe_open(tmp_path / "blip2" / "model.safetensors", framework="pt") as file:
        assert not [key for key in file.keys() if "word_embeddings" in key or ".intermediate." in key]  # noqa: SIM118
    theirs, ours = (
        cls.from_pretrained(folder)
        for cls, folder in (
            (Blip2ForConditionalGeneration, tmp_path / "blip2"),
            (MBlipForConditionalGeneration, source),
        )
    )
    inputs = inputs_of(tiny_processor("llama"))
    assert torch.equal(logits_of(theirs, inputs)[..., :VOCAB_SIZE], logits_of(ours, inputs))


@pytest.mark.parametrize("adds_bos", [False, True])
def test_a_chat_gives_the_ids_that_ours_gives_with_the_image_in_front(adds_bos, tmp_path):
    tokenizer = tiny_tokenizer(padding_side="left")
    if adds_bos:
        from tokenizers.processors import TemplateProcessing

        tokenizer._tokenizer.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    source = save(tmp_path / "model", tokenizer=tokenizer)
    export_to_blip2(source, tmp_path / "blip2")
    image, text = {"type": "image", "image": pictures()[0]}, {"type": "text", "text": "what colour"}
    chat = [{"role": "user", "content": [image, text]}, {"role": "assistant", "content": "red"}]
    images, front = [128] * 4, [1] * adds_bos
    what, colour, red = (AutoTokenizer.from_pretrained(source).get_vocab()[word] for word in ("what", "colour", "red"))
    for folder in (source, tmp_path / "blip2"):
        processor = MBlipProcessor.from_pretrained(folder)
        inputs = processor.apply_chat_template(chat, tokenize=True, return_dict=True)
        assert inputs["input_ids"][0] == [*images, *front, what, colour, red]
    # as vLLM does: the tokenizer's template, no more special tokens
    exported = AutoTokenizer.from_pretrained(tmp_path / "blip2")
    text_only = exported.apply_chat_template(chat, tokenize=True, return_dict=False)
    assert text_only == [*front, what, colour, red]


def test_a_model_with_a_chat_template_is_exported_only_if_its_images_may_move(tmp_path):
    tokenizer = tiny_tokenizer(padding_side="left")
    tokenizer.chat_template = "{% for message in messages %}Question: {{ message.content }} {% endfor %}Answer:"
    source = save(tmp_path / "model", tokenizer=tokenizer)
    with pytest.raises(ValueError, match=r"has a chat template: images stand in the user's turn.*--images-first"):
        export_to_blip2(source, tmp_path / "blip2")
    assert not (tmp_path / "blip2").exists()
    export_to_blip2(source, tmp_path / "blip2", images_first=True)
    assert AutoTokenizer.from_pretrained(tmp_path / "blip2").chat_template == tokenizer.chat_template
    assert "its answers differ from the original's" in (tmp_path / "blip2" / "README.md").read_text()


REFUSED = {
    "mt5": ("mt5", {}, r"its language model is an encoder-decoder \(mt5\)"),
    "bloom": (
        "bloom",
        {},
        r"of type bloom, expected one of cohere, .* an attribute `model`, which BLOOM and GPT-2 do not",
    ),
    "projected": (
        "opt",
        {"text_config": tiny_text_config("opt", word_embed_proj_dim=16)},
        r"its embeddings are projected to the hidden size, 32",
    ),
    "quantised": (
        "llama",
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
        r"it is quantised, expected 16 or 32 bits",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_blip2_in_vllm_cannot_run_is_refused_before_its_weights_are_read(kind, tmp_path):
    family, changes, message = REFUSED[kind]
    source = save(tmp_path / "model", family, **changes)
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=message):
        export_to_blip2(source, tmp_path / "blip2")
    assert {path.name for path in tmp_path.iterdir()} == {"model"}


def test_a_language_model_alone_is_refused(tmp_path):
    tiny_model("llama").language_model.save_pretrained(tmp_path / "text")
    with pytest.raises(ValueError, match="is a checkpoint of type 'llama', expected 'mblip' or 'blip-2'"):
        export_to_blip2(str(tmp_path / "text"), tmp_path / "blip2")


def test_a_folder_with_files_is_refused_and_an_empty_one_is_filled(tmp_path):
    source = save(tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    with pytest.raises(FileExistsError, match="already exists and is not empty"):
        export_to_blip2(source, tmp_path / "model")
    (tmp_path / "empty").mkdir()
    export_to_blip2(source, tmp_path / "empty")
    assert (tmp_path / "empty" / "config.json").is_file()
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before


def test_a_broken_export_leaves_nothing_behind(tmp_path, monkeypatch):
    source = save(tmp_path / "model")

    def fail(*_):
        raise OSError("the disk is gone")

    monkeypatch.setattr(export, "_write_card", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        export_to_blip2(source, tmp_path / "blip2")
    assert {path.name for path in tmp_path.iterdir()} == {"model"}


def test_the_card_keeps_the_licence_and_says_what_the_folder_is(tmp_path):
    source = save(tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text("---\nlicense: mit\nlanguage: [de, en]\n---\n# Mine\n")
    export_to_blip2(source, tmp_path / "blip2")
    card = ModelCard.load(tmp_path / "blip2" / "README.md")
    assert (card.data.license, card.data.language, card.data.library_name) == ("mit", ["de", "en"], "transformers")
    assert "This is `model`, written by `mblip export --to blip2`" in card.text
    assert "`<image>` is token 128 of the tokenizer, and the embeddings have 129 rows" in card.text
    assert (tmp_path / "blip2" / "MODEL_CARD.md").read_text().endswith("# Mine\n")


def test_another_layout_is_an_error_that_names_blip2(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["export", "--to", "onnx", "MODEL", str(tmp_path / "folder")])
    assert stopped.value.code == 2
    assert "invalid choice: 'onnx' (choose from blip2)" in capsys.readouterr().err.replace("'blip2'", "blip2")


def test_the_command_prints_what_it_wrote(tmp_path, capsys):
    source = save(tmp_path / "model")
    main(["export", "--to", "blip2", source, str(tmp_path / "blip2")])
    assert f"{tmp_path / 'blip2'}: 4 `<image>` tokens (id 128) in front of each prompt" in capsys.readouterr().out
