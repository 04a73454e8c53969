"""The model as it is on the Hub: code copied flat, loaded in a fresh process that does not know the packages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import tiny_batch, tiny_model

from modeling_mblip import MBlipConfig, MBlipForConditionalGeneration
from tests.tiny_towers import tiny_tower_config, tower_batch

LOADER = """
import torch
from transformers import AutoModelForImageTextToText
batch, expected, weights = torch.load("expected.pt")
model = AutoModelForImageTextToText.from_pretrained(".", trust_remote_code=True).eval()
model.save_pretrained("again")
again = AutoModelForImageTextToText.from_pretrained("again", trust_remote_code=True).eval()
for loaded in (model, again):
    assert "transformers_modules" in type(loaded).__module__, type(loaded).__module__
    torch.testing.assert_close(loaded.state_dict(), weights, rtol=0, atol=0)
    with torch.no_grad():  # in another process, which differed in the last bits on one machine
        torch.testing.assert_close(loaded(**batch).logits, expected, rtol=0, atol=1e-5)
"""


@pytest.fixture
def exported(monkeypatch):
    """Classes that save their code, for this test alone: otherwise every checkpoint would carry code."""
    for model_class in (MBlipConfig, MBlipForConditionalGeneration):
        monkeypatch.setattr(model_class, "_auto_class", None)
    MBlipConfig.register_for_auto_class()
    MBlipForConditionalGeneration.register_for_auto_class("AutoModelForImageTextToText")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "tower"), [("mt5", None), ("bloom", None), ("mt5", "siglip_vision_model"), ("bloom", "dinov3_convnext")]
)
def test_a_fresh_process_loads_model_and_code_from_the_folder(family, tower, exported, tmp_path):
    model, batch = tiny_model(family), tiny_batch(family)
    if tower is not None:
        model, batch = tiny_model(family, vision_config=tiny_tower_config(tower)), tower_batch(family)
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        torch.save((batch, model(**batch).logits, model.state_dict()), tmp_path / "expected.pt")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(
        [sys.executable, "-P", "-c", LOADER],
        cwd=tmp_path,
        env=environment | {"HF_MODULES_CACHE": str(tmp_path / "modules")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_the_shipped_files_hold_every_sibling_they_import(exported, tmp_path):
    tiny_model("mt5").save_pretrained(tmp_path)
    shipped = {path.name for path in tmp_path.glob("*.py")}
    assert {"configuration_mblip.py", "modeling_mblip.py"} < shipped
    assert "trainable.py" not in shipped
    auto_map = json.loads((tmp_path / "config.json").read_text())["auto_map"]
    assert auto_map["AutoConfig"] == "configuration_mblip.MBlipConfig"
    for path in tmp_path.glob("*.py"):
        for line in path.read_text().splitlines():
            if line.startswith("from .") and " import " in line:
                assert f"{line.split()[1].removeprefix('.')}.py" in shipped, line


def test_a_checkpoint_carries_no_code_unless_exported(tmp_path):
    tiny_model("mt5").save_pretrained(tmp_path)
    assert not list(Path(tmp_path).glob("*.py"))
