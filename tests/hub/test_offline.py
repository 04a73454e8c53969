"""Without a network: what was loaded once is loaded again from the cache, and nothing is asked of the Hub."""

import pytest
import torch
from peft import PeftModel
from transformers import AutoConfig

from mblip.training.trainable import set_trainable
from modeling_mblip import MBlipForConditionalGeneration
from modeling_mblip.checkpoint_reading import has_weights
from processing_mblip import MBlipProcessor
from tests.hub.client import run_python
from tests.hub.faults import Fault
from tests.hub.published import SHARD_SIZE, add_components, load, logits, randomise, upload
from tests.tiny import tiny_model, tiny_processor


@pytest.fixture
def weightless(hub, client, tmp_path):
    """`tester/base`, which composes its components, and a model of its own kind, from an empty cache."""
    add_components(hub, tmp_path)
    composed = MBlipForConditionalGeneration.from_blip2_pretrained("parents/blip2", "parents/text", projection="blip2")
    composed.save_composition(tmp_path / "base")
    upload(hub, "tester/base", tmp_path / "base")
    client.use_home(tmp_path / "others")
    return composed


def test_a_model_and_its_processor_are_loaded_from_a_warm_cache(hub, client):
    model, processor = tiny_model("mt5"), tiny_processor("mt5")
    model.push_to_hub("tester/model", max_shard_size=SHARD_SIZE)
    processor.push_to_hub("tester/model")
    load("tester/model")
    MBlipProcessor.from_pretrained("tester/model")
    client.go_offline()
    hub.requests.clear()
    assert torch.equal(logits(load("tester/model")), logits(model))
    assert MBlipProcessor.from_pretrained("tester/model").to_dict() == processor.to_dict()
    assert hub.requests == []


def test_a_model_without_weights_is_composed_from_a_warm_cache(hub, client, weightless):
    load("tester/base")
    client.go_offline()
    hub.requests.clear()
    assert torch.equal(logits(load("tester/base")), logits(weightless))
    assert hub.requests == []


def test_an_adapter_is_loaded_from_a_warm_cache(hub, client, weightless):
    adapted = set_trainable(load("tester/base"), "re_alignment")
    randomise(adapted)
    adapted.push_to_hub("tester/adapter")
    PeftModel.from_pretrained(load("tester/base"), "tester/adapter")
    client.go_offline()
    hub.requests.clear()
    pulled = PeftModel.from_pretrained(load("tester/base"), "tester/adapter")
    assert torch.equal(logits(pulled), logits(adapted))
    assert hub.requests == []


def test_with_an_empty_cache_the_error_says_that_it_is_offline(hub, client):
    tiny_model("mt5").push_to_hub("tester/model")
    client.go_offline()
    with pytest.raises(OSError, match=r"couldn't connect to [\s\S]* offline mode"):
        load("tester/model")


def test_when_the_hub_is_gone_a_warm_cache_serves(hub, client):
    model = tiny_model("mt5")
    model.push_to_hub("tester/model")
    load("tester/model")
    hub.fail(Fault("HEAD", ".", status=503, times=1000))
    hub.fail(Fault("GET", ".", status=503, times=1000))
    assert torch.equal(logits(load("tester/model")), logits(model))


@pytest.mark.parametrize("is_offline", [True, False])
def test_a_trained_composition_whose_weights_cannot_be_reached_is_an_error(hub, client, weightless, is_offline):
    with torch.no_grad():
        weightless.language_projection.weight.normal_()
    weightless.push_to_hub("tester/trained")
    load("tester/base")
    AutoConfig.from_pretrained("tester/trained")
    if is_offline:
        client.go_offline()
    hub.fail(Fault("HEAD", r"tester/trained/.*safetensors", status=503, times=1000))
    with pytest.raises(OSError, match=r"tester/trained|couldn't connect"):
        load("tester/trained")


def test_weights_that_cannot_be_reached_are_not_taken_for_missing(hub, client):
    tiny_model("mt5").push_to_hub("tester/model")
    hub.fail(Fault("HEAD", r"tester/model/.*safetensors", status=503, times=1000))
    with pytest.raises(OSError, match=r"tester/model|couldn't connect"):
        has_weights("tester/model")


@pytest.mark.slow
def test_the_environment_variable_alone_makes_a_process_load_from_its_cache(hub, client, tmp_path):
    tiny_model("mt5").push_to_hub("tester/model")
    code = "from modeling_mblip import *; MBlipForConditionalGeneration.from_pretrained('tester/model')"
    assert run_python(hub, tmp_path, "-c", code).returncode == 0
    hub.requests.clear()
    done = run_python(hub, tmp_path, "-c", code, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert hub.requests == []
