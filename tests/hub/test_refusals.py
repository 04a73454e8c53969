"""Repositories, revisions and files that are not there or not for us: the error names them, and never the token."""

import json
import logging

import pytest
from peft import PeftModel

from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor
from tests.hub.faults import Fault
from tests.hub.published import add_components, load, upload
from tests.hub.server import TOKEN
from tests.tiny import tiny_model, tiny_processor

compose = MBlipForConditionalGeneration.from_blip2_pretrained
LOADERS = {"model": load, "processor": MBlipProcessor.from_pretrained}


@pytest.fixture
def gated(hub, client, tmp_path):
    """`other/gated`, a model with its processor, for which access must be asked."""
    tiny_model("mt5").save_pretrained(tmp_path / "model")
    tiny_processor("mt5").save_pretrained(tmp_path / "model")
    return upload(hub, "other/gated", tmp_path / "model", is_gated=True)


@pytest.mark.parametrize("what", LOADERS)
def test_a_missing_repository_is_named(hub, client, what):
    with pytest.raises(OSError, match="other/nowhere"):
        LOADERS[what]("other/nowhere")


@pytest.mark.parametrize("what", LOADERS)
def test_a_gated_repository_is_named_and_loads_once_access_is_granted(gated, what):
    with pytest.raises(OSError, match=r"gated repo[\s\S]*other/gated"):
        LOADERS[what]("other/gated")
    gated.readers.add("tester")
    LOADERS[what]("other/gated")


@pytest.mark.parametrize("what", LOADERS)
def test_a_missing_revision_is_named(gated, what):
    gated.readers.add("tester")
    with pytest.raises(OSError, match="v9") as caught:
        LOADERS[what]("other/gated", revision="v9")
    assert "other/gated" in str(caught.value)


def test_a_component_that_is_gated_or_missing_is_named(hub, client, tmp_path):
    add_components(hub, tmp_path)
    with pytest.raises(OSError, match="parents/nowhere"):
        compose("parents/nowhere", "parents/text")
    with pytest.raises(OSError, match="parents/nowhere"):
        compose("parents/blip2", "parents/nowhere")
    with pytest.raises(OSError, match=r"v9 is not a valid git identifier[\s\S]*parents/blip2"):
        compose("parents/blip2", "parents/text", blip2_revision="v9")
    hub.repositories["parents/blip2"].is_gated = True
    with pytest.raises(OSError, match=r"gated repo[\s\S]*parents/blip2"):
        compose("parents/blip2", "parents/text")


def test_a_component_without_weights_is_named(hub, client, tmp_path):
    add_components(hub, tmp_path)
    blip2 = hub.repositories["parents/blip2"]
    files = {path: file for path, file in blip2.files.items() if "safetensors" not in path}
    blip2.commit("main", files, "no weights")
    with pytest.raises(FileNotFoundError, match=r"parents/blip2 holds none of model\.safetensors"):
        compose("parents/blip2", "parents/text")


def test_a_missing_adapter_is_named(hub, client):
    tiny_model("mt5").push_to_hub("tester/base")
    with pytest.raises(ValueError, match=r"Can't find 'adapter_config\.json' at 'tester/base'"):
        PeftModel.from_pretrained(load("tester/base"), "tester/base")


def test_a_wrong_token_is_refused_and_not_shown(gated, client, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    wrong = "hf_" + "wrong" * 6
    client.sign_in(wrong)
    with pytest.raises(OSError, match="Invalid credentials in Authorization header") as caught:
        load("other/gated")
    output = capsys.readouterr()
    assert wrong not in str(caught.value) + caplog.text + output.out + output.err


def test_no_error_log_or_file_of_a_push_and_a_pull_shows_the_token(hub, client, tmp_path, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    model = tiny_model("mt5")
    hub.fail(Fault("POST", r"/commit/", status=500))
    with pytest.raises(OSError, match="500 Internal Server Error") as caught:
        model.push_to_hub("tester/model")
    model.push_to_hub("tester/model", token=TOKEN)
    pulled = load("tester/model", token=TOKEN)
    pulled.save_pretrained(tmp_path / "again")
    tiny_processor("mt5").push_to_hub("tester/model")
    MBlipProcessor.from_pretrained("tester/model", token=TOKEN).save_pretrained(tmp_path / "again")
    output = capsys.readouterr()
    assert {request.token for request in hub.requests if not request.is_to_storage} == {TOKEN}
    assert TOKEN not in str(caught.value) + caplog.text + output.out + output.err + json.dumps(pulled.config.to_dict())
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    files += [file.data for file in hub.repositories["tester/model"].files.values()]
    assert len(files) > 10
    assert not [data for data in files if TOKEN.encode() in data]
