"""A mistyped folder with one slash could be a repository's name: it is an error at once, without asking the Hub."""

import pytest

from mblip.data.sources.dataset_rows import local_dataset
from mblip.loading import load_checkpoint
from mblip.training.compose import main as compose
from mblip.training.merge import main as merge
from mblip.training.recipe_reading import parse_command_line
from mblip.training.rows import check_paths
from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor
from tests.tiny import tiny_model, tiny_processor

READERS = {
    "model": MBlipForConditionalGeneration.from_pretrained,
    "processor": MBlipProcessor.from_pretrained,
    "checkpoint of a command": load_checkpoint,
    "component": lambda name: MBlipForConditionalGeneration.from_blip2_pretrained(name, name),
    "composing": lambda name: compose([name, name, "composed"]),
    "adapter": lambda name: merge([name, "merged"]),
}


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """A working directory with a folder outputs/mine."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs" / "mine").mkdir(parents=True)
    return tmp_path / "outputs"


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_the_hub_is_not_asked_for_a_mistyped_folder(read, hub, client, outputs):
    with pytest.raises(FileNotFoundError, match="There is no folder outputs/mien, though there is a folder outputs"):
        read("outputs/mien")
    assert hub.requests == []


def test_the_nearest_folder_is_named(outputs):
    message = (
        r"a folder outputs\. Paths are .* Did you mean outputs/mine\?\nIf you mean .*, run `hf download outputs/mien`"
    )
    with pytest.raises(FileNotFoundError, match=message):
        load_checkpoint("outputs/mien")


def test_a_repository_in_the_cache_is_no_mistyped_folder(hub, client, outputs, tmp_path, monkeypatch):
    model, processor = tiny_model("mt5"), tiny_processor("mt5")
    (tmp_path / "tester").mkdir()  # a folder of an organisation's name
    model.push_to_hub("tester/published")
    processor.push_to_hub("tester/published")
    client.use_home(tmp_path / "other")
    with pytest.raises(FileNotFoundError, match="run `hf download tester/published` first"):
        MBlipForConditionalGeneration.from_pretrained("tester/published")
    monkeypatch.chdir(tmp_path / "outputs")  # where no folder is in the way
    MBlipForConditionalGeneration.from_pretrained("tester/published")
    monkeypatch.chdir(tmp_path)
    assert MBlipForConditionalGeneration.from_pretrained("tester/published").config.to_dict()
    assert MBlipProcessor.from_pretrained("tester/published").num_query_tokens == 4


@pytest.mark.parametrize(("path", "is_local"), [("outputs/mien", True), ("me/mine", False), ("outputs/a/b", True)])
def test_a_dataset_beside_a_folder_of_its_first_part_is_local(path, is_local, outputs):
    assert (local_dataset(path) is not None) is is_local


def test_a_mistyped_dataset_is_named_before_a_model_is_loaded(hub, client, outputs):
    source = "{source: own_dataset, path: outputs/mien, task: captioning, language: sw, columns: {target: text}}"
    recipe = parse_command_line(["fine_tune_own", "--data.sources", f"[{source}]"])
    with pytest.raises(FileNotFoundError, match=r"own_dataset: there is no file or folder outputs/mien \(`path`\)"):
        check_paths(recipe.data)
    assert hub.requests == []
