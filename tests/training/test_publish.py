"""Publishing before the Hub is asked: what is refused, and what is put together. tests/hub/ has the Hub."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from mblip.atomic_write import write_manifest
from mblip.training.publish import main, publish
from mblip.training.published_files import adapter_files, check_finished, model_files
from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor
from tests.tiny import tiny_model, tiny_processor

CARD = """---
license: mit
base_model:
- there/one
- here/two
---

# A run

```python
model = MBlipForConditionalGeneration.from_pretrained("FOLDER").eval()
```
"""


@pytest.fixture
def run_folder(tmp_path):
    """What train.py leaves of a run with a re-alignment, as far as publishing looks at it."""
    (tmp_path / "recipe.yaml").write_text("output_dir: out\n")
    tiny_model("mt5").save_pretrained(tmp_path / "model", max_shard_size="40KB")
    tiny_processor("mt5").save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text(CARD)
    write_manifest(tmp_path / "model", without="README.md")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text('{"base_model_name_or_path": "there/base"}')
    (tmp_path / "adapter" / "adapter_model.safetensors").write_bytes(
        (tmp_path / "model" / "model-00001-of-00010.safetensors").read_bytes()
    )
    return tmp_path


def test_a_finished_run_is_accepted(run_folder):
    check_finished(run_folder, is_adapter=False)
    check_finished(run_folder, is_adapter=True)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("recipe.yaml", r"holds no recipe\.yaml, expected the output folder of `mblip train`"),
        ("model/README.md", r"model lacks README\.md, which `mblip train` wrote"),
        ("model/processor_config.json", r"model lacks processor_config\.json"),
        ("model/model-00002-of-00010.safetensors", r"model lacks model-00002-of-00010\.safetensors"),
        ("model/tokenizer.json", r"model lacks tokenizer\.json"),
        ("adapter/adapter_model.safetensors", r"adapter lacks adapter_model\.safetensors"),
    ],
)
def test_a_run_that_lost_a_file_is_refused(run_folder, lost, message):
    (run_folder / lost).unlink()
    with pytest.raises(ValueError, match=message):
        check_finished(run_folder, is_adapter=True)


def test_files_that_were_changed_or_added_by_hand_are_published(run_folder):
    (run_folder / "model" / "generation_config.json").write_text('{"num_beams": 5}')
    (run_folder / "model" / "NOTES.txt").write_text("Mine.")
    check_finished(run_folder, is_adapter=False)
    files = model_files(run_folder, "me/model", lambda name: False, with_code=False)
    assert {"generation_config.json", "NOTES.txt"} < files.keys()
    assert "manifest.json" not in files


@pytest.mark.parametrize("content", [b"", b"\0\0", b'{"a":', b"[]"])
@pytest.mark.parametrize("path", ["model/tokenizer.json", "model/manifest.json", "adapter/adapter_config.json"])
def test_a_damaged_json_file_is_named(run_folder, path, content):
    (run_folder / path).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path} is damaged .*, expected a JSON object\. Restore the folder\."):
        check_finished(run_folder, is_adapter=True)


@pytest.mark.parametrize("path", ["model/model-00003-of-00010.safetensors", "adapter/adapter_model.safetensors"])
def test_weights_that_are_not_finite_are_not_published(run_folder, path):
    weights = load_file(run_folder / path)
    name = next(name for name, weight in weights.items() if weight.is_floating_point())
    save_file(weights | {name: weights[name] * float("nan")}, run_folder / path)
    with pytest.raises(ValueError, match=rf"`{name}` of .*{Path(path).name} holds values that are not finite"):
        check_finished(run_folder, is_adapter=True)


@pytest.mark.parametrize("path", ["model/model-00003-of-00010.safetensors", "adapter/adapter_model.safetensors"])
def test_weights_cut_short_are_refused(run_folder, path):
    data = (run_folder / path).read_bytes()
    (run_folder / path).write_bytes(data[:-1])
    with pytest.raises(ValueError, match=rf"{Path(path).name} is not complete"):
        check_finished(run_folder, is_adapter=True)


def test_an_unfinished_run_is_refused(run_folder):
    (run_folder / ".partial").mkdir()
    (run_folder / "model").rename(run_folder / ".partial" / "model")
    with pytest.raises(ValueError, match="has no `model/`, so the run is not finished"):
        publish(run_folder, "tester/model")


def test_a_run_without_re_alignment_has_no_adapter_to_publish(run_folder):
    for path in (run_folder / "adapter").iterdir():
        path.unlink()
    (run_folder / "adapter").rmdir()
    with pytest.raises(ValueError, match="has no `adapter/`: the run trained none"):
        publish(run_folder, "tester/model", is_adapter=True)


def test_the_command_says_in_one_line_what_is_wrong(tmp_path, capsys):
    with pytest.raises((ValueError, OSError), match=r" holds no recipe\.yaml"):
        main([str(tmp_path), "tester/model"])
    assert capsys.readouterr() == ("", "")


def test_the_card_names_the_repository_and_only_base_models_that_are_on_the_hub(run_folder):
    files = model_files(run_folder, "tester/model", lambda name: name == "there/one", with_code=False)
    card = files["README.md"].decode()
    assert "base_model:\n- there/one\n" in card
    assert "here/two" not in card
    assert 'from_pretrained("tester/model")' in card
    none = model_files(run_folder, "tester/model", lambda name: False, with_code=False)
    assert "base_model" not in none["README.md"].decode()


def test_weights_and_tokenizer_are_published_as_they_are(run_folder):
    files = model_files(run_folder, "tester/model", lambda name: True, with_code=False)
    folder = run_folder / "model"
    assert set(files) == {path.name for path in folder.iterdir()} - {"manifest.json"}
    changed = {name for name, content in files.items() if content != folder / name}
    assert changed == {"README.md", "config.json"}


def test_chat_templates_that_have_names_are_published_too(run_folder):
    processor = tiny_processor("mt5")
    processor.tokenizer.chat_template = {"default": "{{ messages }}", "rag": "{{ documents }}"}
    processor.save_pretrained(run_folder / "model")
    template = "additional_chat_templates/rag.jinja"
    files = model_files(run_folder, "tester/model", lambda name: True, with_code=False)
    assert files[template] == run_folder / "model" / template
    assert template in adapter_files(run_folder, "tester/model", "there/base", with_code=False)


def test_code_goes_along_only_where_it_is_asked_for_and_later_checkpoints_carry_none(run_folder, tmp_path):
    plain = model_files(run_folder, "tester/model", lambda name: True, with_code=False)
    assert not [name for name in plain if name.endswith(".py")]
    files = model_files(run_folder, "tester/model", lambda name: True, with_code=True)
    assert {"modeling_mblip.py", "processing_mblip.py", "configuration_mblip.py"} < set(files)
    config, plain_config = json.loads(files["config.json"]), json.loads(plain["config.json"])
    assert config.pop("auto_map") == {
        "AutoConfig": "configuration_mblip.MBlipConfig",
        "AutoModel": "modeling_mblip.MBlipForConditionalGeneration",
        "AutoModelForImageTextToText": "modeling_mblip.MBlipForConditionalGeneration",
    }
    assert config == plain_config
    processor_config = json.loads(files["processor_config.json"])
    assert processor_config["auto_map"]["AutoProcessor"] == "processing_mblip.MBlipProcessor"
    MBlipForConditionalGeneration.from_pretrained(run_folder / "model").save_pretrained(tmp_path / "later")
    MBlipProcessor.from_pretrained(run_folder / "model").save_pretrained(tmp_path / "later")
    assert not list((tmp_path / "later").glob("*.py"))
