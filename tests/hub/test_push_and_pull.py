"""transformers' and PEFT's own `push_to_hub` and `from_pretrained` with our classes, through the true client."""

import pickle

import pytest
import torch
from peft import AutoPeftModel, PeftModel
from transformers import AutoModelForImageTextToText, AutoProcessor

from mblip.training.trainable import set_trainable
from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor
from tests.hub.published import SHARD_SIZE, add_components, load, logits, randomise, save_old_blip2, upload
from tests.tiny import tiny_model, tiny_processor


@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_a_model_in_shards_and_its_processor_come_back_as_they_were(hub, client, family):
    model, processor = tiny_model(family), tiny_processor(family)
    model.push_to_hub("tester/model", max_shard_size=SHARD_SIZE)
    processor.push_to_hub("tester/model")
    repository = hub.repositories["tester/model"]
    assert repository.messages == ["initial", "Upload MBlipForConditionalGeneration", "Upload processor"]
    assert len([path for path in repository.files if path.endswith(".safetensors")]) > 5
    for pulled in (load("tester/model"), AutoModelForImageTextToText.from_pretrained("tester/model")):
        assert type(pulled) is MBlipForConditionalGeneration
        assert torch.equal(logits(pulled, family), logits(model, family))
    for pulled in (MBlipProcessor.from_pretrained("tester/model"), AutoProcessor.from_pretrained("tester/model")):
        assert type(pulled) is MBlipProcessor
        assert pulled.to_dict() == processor.to_dict()
        assert pulled.tokenizer.get_vocab() == processor.tokenizer.get_vocab()
        assert pulled.tokenizer.padding_side == processor.tokenizer.padding_side


def test_every_revision_gives_its_own_weights(hub, client):
    old, new = tiny_model("mt5", seed=1), tiny_model("mt5", seed=2)
    old.push_to_hub("tester/model")
    first = hub.repositories["tester/model"].head
    hub.repositories["tester/model"].tags["v1"] = first
    new.push_to_hub("tester/model")
    old.push_to_hub("tester/model", revision="other/branch")
    for revision, expected in ((None, new), ("main", new), ("v1", old), (first, old), ("other/branch", old)):
        assert torch.equal(logits(load("tester/model", revision=revision)), logits(expected))


def test_a_private_repository_is_loaded_with_its_token_alone(hub, client):
    model = tiny_model("mt5")
    model.push_to_hub("tester/model", private=True)
    assert torch.equal(logits(load("tester/model")), logits(model))
    client.use_home(client.cache.parent / "other")
    client.sign_out()
    with pytest.raises(OSError, match="tester/model is not a local folder and is not a valid model identifier"):
        load("tester/model")


def test_an_adapter_on_a_whole_model_is_loaded_by_peft_and_by_transformers(hub, client):
    tiny_model("mt5").push_to_hub("tester/base")
    adapted = set_trainable(load("tester/base"), "re_alignment")
    randomise(adapted)
    adapted.push_to_hub("tester/adapter")
    files = hub.repositories["tester/adapter"].files
    assert {"adapter_config.json", "adapter_model.safetensors"} < set(files)
    assert not [path for path in files if path.startswith(("model", "config"))]
    base = load("tester/base")
    base.load_adapter("tester/adapter")
    for pulled in (
        PeftModel.from_pretrained(load("tester/base"), "tester/adapter"),
        AutoPeftModel.from_pretrained("tester/adapter", import_allowlist=["modeling_mblip"]),
        AutoModelForImageTextToText.from_pretrained("tester/adapter"),
        load("tester/adapter"),
        base,
    ):
        assert torch.equal(logits(pulled), logits(adapted))


def test_a_composition_takes_its_components_at_their_revisions(hub, client, tmp_path):
    add_components(hub, tmp_path)
    text = hub.repositories["parents/text"]
    text.tags["v1"] = text.head
    composed = MBlipForConditionalGeneration.from_blip2_pretrained(
        "parents/blip2",
        "parents/text",
        projection="blip2",
        blip2_revision=hub.repositories["parents/blip2"].head,
        language_model_revision="v1",
    )
    composed.save_composition(tmp_path / "base")
    base = upload(hub, "tester/base", tmp_path / "base")
    assert "model.safetensors" not in base.files
    tiny_model("mt5", seed=9).language_model.push_to_hub("tester/other")
    text.commit("main", text.files | hub.repositories["tester/other"].files, "moved on")
    client.use_home(tmp_path / "others")
    assert torch.equal(logits(load("tester/base")), logits(composed))


def test_of_an_old_blip2_only_the_shards_of_its_image_side_are_downloaded(hub, client, tmp_path):
    weights = save_old_blip2(tmp_path / "old")
    repository = upload(hub, "old/blip2", tmp_path / "old")
    tiny_model("mt5", seed=2).language_model.push_to_hub("tester/text")
    shards = {path for path in repository.files if path.endswith(".bin")}
    composed = MBlipForConditionalGeneration.from_blip2_pretrained("old/blip2", "tester/text", projection="blip2")
    assert torch.equal(composed.query_tokens.weight, weights["query_tokens"])
    assert torch.equal(composed.language_projection.weight, weights["language_projection.weight"])
    for name, weight in composed.vision_model.state_dict().items():
        assert torch.equal(weight, weights[f"vision_model.{name}"])
    asked = {request.path.split("/")[-1] for request in hub.requests if "old/blip2/resolve" in request.path} & shards
    assert asked == client.cached() & shards
    assert asked == {f"pytorch_model-0000{i}-of-00010.bin" for i in (1, 2, 3, 4)}
    assert len(shards) == 10


def test_an_old_blip2_is_loaded_from_all_its_pickled_shards(hub, client, tmp_path):
    save_old_blip2(tmp_path / "old")
    upload(hub, "old/blip2", tmp_path / "old")
    pulled = load("old/blip2")
    assert torch.equal(logits(pulled), logits(load(str(tmp_path / "old"))))


class _Code:
    """What pickle would run when it is loaded."""

    def __reduce__(self):
        return print, ("run",)


def test_a_pickled_shard_that_would_run_code_is_refused(hub, client, tmp_path, capsys):
    save_old_blip2(tmp_path / "old")
    torch.save({"query_tokens": _Code()}, tmp_path / "old" / "pytorch_model-00001-of-00010.bin")
    upload(hub, "old/blip2", tmp_path / "old")
    tiny_model("mt5", seed=2).language_model.push_to_hub("tester/text")
    for loading in (
        lambda: MBlipForConditionalGeneration.from_blip2_pretrained("old/blip2", "tester/text"),
        lambda: load("old/blip2"),
    ):
        with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
            loading()
    assert capsys.readouterr().out == ""
