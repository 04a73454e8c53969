"""`mblip compose` and `mblip merge` with names of the Hub: what they ask for, and at which revision."""

import json
import pickle

import pytest
import torch
from peft import PeftModel

from mblip.training.compose import main as compose
from mblip.training.merge import main as merge
from mblip.training.trainable import set_trainable
from modeling_mblip import MBlipForConditionalGeneration
from modeling_mblip.checkpoint_reading import read_weights
from processing_mblip import MBlipProcessor
from tests.hub.client import run_python
from tests.hub.old_layouts import NUM_SHARDS, save_published
from tests.hub.published import load, randomise, upload
from tests.tiny import tiny_model, tiny_tokenizer

pytestmark = pytest.mark.slow

DONOR, TEXT = "other/published", "other/text"


def save_text(folder, seed=2, vocab_size=100):
    tiny_model("mt5", seed=seed).language_model.save_pretrained(folder, max_shard_size="30KB")
    tiny_tokenizer(vocab_size).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A donor like mblip-bloomz-7b, in three shards, and a language model in several."""
    folder = tmp_path_factory.mktemp("parents")
    save_published(folder / "donor", "bloomz")
    save_text(folder / "text")
    return folder


@pytest.fixture
def components(hub, client, folders):
    upload(hub, DONOR, folders / "donor")
    upload(hub, TEXT, folders / "text")


def files_asked(hub, repository, *endings):
    """The weight files of a repository that were asked for in any way."""
    paths = {request.path for request in hub.requests if f"/{repository}/resolve/" in request.path}
    assert paths
    return {path.rsplit("/", 1)[1] for path in paths if path.endswith(endings or (".bin", ".safetensors"))}


def assert_equal_weights(found, expected, but=()):
    state = expected.state_dict()
    assert found.state_dict().keys() == state.keys()
    for name, weight in found.state_dict().items():
        assert name.startswith(but) or torch.equal(weight, state[name]), name


def test_of_the_donor_only_the_shard_with_its_image_side_is_asked_for(hub, client, components, folders, tmp_path):
    compose([DONOR, TEXT, str(tmp_path / "composed")])
    shards = {path for path in hub.repositories[DONOR].files if path.startswith("pytorch_model-")}
    assert len(shards) == NUM_SHARDS["bloomz"]
    assert files_asked(hub, DONOR) & shards == client.cached() & shards == {"pytorch_model-00001-of-00003.bin"}
    expected = MBlipForConditionalGeneration.from_blip2_pretrained(folders / "donor", folders / "text")
    assert_equal_weights(load(tmp_path / "composed"), expected, but=("language_projection",))
    assert MBlipProcessor.from_pretrained(tmp_path / "composed").image_token_id == 100


def test_a_base_without_weights_asks_for_no_weights_at_all(hub, client, components, tmp_path):
    compose([DONOR, TEXT, str(tmp_path / "base"), "--weightless"])
    assert not files_asked(hub, DONOR) | files_asked(hub, TEXT)
    named = json.loads((tmp_path / "base" / "config.json").read_text())["parents"]
    assert (named["blip2"], named["language_model"]) == (DONOR, TEXT)


@pytest.mark.parametrize("options", [[], ["--weightless"]])
def test_a_composition_is_of_the_revisions_asked_for(hub, client, components, folders, tmp_path, options):
    donor, text = hub.repositories[DONOR], hub.repositories[TEXT]
    text.tags["v1"] = text.head
    pinned = ["--blip2-revision", donor.head, "--language-model-revision", "v1"]
    save_published(tmp_path / "donor2", "bloomz", seed=5)
    settings = tmp_path / "donor2" / "preprocessor_config.json"
    settings.write_text(settings.read_text().replace('"resample": 3', '"resample": 2'))
    for repository, folder in ((donor, tmp_path / "donor2"), (text, save_text(tmp_path / "text2", 6, 90))):
        moved_on = upload(hub, "other/moved-on", folder).files
        repository.commit("main", moved_on, "moved on")
    compose([DONOR, TEXT, str(tmp_path / "composed"), *pinned, *options])
    expected = MBlipForConditionalGeneration.from_blip2_pretrained(folders / "donor", folders / "text")
    assert_equal_weights(load(tmp_path / "composed"), expected, but=("language_projection",))
    processor = MBlipProcessor.from_pretrained(tmp_path / "composed")
    assert (processor.image_token_id, len(processor.tokenizer), processor.image_processor.resample) == (100, 100, 3)


def test_composed_again_without_a_network_it_is_the_same(hub, client, components, tmp_path):
    arguments = [DONOR, TEXT, "--projection", "blip2"]
    compose([*arguments, str(tmp_path / "first")])
    client.go_offline()
    hub.requests.clear()
    compose([*arguments, str(tmp_path / "second")])
    assert hub.requests == []
    assert_equal_weights(load(tmp_path / "second"), load(tmp_path / "first"))


def push_adapter(hub, base, name, revision=None):
    """An adapter on a base of the Hub, pushed with its processor.

    Returns:
        What PEFT makes of the two in memory.
    """
    adapted = set_trainable(load(base, revision=revision), "re_alignment")
    randomise(adapted)
    if revision is not None:
        adapted.peft_config["default"].revision = revision
    adapted.push_to_hub(name)
    config = json.loads(hub.repositories[name].files["adapter_config.json"].data)
    assert (config["base_model_name_or_path"], config.get("revision")) == (base, revision)
    return PeftModel.from_pretrained(load(base, revision=revision), name).merge_and_unload()


def test_an_adapter_is_merged_into_the_repository_that_it_names(hub, client, tmp_path):
    tiny_model("mt5").push_to_hub("tester/base", max_shard_size="40KB")
    expected = push_adapter(hub, "tester/base", "tester/adapter")
    client.use_home(tmp_path / "others")
    merge(["tester/adapter", str(tmp_path / "merged"), "--max-shard-size", "40KB"])
    assert_equal_weights(load(tmp_path / "merged"), expected)


def test_an_adapter_is_merged_into_its_base_at_the_revision_that_it_names(hub, client, tmp_path):
    tiny_model("mt5", seed=1).push_to_hub("tester/base")
    base = hub.repositories["tester/base"]
    base.tags["v1"] = base.head
    expected = push_adapter(hub, "tester/base", "tester/adapter", revision="v1")
    tiny_model("mt5", seed=2).push_to_hub("tester/base")
    merge(["tester/adapter", str(tmp_path / "merged")])
    assert_equal_weights(load(tmp_path / "merged"), expected)


def test_an_adapter_and_its_base_are_merged_at_the_revisions_asked_for(hub, client, tmp_path):
    expected = {}
    for seed in (1, 2):
        tiny_model("mt5", seed=seed).push_to_hub("tester/base")
        torch.manual_seed(seed)
        expected[seed] = push_adapter(hub, "tester/base", "tester/adapter")
        for name in ("tester/base", "tester/adapter"):
            hub.repositories[name].tags[f"v{seed}"] = hub.repositories[name].head
    for seed in (1, 2):
        folder = tmp_path / f"merged{seed}"
        merge(["tester/adapter", str(folder), "--adapter-revision", f"v{seed}", "--base-revision", f"v{seed}"])
        assert_equal_weights(load(folder), expected[seed])
    with pytest.raises((ValueError, OSError), match=r"tester/adapter"):
        merge(["tester/adapter", str(tmp_path / "merged3"), "--adapter-revision", "v3"])


def test_a_composition_is_merged_from_its_components_at_their_revisions(hub, client, components, tmp_path):
    donor, text = hub.repositories[DONOR], hub.repositories[TEXT]
    pinned = ["--blip2-revision", donor.head, "--language-model-revision", text.head]
    compose([DONOR, TEXT, str(tmp_path / "base"), "--weightless", *pinned])
    upload(hub, "tester/base", tmp_path / "base")
    expected = push_adapter(hub, "tester/base", "tester/adapter")
    text.commit("main", upload(hub, "other/moved-on", save_text(tmp_path / "text2", 6, 90)).files, "moved on")
    donor.commit("main", {}, "all gone")
    client.use_home(tmp_path / "others")
    hub.requests.clear()
    merge(["tester/adapter", str(tmp_path / "merged")])
    assert_equal_weights(load(tmp_path / "merged"), expected)
    assert MBlipProcessor.from_pretrained(tmp_path / "merged").image_token_id == 100
    assert files_asked(hub, DONOR, "00003.bin") == {"pytorch_model-00001-of-00003.bin"}


def test_merged_again_without_a_network_it_is_the_same(hub, client, components, tmp_path):
    compose([DONOR, TEXT, str(tmp_path / "base"), "--weightless"])
    upload(hub, "tester/base", tmp_path / "base")
    push_adapter(hub, "tester/base", "tester/adapter")
    merge(["tester/adapter", str(tmp_path / "first")])
    client.go_offline()
    hub.requests.clear()
    merge(["tester/adapter", str(tmp_path / "second")])
    assert hub.requests == []
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("first", "second")]
    assert {"model.safetensors", "generation_config.json", "tokenizer.json", "processor_config.json"} <= set(files[0])
    assert files[0] == files[1]


class _Code:
    """What pickle would run when it is loaded."""

    def __reduce__(self):
        return print, ("run",)


def test_a_shard_that_would_run_code_ends_both_commands_with_a_message(hub, client, components, tmp_path, capsys):
    donor = hub.repositories[DONOR]
    compose([DONOR, TEXT, str(tmp_path / "base"), "--weightless"])
    upload(hub, "tester/base", tmp_path / "base")
    push_adapter(hub, "tester/base", "tester/adapter")
    name = "pytorch_model-00001-of-00003.bin"
    torch.save({"query_tokens": _Code()}, tmp_path / name)
    (tmp_path / "evil").mkdir()
    (tmp_path / name).rename(tmp_path / "evil" / name)
    donor.commit("main", donor.files | upload(hub, "other/evil", tmp_path / "evil").files, "evil")
    capsys.readouterr()
    with pytest.raises(pickle.UnpicklingError, match=r"Weights only load failed"):
        compose([DONOR, TEXT, str(tmp_path / "composed")])
    with pytest.raises(pickle.UnpicklingError, match=r"Weights only load failed"):
        merge(["tester/adapter", str(tmp_path / "merged")])
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "composed").exists()
    assert not (tmp_path / "merged").exists()


def test_bin_files_in_pytorchs_older_format_are_read_whole(tmp_path):
    weights = {"query_tokens": torch.randn(1, 4, 16), "language_model.head": torch.ones(2)}
    torch.save(weights, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    found = read_weights(tmp_path, lambda key: key == "query_tokens")
    assert found.keys() == {"query_tokens"}
    assert torch.equal(found["query_tokens"], weights["query_tokens"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["other/nowhere", TEXT], "other/nowhere"),
        ([DONOR, "other/nowhere"], "other/nowhere"),
        ([DONOR, TEXT, "--blip2-revision", "v9"], rf"v9 is not a valid git identifier[\s\S]*{DONOR}"),
    ],
)
def test_a_component_that_is_not_there_ends_the_command_with_its_name(
    hub, client, components, tmp_path, arguments, message
):
    with pytest.raises((ValueError, OSError), match=rf"{message}"):
        compose([*arguments[:2], str(tmp_path / "composed"), *arguments[2:]])
    assert not (tmp_path / "composed").exists()


@pytest.mark.slow
def test_both_commands_run_from_a_shell(hub, client, components, tmp_path):
    done = run_python(
        hub, tmp_path / "a", "-m", "mblip", "compose", DONOR, TEXT, str(tmp_path / "base"), "--weightless"
    )
    assert done.returncode == 0, done.stderr
    assert f"from {DONOR}" in done.stdout
    upload(hub, "tester/base", tmp_path / "base")
    expected = push_adapter(hub, "tester/base", "tester/adapter")
    done = run_python(hub, tmp_path / "b", "-m", "mblip", "merge", "tester/adapter", str(tmp_path / "merged"))
    assert done.returncode == 0, done.stderr
    assert_equal_weights(load(tmp_path / "merged"), expected)
