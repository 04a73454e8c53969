"""`mblip publish`: what a finished run made, pushed by the true client and loaded by others."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from peft import AutoPeftModel, PeftModel
from transformers import AutoModelForImageTextToText

from mblip.training.publish import main, publish
from processing_mblip import MBlipProcessor
from tests.hub.client import Client, run_python
from tests.hub.faults import Fault
from tests.hub.published import add_components, finish_run, load, logits, upload
from tests.hub.repositories import StoredFile
from tests.hub.server import TOKEN, LoopbackHub
from tests.tiny import tiny_batch, tiny_blip2

LOADER = """
import sys, torch
from transformers import AutoModelForImageTextToText, AutoProcessor
batch, expected = torch.load(sys.argv[1])
model = AutoModelForImageTextToText.from_pretrained("tester/model", trust_remote_code=True).eval()
processor = AutoProcessor.from_pretrained("tester/model", trust_remote_code=True)
for loaded in (model, processor, processor.image_processor):
    assert "transformers_modules" in type(loaded).__module__, type(loaded).__module__
with torch.no_grad():
    assert torch.equal(model(**batch).logits, expected)
"""

TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}  # merging an adapter rounds


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run whose components have names of the Hub, beside those components, and the logits of its
    model."""
    folder = tmp_path_factory.mktemp("run")
    with LoopbackHub() as hub, pytest.MonkeyPatch.context() as monkeypatch:
        Client(hub, folder / "home", monkeypatch)
        add_components(hub, folder)
        yield finish_run(folder, "parents/blip2", "parents/text")


@pytest.fixture
def run(hub, client, finished, tmp_path):
    """A finished run whose components are on the Hub, and the logits of its model. Nothing is cached yet."""
    folder, expected = finished
    upload(hub, "parents/blip2", folder.parent / "blip2")
    upload(hub, "parents/text", folder.parent / "language_model")
    return Path(shutil.copytree(folder, tmp_path / "out")), expected


def test_a_published_model_is_one_commit_that_others_load(hub, run, capsys):
    folder, expected = run
    main([str(folder), "tester/model"])
    repository = hub.repositories["tester/model"]
    assert capsys.readouterr().out == f"{hub.url}/tester/model/commit/{repository.head}\n"
    assert repository.messages == ["initial", "Model of the run out"]
    assert torch.equal(logits(load("tester/model")), expected)
    processor = MBlipProcessor.from_pretrained("tester/model")
    assert processor.to_dict() == MBlipProcessor.from_pretrained(folder / "model").to_dict()
    card = repository.files["README.md"].data.decode()
    assert 'from_pretrained("tester/model")' in card
    assert "base_model:\n- parents/blip2\n- parents/text\n" in card
    assert not [path for path in repository.files if path.endswith(".py")]


def test_a_published_model_names_no_path_of_this_machine(hub, client, tmp_path):
    add_components(hub, tmp_path)
    folder, expected = finish_run(tmp_path, str(tmp_path / "blip2"), str(tmp_path / "language_model"))
    publish(folder, "tester/model")
    files = hub.repositories["tester/model"].files
    assert [path for path, file in files.items() if str(tmp_path).encode() in file.data] == []
    assert "parents" not in json.loads(files["config.json"].data)
    assert torch.equal(logits(load("tester/model")), expected)


def test_published_again_nothing_stale_is_left_and_what_others_added_stays(hub, run):
    folder, expected = run
    publish(folder, "tester/model")
    repository = hub.repositories["tester/model"]
    others = {"image.png": StoredFile(b"png", True), "pytorch_model.bin": StoredFile(b"old", True)}
    before = set(repository.files)
    repository.commit("main", repository.files | others, "others")
    publish(folder, "tester/model")
    assert set(repository.files) == before | {"image.png"}
    head = repository.head
    publish(folder, "tester/model")
    assert repository.head == head
    assert torch.equal(logits(load("tester/model")), expected)


def test_a_published_adapter_rests_on_a_base_that_others_load(hub, run):
    folder, expected = run
    assert len(publish(folder, "tester/adapter", is_adapter=True)) == 2
    base, adapter = hub.repositories["tester/adapter-base"], hub.repositories["tester/adapter"]
    assert base.messages == ["initial", "Base of the run out, without weights"]
    assert adapter.messages == ["initial", "Adapter of the run out"]
    assert sorted(base.files) == [".gitattributes", "README.md", "config.json", "generation_config.json"]
    components = json.loads(base.files["config.json"].data)["parents"]
    assert components["blip2_revision"] == hub.repositories["parents/blip2"].head
    assert components["language_model_revision"] == hub.repositories["parents/text"].head
    assert torch.allclose(
        logits(PeftModel.from_pretrained(load("tester/adapter-base"), "tester/adapter")), expected, **TOLERANCE
    )
    processor = MBlipProcessor.from_pretrained("tester/adapter")
    assert processor.to_dict() == MBlipProcessor.from_pretrained(folder / "model").to_dict()
    card = adapter.files["README.md"].data.decode()
    assert "base_model: tester/adapter-base\n" in card
    assert "library_name: peft\n" in card
    assert 'AutoModelForImageTextToText.from_pretrained("tester/adapter")' in card
    assert "## Results\n\nNone." in card


