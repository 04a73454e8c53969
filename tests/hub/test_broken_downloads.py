"""Downloads that break: the client goes on or begins again, and what is half there is never taken for whole."""

import signal
import subprocess
import sys
import time

import pytest
import torch
from huggingface_hub import constants, hf_hub_download

from modeling_mblip import MBlipForConditionalGeneration
from tests.hub.client import ROOT, environment, run_python
from tests.hub.faults import Fault
from tests.hub.published import SHARD_SIZE, add_components, load, logits, save_old_blip2, upload
from tests.hub.repositories import StoredFile
from tests.tiny import tiny_model

STORAGE = r"^/[0-9a-f]{64}$"
DOWNLOAD = "from huggingface_hub import hf_hub_download as get; print(get('tester/model', 'x.bin'))"


@pytest.fixture
def model(hub, client, tmp_path):
    """A model in shards, already on the Hub."""
    model = tiny_model("mt5")
    model.save_pretrained(tmp_path / "model", max_shard_size=SHARD_SIZE)
    upload(hub, "tester/model", tmp_path / "model")
    return model


def test_a_download_that_breaks_goes_on_where_it_stopped(hub, client, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)  # the client keeps what came in whole pieces
    data = bytes(range(256)) * 200
    hub.add("tester/model", {"x.bin": StoredFile(data, True)})
    hub.fail(Fault("GET", STORAGE, download_bytes=20_000, times=2))
    with open(hf_hub_download("tester/model", "x.bin"), "rb") as file:
        assert file.read() == data
    ranges = [request.headers.get("range") for request in hub.requests if request.is_to_storage]
    assert ranges == [None, "bytes=20000-", "bytes=40000-"]


def test_a_model_comes_whole_through_breaks_and_server_errors(hub, model):
    breaks = hub.fail(Fault("GET", STORAGE, download_bytes=5_000, times=4))
    errors = hub.fail(Fault("HEAD", r"00002-of", status=503))
    assert torch.equal(logits(load("tester/model")), logits(model))
    assert breaks.times == errors.times == 0


def test_a_download_that_never_succeeds_leaves_nothing_that_is_taken_for_whole(hub, client, model):
    fault = hub.fail(Fault("GET", STORAGE, download_bytes=0, times=1000))
    with pytest.raises(Exception, match=r"peer closed connection|Server disconnected"):
        load("tester/model")
    assert not [path for path in client.cached() if path.endswith(".safetensors")]
    assert client.partial() == []
    fault.times = 0
    assert torch.equal(logits(load("tester/model")), logits(model))


def test_after_a_shard_that_failed_the_others_are_not_downloaded_again(hub, client, model):
    files = hub.repositories["tester/model"].files
    shards = sorted(path for path in files if path.endswith(".safetensors"))
    fault = hub.fail(Fault("GET", files[shards[-1]].sha256, status=404, times=1000))
    with pytest.raises(OSError, match="404"):
        load("tester/model")
    there = client.cached() & set(shards)
    assert shards[-1] not in there
    fault.times = 0
    hub.requests.clear()
    assert torch.equal(logits(load("tester/model")), logits(model))
    assert len([request for request in hub.requests if request.is_to_storage]) == len(shards) - len(there)


def test_a_composition_that_breaks_is_completed_by_the_next(hub, client, tmp_path):
    add_components(hub, tmp_path)
    save_old_blip2(tmp_path / "old")
    old = upload(hub, "old/blip2", tmp_path / "old")
    shard = old.files["pytorch_model-00003-of-00010.bin"]
    fault = hub.fail(Fault("GET", shard.sha256, download_bytes=100, times=1))
    hub.fail(Fault("GET", shard.sha256, status=403, times=1))
    with pytest.raises(OSError, match="403"):
        MBlipForConditionalGeneration.from_blip2_pretrained("old/blip2", "parents/text")
    assert fault.times == 0
    composed = MBlipForConditionalGeneration.from_blip2_pretrained("old/blip2", "parents/text", projection="blip2")
    local = MBlipForConditionalGeneration.from_blip2_pretrained(
        tmp_path / "old", tmp_path / "language_model", projection="blip2"
    )
    assert torch.equal(logits(composed), logits(local))


def test_a_process_killed_in_mid_download_leaves_no_half_file(hub, tmp_path):
    data = bytes(range(256)) * 40_000
    hub.add("tester/model", {"x.bin": StoredFile(data, True)})
    stalled = hub.fail(Fault("GET", STORAGE, download_bytes=6_000_000, stall_seconds=30))
    process = subprocess.Popen(
        [sys.executable, "-c", DOWNLOAD], cwd=ROOT, env=environment(hub, tmp_path), stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while not (stalled.times == 0 and list(tmp_path.rglob("*.incomplete"))) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(tmp_path.rglob("*.incomplete"))
    assert not list(tmp_path.rglob("x.bin"))
    offline = run_python(hub, tmp_path, "-c", DOWNLOAD, HF_HUB_OFFLINE="1")
    assert "LocalEntryNotFoundError" in offline.stderr
    again = run_python(hub, tmp_path, "-c", DOWNLOAD)
    assert again.returncode == 0, again.stderr
    with open(again.stdout.strip(), "rb") as file:
        assert file.read() == data
