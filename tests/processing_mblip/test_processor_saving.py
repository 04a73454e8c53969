"""Folders: ours, BLIP-2's of 2023, and the Hub's with their code."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_processor import IMG, make_tokenizer
from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer

from processing_mblip import MBlipImageProcessor, MBlipProcessor

MT5, BLOOM = {"model_type": "mt5"}, {"model_type": "bloom"}


def write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content))


def model_config(text_config: dict, **settings) -> dict:
    return {"model_type": "blip-2", "text_config": text_config, "qformer_config": {}, "vision_config": {}, **settings}


@pytest.fixture
def folder_of_2023(tmp_path: Path) -> Path:
    """As published: a tokenizer, BLIP's image settings, a model config without an image token id."""
    make_tokenizer(padding_side="left").save_pretrained(tmp_path)
    settings = {"image_processor_type": "BlipImageProcessor", "processor_class": "Blip2Processor", "do_pad": False}
    write_json(tmp_path / "preprocessor_config.json", settings | {"size": {"height": 4, "width": 4}, "resample": 3})
    write_json(tmp_path / "config.json", model_config(MT5, num_query_tokens=2))
    return tmp_path


def test_what_is_saved_loads_as_the_same_processor(processor, red, tmp_path):
    processor.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "processor_config.json").read_text())
    assert (saved["num_query_tokens"], saved["image_token_id"], saved["processor_class"]) == (2, IMG, "MBlipProcessor")
    for loaded in (AutoProcessor.from_pretrained(tmp_path), MBlipProcessor.from_pretrained(tmp_path)):
        assert type(loaded) is MBlipProcessor
        assert loaded.to_dict() == processor.to_dict()
        want = processor(images=red, text="w1 <image>", return_tensors="pt")
        got = loaded(images=red, text="w1 <image>", return_tensors="pt")
        assert all(torch.equal(got[key], want[key]) for key in want)
    assert type(AutoImageProcessor.from_pretrained(tmp_path)) is MBlipImageProcessor
    assert len(AutoTokenizer.from_pretrained(tmp_path)) == IMG


def test_a_folder_of_2023_loads(folder_of_2023, red):
    processor = MBlipProcessor.from_pretrained(folder_of_2023)
    assert type(processor.image_processor) is MBlipImageProcessor
    assert (processor.num_query_tokens, processor.image_token_id) == (2, IMG)
    assert processor(images=red, text="w1", return_tensors="pt")["input_ids"].tolist() == [[IMG, IMG, 5, 1]]


def test_a_folder_of_blip2_processor_loads(folder_of_2023, red):
    """transformers' later layout: `<image>` is one of the tokenizer's, and the processor has a file of its own."""
    tokenizer = AutoTokenizer.from_pretrained(folder_of_2023)
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    tokenizer.save_pretrained(folder_of_2023)
    write_json(folder_of_2023 / "processor_config.json", {"num_query_tokens": 3, "processor_class": "Blip2Processor"})
    write_json(folder_of_2023 / "config.json", model_config(MT5, num_query_tokens=3, image_token_index=IMG))
    processor = MBlipProcessor.from_pretrained(folder_of_2023)
    assert processor(images=red, text="w1")["input_ids"] == [[IMG, IMG, IMG, 5, 1]]
    assert len(processor.tokenizer) == IMG + 1


@pytest.mark.parametrize(
    ("text_config", "side"),
    [(MT5, "right"), (BLOOM, "left"), ({"model_type": "llama"}, "left"), ({"is_encoder_decoder": True}, "right")],
    ids=str,
)
def test_the_language_model_decides_on_the_padding_side(folder_of_2023, text_config, side):
    write_json(folder_of_2023 / "config.json", model_config(text_config, num_query_tokens=2))
    processor = MBlipProcessor.from_pretrained(folder_of_2023)
    assert processor.tokenizer.padding_side == side
    processor.save_pretrained(folder_of_2023 / "saved")
    assert MBlipProcessor.from_pretrained(folder_of_2023 / "saved").tokenizer.padding_side == side