def test_a_published_adapter_is_loaded_by_its_name_alone(hub, run):
    folder, expected = run
    publish(folder, "tester/adapter", is_adapter=True)
    for loaded in (
        AutoModelForImageTextToText.from_pretrained("tester/adapter"),
        AutoPeftModel.from_pretrained("tester/adapter", import_allowlist=["modeling_mblip"]),
        load("tester/adapter"),
    ):
        assert torch.allclose(logits(loaded), expected, **TOLERANCE)


def test_an_adapter_of_a_component_that_moved_on_keeps_the_component_it_was_published_with(hub, run, tmp_path):
    folder, expected = run
    publish(folder, "tester/adapter", is_adapter=True)
    text = hub.repositories["parents/text"]
    text.commit("main", {path: file for path, file in text.files.items() if path != "model.safetensors"}, "moved on")
    assert torch.allclose(
        logits(PeftModel.from_pretrained(load("tester/adapter-base"), "tester/adapter")), expected, **TOLERANCE
    )


def test_a_public_adapter_rests_on_public_components_and_a_private_one_on_those_that_we_may_read(hub, run):
    folder, _ = run
    parent = hub.repositories["parents/text"]
    parent.is_private = True
    parent.readers.add("tester")
    with pytest.raises(ValueError, match=r"composes parents/text \(revision None\), which others cannot load"):
        publish(folder, "tester/adapter", is_adapter=True)
    assert "tester/adapter" not in hub.repositories
    assert len(publish(folder, "tester/adapter", is_private=True, is_adapter=True)) == 2
    assert hub.repositories["tester/adapter-base"].is_private
    parent.readers.clear()
    with pytest.raises(ValueError, match=r"composes parents/text \(revision None\), which others cannot load"):
        publish(folder, "tester/adapter", is_private=True, is_adapter=True)


def test_a_folder_of_this_machine_is_not_taken_for_the_repository_of_that_name(hub, run, monkeypatch):
    folder, _ = run
    (folder / "parents" / "text").mkdir(parents=True)
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match="composes parents/text"):
        publish(folder, "tester/adapter", is_adapter=True)
    publish(folder, "tester/model")
    assert "base_model:\n- parents/blip2\n---" in hub.repositories["tester/model"].files["README.md"].data.decode()


def test_an_adapter_of_a_checkpoint_of_this_machine_is_refused_and_of_one_on_the_hub_not(hub, run, tmp_path):
    folder, _ = run
    tiny_blip2().config.save_pretrained(tmp_path / "blip2-layout")
    for path in (folder / "base").iterdir():
        path.unlink()
    (folder / "base").rmdir()
    config_path = folder / "adapter" / "adapter_config.json"
    config = json.loads(config_path.read_text())
    config_path.write_text(json.dumps(config | {"base_model_name_or_path": str(tmp_path)}))
    with pytest.raises(ValueError, match=r"base is .*, which others cannot load from the Hub\. Publish the base"):
        publish(folder, "tester/adapter", is_adapter=True)
    upload(hub, "other/base", tmp_path / "blip2-layout")
    config_path.write_text(json.dumps(config | {"base_model_name_or_path": "other/base"}))
    with pytest.raises(ValueError, match="base other/base is of type 'blip-2', expected 'mblip'"):
        publish(folder, "tester/adapter", is_adapter=True)
    upload(hub, "other/base", folder / "model")
    config_path.write_text(json.dumps(config | {"base_model_name_or_path": "other/base"}))
    publish(folder, "tester/adapter", is_adapter=True)
    assert list(hub.repositories)[-1] == "tester/adapter"
    published = json.loads(hub.repositories["tester/adapter"].files["adapter_config.json"].data)
    assert published["base_model_name_or_path"] == "other/base"


def test_a_private_repository_is_private_and_a_public_one_not_filled_by_mistake(hub, run):
    folder, _ = run
    publish(folder, "tester/secret", is_private=True)
    assert hub.repositories["tester/secret"].is_private
    hub.add("tester/open", {})
    with pytest.raises(ValueError, match="tester/open exists and is public"):
        publish(folder, "tester/open", is_private=True)
    assert sorted(hub.repositories["tester/open"].files) == [".gitattributes"]


