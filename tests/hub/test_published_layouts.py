"""Folders like the published checkpoints: loaded in two lines, right to the last logit, and ours once saved."""

import json
import re
from pathlib import Path

import pytest
import sentencepiece
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.utils import is_protobuf_available

from mblip.training.compose import main as compose
from modeling_mblip import MBlipConfig, MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor
from tests.hub.old_layouts import NUM_QUERY_TOKENS, NUM_SHARDS, NUM_SPARE_ROWS, Reference, save_published
from tests.hub.old_tokenizers import training_lines
from tests.hub.published import upload

PROMPTS = ("Caption in German: ", "Question: what is above the star? Short answer in English: ")
IMAGES = tuple(Image.linear_gradient("L").rotate(90 * i).resize((40 + i, 30)).convert("RGB") for i in range(3))


class Published:
    """A folder, what its model must compute, and both loaded as a user loads them."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kind = folder, kind
        self.reference: Reference = save_published(folder, kind)
        self.model = MBlipForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        self.processor = MBlipProcessor.from_pretrained(folder)

    def inputs(self, image: Image.Image, prompt: str = PROMPTS[0]) -> dict[str, torch.Tensor]:
        inputs = self.processor(images=image, text=prompt, return_tensors="pt")
        return dict(inputs) | self.targets(1)

    def targets(self, batch_size: int) -> dict[str, torch.Tensor]:
        tokens = torch.tensor([[0, 300, 301]]).expand(batch_size, -1)
        return {"decoder_input_ids": tokens} if self.model.config.is_encoder_decoder else {}


@pytest.fixture(scope="module", params=["mt0", "bloomz"])
def published(request, tmp_path_factory):
    return Published(tmp_path_factory.mktemp("published") / request.param, request.param)


@torch.no_grad()
def logits(model, inputs):
    return model(**inputs).logits


def test_the_image_token_is_the_first_spare_row_and_no_table_grows(published):
    num_tokens, rows = published.reference.num_tokens, published.reference.num_tokens + NUM_SPARE_ROWS
    model, processor = published.model, published.processor
    assert len(processor.tokenizer) == num_tokens
    assert processor.image_token_id == model.config.image_token_id == num_tokens
    assert processor.num_query_tokens == model.config.num_query_tokens == NUM_QUERY_TOKENS
    assert model.config.text_config.vocab_size == rows
    assert model.get_input_embeddings().weight.shape[0] == model.get_output_embeddings().weight.shape[0] == rows


def test_every_weight_is_there_and_what_is_none_today_is_left(published):
    _, report = MBlipForConditionalGeneration.from_pretrained(published.folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["mismatched_keys"]
    assert set(report["unexpected_keys"]) == {"qformer.embeddings.position_ids"}


def test_the_head_is_tied_where_the_configuration_of_2023_ties_it(published):
    model = published.model
    is_tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert is_tied == (published.kind == "bloomz")


def test_without_a_dtype_it_has_that_of_its_configuration_and_what_trains_is_fp32(published):
    model = MBlipForConditionalGeneration.from_pretrained(published.folder)
    for part in (model.vision_model, model.language_model):
        assert {p.dtype for p in part.parameters()} == {torch.bfloat16}
    for part in (model.query_tokens, model.qformer, model.language_projection):
        assert {p.dtype for p in part.parameters()} == {torch.float32}


def test_tokens_are_those_of_the_tokenizer_of_2023(published):
    tokenizer, lines = published.processor.tokenizer, training_lines()
    assert len(lines) > 300
    found = [tokenizer(line, add_special_tokens=False)["input_ids"] for line in lines]
    if published.kind == "mt0":
        model = sentencepiece.SentencePieceProcessor(model_file=str(published.folder / "spiece.model"))
        assert found == [model.encode(line) for line in lines]
        assert tokenizer("a")["input_ids"][-1:] == [1]
    else:
        assert [tokenizer.decode(ids) for ids in found] == lines
        assert [tokenizer(line)["input_ids"] for line in lines] == found
    expected = {"mt0": (0, 1, 2, None, "right"), "bloomz": (3, 2, 0, 1, "left")}[published.kind]
    ids = (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id, tokenizer.bos_token_id)
    assert (*ids, tokenizer.padding_side) == expected


@pytest.mark.skipif(not is_protobuf_available(), reason="transformers reads spiece.model with the protobuf package")
def test_a_sentencepiece_model_alone_gives_the_same_tokens_and_image_token(tmp_path):
    num_tokens = save_published(tmp_path / "mt0", "mt0").num_tokens
    expected = MBlipProcessor.from_pretrained(tmp_path / "mt0")
    (tmp_path / "mt0" / "tokenizer.json").unlink()
    processor = MBlipProcessor.from_pretrained(tmp_path / "mt0")
    assert MBlipConfig.from_pretrained(tmp_path / "mt0").image_token_id == processor.image_token_id == num_tokens
    lines = training_lines()
    assert processor.tokenizer(lines)["input_ids"] == expected.tokenizer(lines)["input_ids"]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_logits_are_those_of_features_and_embeddings_put_together_by_hand(published, prompt):
    inputs = published.inputs(IMAGES[0], prompt)
    assert inputs["input_ids"][0, :NUM_QUERY_TOKENS].tolist() == [published.reference.num_tokens] * NUM_QUERY_TOKENS
    arguments = {name: value for name, value in inputs.items() if name != "attention_mask"}
    found, expected = logits(published.model, inputs), published.reference.logits(**arguments)
    assert expected.abs().max() > 1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_another_image_changes_the_logits_and_the_answer(published):
    first, second = (published.inputs(image) for image in IMAGES[:2])
    assert torch.equal(first["input_ids"], second["input_ids"])
    assert (logits(published.model, first) - logits(published.model, second)).abs().max() > 0.1
    answers = {generate(published, image, PROMPTS[0]) for image in IMAGES}
    assert len(answers) > 1


def test_the_processor_of_the_other_checkpoint_is_refused_by_name(published, tmp_path):
    other = {"mt0": "bloomz", "bloomz": "mt0"}[published.kind]
    reference = save_published(tmp_path / other, other)
    processor = MBlipProcessor.from_pretrained(tmp_path / other)
    inputs = dict(processor(images=IMAGES[0], text=PROMPTS[0], return_tensors="pt"))
    message = (
        rf"hold 0 `<image>` tokens, .* The processor's `image_token_id` seems to be {reference.num_tokens}, that of "
        rf"another checkpoint\..*from_pretrained\('{re.escape(str(published.folder))}'\)` "
        rf"\(`image_token_id` {published.reference.num_tokens}, "
    )
    for call in (published.model.forward, published.model.generate):
        with pytest.raises(ValueError, match=message):
            call(**inputs)


def generate(published, images, prompts, **arguments):
    """Texts as a tuple, or one of a single prompt."""
    inputs = published.processor(images=images, text=prompts, padding=True, return_tensors="pt")
    ids = published.model.generate(**inputs, max_new_tokens=12, **arguments)
    texts = published.processor.batch_decode(ids, skip_special_tokens=True)
    return texts[0] if isinstance(prompts, str) else tuple(texts)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_batch_answers_as_its_prompts_alone(published, num_beams):
    prompts = [PROMPTS[0], PROMPTS[1], "Caption in Hindi: "]
    alone = tuple(
        generate(published, image, prompt, num_beams=num_beams) for image, prompt in zip(IMAGES, prompts, strict=True)
    )
    assert generate(published, list(IMAGES), prompts, num_beams=num_beams) == alone
    assert all(alone)


def test_saved_pushed_and_pulled_it_is_ours_and_the_same(published, hub, client, tmp_path):
    published.model.push_to_hub("tester/model")
    published.processor.push_to_hub("tester/model")
    files = hub.repositories["tester/model"].files
    config = json.loads(files["config.json"].data)
    assert (config["model_type"], config["image_token_id"]) == ("mblip", published.reference.num_tokens)
    assert [path for path in files if path.endswith((".bin", ".safetensors"))] == ["model.safetensors"]
    client.use_home(tmp_path / "others")
    expected = published.inputs(IMAGES[0])
    for model_class, processor_class in (
        (MBlipForConditionalGeneration, MBlipProcessor),
        (AutoModelForImageTextToText, AutoProcessor),
    ):
        model = model_class.from_pretrained("tester/model").eval()
        processor = processor_class.from_pretrained("tester/model")
        assert (type(model), type(processor)) == (MBlipForConditionalGeneration, MBlipProcessor)
        assert processor.image_token_id == model.config.image_token_id == published.reference.num_tokens
        inputs = processor(images=IMAGES[0], text=PROMPTS[0], return_tensors="pt")
        assert all(torch.equal(value, expected[name]) for name, value in inputs.items())
        assert torch.equal(logits(model, expected), logits(published.model, expected))


def test_it_is_loaded_from_the_hub_by_its_name_and_revision_as_from_its_folder(published, hub, client):
    repository = upload(hub, "other/published", published.folder)
    repository.tags["v1-arxiv"] = repository.head
    repository.commit("main", {}, "all gone")
    location = {"pretrained_model_name_or_path": "other/published", "revision": "v1-arxiv"}
    model = MBlipForConditionalGeneration.from_pretrained(**location, dtype=torch.float32)
    processor = MBlipProcessor.from_pretrained(**location)
    assert model.config.image_token_id == processor.image_token_id == published.reference.num_tokens
    inputs = published.inputs(IMAGES[0])
    assert torch.equal(logits(model, inputs), logits(published.model, inputs))


def test_its_shards_are_mapped_into_memory_and_no_code_of_theirs_runs(published, tmp_path, monkeypatch):
    loaded, load = [], torch.load

    def remember(path, **settings):
        loaded.append((Path(path).name, settings.get("weights_only"), settings.get("mmap")))
        return load(path, **settings)

    monkeypatch.setattr(torch, "load", remember)
    names = sorted(path.name for path in published.folder.glob("pytorch_model-*.bin"))
    assert len(names) == NUM_SHARDS[published.kind]
    MBlipForConditionalGeneration.from_pretrained(published.folder)
    assert sorted(set(loaded)) == [(name, True, True) for name in names]
    loaded.clear()
    published.model.language_model.save_pretrained(tmp_path / "text")
    MBlipForConditionalGeneration.from_blip2_pretrained(published.folder, tmp_path / "text")
    assert set(loaded) == {(names[0], True, True)}  # the one with the image side


def test_it_gives_its_image_side_to_a_composition(published, tmp_path, capsys):
    text = tmp_path / "text"
    published.model.language_model.save_pretrained(text)
    published.processor.tokenizer.save_pretrained(text)
    compose([str(published.folder), str(text), str(tmp_path / "composed"), "--projection", "blip2"])
    assert f"`<image>` tokens (id {published.reference.num_tokens})" in capsys.readouterr().out
    inputs = published.inputs(IMAGES[0])
    model = MBlipForConditionalGeneration.from_pretrained(tmp_path / "composed")
    processor = MBlipProcessor.from_pretrained(tmp_path / "composed")
    assert torch.equal(logits(model, inputs), logits(published.model, inputs))
    assert torch.equal(
        processor(images=IMAGES[0], text=PROMPTS[0], return_tensors="pt")["input_ids"], inputs["input_ids"]
    )