@pytest.mark.parametrize(("image_token_id", "want"), [(99, 99), (-1, IMG), (None, IMG)])
def test_the_models_image_token_id_wins_where_it_has_one(folder_of_2023, image_token_id, want):
    config = model_config(MT5, num_query_tokens=5, image_token_id=image_token_id)
    write_json(folder_of_2023 / "config.json", config)
    processor = MBlipProcessor.from_pretrained(folder_of_2023)
    assert (processor.num_query_tokens, processor.image_token_id) == (5, want)
    assert MBlipProcessor.from_pretrained(folder_of_2023, image_token_id=7).image_token_id == 7


@pytest.mark.parametrize(("name", "right", "wrong"), [("image_token_id", IMG, 99), ("num_query_tokens", 2, 32)])
@pytest.mark.parametrize("load", [MBlipProcessor.from_pretrained, AutoProcessor.from_pretrained])
def test_a_processor_that_is_not_the_models_beside_it_is_refused(load, processor, tmp_path, name, right, wrong):
    processor.save_pretrained(tmp_path)
    settings = {"num_query_tokens": 2, "image_token_id": IMG}
    write_json(tmp_path / "config.json", model_config(MT5, **settings))
    assert getattr(load(tmp_path), name) == right
    saved = json.loads((tmp_path / "processor_config.json").read_text())
    write_json(tmp_path / "processor_config.json", saved | {name: wrong})
    message = rf"processor_config\.json of {re.escape(str(tmp_path))} says `{name}` {wrong}, expected {right}"
    with pytest.raises(ValueError, match=rf"{message}.*give `{name}={right}` here, and save"):
        load(tmp_path)
    load(tmp_path, **{name: right}).save_pretrained(tmp_path)
    assert getattr(load(tmp_path), name) == right


def test_a_config_of_another_model_is_not_read(folder_of_2023):
    write_json(folder_of_2023 / "config.json", {"model_type": "bert"})
    processor = MBlipProcessor.from_pretrained(folder_of_2023)
    assert (processor.num_query_tokens, processor.tokenizer.padding_side) == (32, "left")


FRESH_PROCESS = """
import torch
from PIL import Image
from transformers import AutoProcessor
processor = AutoProcessor.from_pretrained(".", trust_remote_code=True)
assert type(processor).__module__.startswith("transformers_modules."), type(processor).__module__
assert type(processor.image_processor).__module__.startswith("transformers_modules."), processor.image_processor
torch.save(dict(processor(images=Image.new("RGB", (6, 5), "red"), text="w1 <image>", return_tensors="pt")),
"inputs.pt")
"""


@pytest.fixture
def exported(processor, tmp_path, monkeypatch) -> Path:
    """A folder saved for the Hub; the classes are as before afterwards."""
    monkeypatch.setattr(MBlipProcessor, "_auto_class", None)
    monkeypatch.setattr(MBlipImageProcessor, "_auto_class", None)
    MBlipProcessor.register_for_auto_class()
    processor.save_pretrained(tmp_path / "exported")
    return tmp_path / "exported"


def test_code_goes_to_the_hub_as_flat_files_with_all_their_siblings(exported):
    package = Path(sys.modules["processing_mblip"].__file__).parent
    shipped = {path.name for path in exported.glob("*.py")}
    assert shipped == {path.name for path in package.glob("*.py")} - {"__init__.py"}
    assert len(shipped) == 12


@pytest.mark.slow
def test_a_fresh_process_without_this_package_loads_the_exported_processor(exported, processor, red):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"HF_MODULES_CACHE": str(exported / "modules"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", "import sys; sys.path.remove('')\n" + FRESH_PROCESS]
    result = subprocess.run(command, cwd=exported, env=env, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    got = torch.load(exported / "inputs.pt")
    want = processor(images=red, text="w1 <image>", return_tensors="pt")
    assert list(got) == list(want)
    assert all(torch.equal(got[key], want[key]) for key in want)


def test_code_is_saved_only_when_it_is_exported(processor, tmp_path):
    processor.save_pretrained(tmp_path / "plain")
    assert not list((tmp_path / "plain").glob("*.py"))
    assert "auto_map" not in (tmp_path / "plain" / "processor_config.json").read_text()
    shutil.rmtree(tmp_path / "plain")