def test_a_push_that_breaks_leaves_the_old_commit_and_a_second_one_completes_it(hub, run, capsys):
    folder, expected = run
    hub.part_size = 20_000
    fault = hub.fail(Fault("PUT", r"/4$", upload_bytes=1000, times=6))
    with pytest.raises((ValueError, OSError), match=r"Error while uploading 'model.safetensors'.*is unchanged"):
        main([str(folder), "tester/model"])
    repository = hub.repositories["tester/model"]
    assert fault.times == 0
    assert repository.messages == ["initial"]
    assert sorted(repository.files) == [".gitattributes"]
    main([str(folder), "tester/model"])
    assert repository.messages == ["initial", "Model of the run out"]
    assert torch.equal(logits(load("tester/model")), expected)


def test_after_a_commit_that_failed_no_large_file_is_sent_again(hub, run):
    folder, expected = run
    hub.fail(Fault("POST", r"/commit/", status=503))
    with pytest.raises((ValueError, OSError), match="503"):
        main([str(folder), "tester/model"])
    assert hub.repositories["tester/model"].messages == ["initial"]
    num_puts = len([request for request in hub.requests if request.method == "PUT"])
    assert num_puts == 1
    main([str(folder), "tester/model"])
    assert len([request for request in hub.requests if request.method == "PUT"]) == num_puts
    assert torch.equal(logits(load("tester/model")), expected)


QUESTIONS = {
    "whether the repository is there": ("POST", "repos/create"),
    "what is in it": ("GET", "/api/models/tester/model$"),
    "which files to upload": ("POST", "/preupload/"),
    "where to upload them": ("POST", "/info/lfs/"),
    "the commit": ("POST", "/commit/"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_hub_that_hangs_up_is_told_and_the_same_line_goes_on(hub, run, question):
    folder, expected = run
    method, path = QUESTIONS[question]
    fault = hub.fail(Fault(method, path, upload_bytes=0, times=20))
    with pytest.raises(
        ConnectionError, match=r"Hub failed .*Known to be pushed: nothing\. Run the same command again"
    ):
        main([str(folder), "tester/model"])
    assert fault.times < 20
    fault.times = 0
    main([str(folder), "tester/model"])
    assert torch.equal(logits(load("tester/model")), expected)


def test_a_hub_that_is_lost_between_base_and_adapter_says_what_was_pushed(hub, run):
    folder, _ = run
    hub.fail(Fault("POST", "tester/adapter/commit/", status=502, times=20))
    with pytest.raises(ConnectionError, match=r"Known to be pushed: http.*/tester/adapter-base/commit/\w+\. Run the"):
        main([str(folder), "tester/adapter", "--adapter"])


def test_without_a_token_or_rights_the_error_says_so(hub, client, run):
    folder, _ = run
    with pytest.raises((ValueError, OSError), match="the rights to create a model under the namespace of other/model"):
        main([str(folder), "other/model"])
    client.sign_out()
    with pytest.raises((ValueError, OSError), match="Found no token for the Hub"):
        main([str(folder), "tester/model"])


def test_the_token_is_nowhere_but_in_the_requests(hub, run, caplog, capsys):
    folder, _ = run
    caplog.set_level(logging.DEBUG)
    hub.fail(Fault("POST", r"/commit/", status=503))
    with pytest.raises((ValueError, OSError)) as caught:
        main([str(folder), "tester/model"])
    main([str(folder), "tester/model"])
    main([str(folder), "tester/adapter", "--adapter"])
    output = capsys.readouterr()
    texts = [str(caught.value), output.out, output.err, caplog.text, *hub.repositories["tester/model"].messages]
    files = [file.data for repository in hub.repositories.values() for file in repository.files.values()]
    assert len(caplog.text) > 1000
    assert TOKEN in {request.token for request in hub.requests}
    assert not [text for text in texts if TOKEN in text]
    assert not [data for data in files if TOKEN.encode() in data]


@pytest.mark.slow
def test_with_remote_code_a_process_without_these_packages_loads_it(hub, run, tmp_path):
    folder, expected = run
    done = run_python(hub, tmp_path / "a", "-m", "mblip", "publish", str(folder), "tester/model", "--remote-code")
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    torch.save((tiny_batch("mt5"), expected), tmp_path / "expected.pt")
    done = run_python(hub, tmp_path / "b", "-P", "-c", LOADER, str(tmp_path / "expected.pt"), PYTHONPATH="")
    assert done.returncode == 0, done.stderr
