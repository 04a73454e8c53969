"""The README's Python runs as it stands there, on tiny models; its commands are single lines."""

import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.tiny import VOCAB_SIZE, tiny_blip2, tiny_model, tiny_processor

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODEL_FOLDER = "outputs/quickstart/model"


def python_block(heading: str, number: int = 0) -> str:
    """A Python block of a section."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)[number]


@pytest.fixture
def model_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_model("mt5").save_pretrained(MODEL_FOLDER)
    tiny_processor("mt5").save_pretrained(MODEL_FOLDER)
    return tmp_path


def test_the_ten_lines_answer(model_folder, capsys):
    block = python_block("Ten lines of use")
    assert MODEL_FOLDER in block
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out.endswith("\n")


def test_a_checkpoint_of_2023_is_loaded(tmp_path, monkeypatch):
    """On a local folder of the name: BLIP-2's layout, as in tests/hub/test_published_layouts.py."""
    monkeypatch.chdir(tmp_path)
    tiny_blip2("mt5").save_pretrained("Gregor/mblip-mt0-xl")
    tiny_processor("mt5", image_token_id=VOCAB_SIZE - 1).save_pretrained("Gregor/mblip-mt0-xl")
    names: dict[str, Any] = {}
    exec(compile(python_block("Loading a published checkpoint"), "README.md", "exec"), names)
    assert names["model"].config.model_type == "mblip"
    assert names["processor"].num_query_tokens == names["model"].config.num_query_tokens


def test_a_language_model_is_held_in_4_bit(model_folder):
    names: dict[str, Any] = {}
    exec(compile(python_block("In fewer bits"), "README.md", "exec"), names)
    assert names["model"].is_loaded_in_4bit


def test_own_pictures_train_with_the_plain_trainer(model_folder):
    Image.new("RGB", (40, 30), "green").save("dog.jpg")
    exec(compile(python_block("Fine-tuning with the plain Trainer", 0), "README.md", "exec"), {})
    block = python_block("Fine-tuning with the plain Trainer", 1).replace("max_steps=100", "max_steps=2, use_cpu=True")
    assert "label_smoothing = 0.1" in block
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    assert names["rows"][0]["languages"] == ["sw", "de"]


@pytest.mark.parametrize("which", ["quickstart", "test"])
def test_each_command_is_one_line(which):
    (command,) = re.findall(rf"<!-- {which} command -->\n```bash\n(.*?)```", README, flags=re.DOTALL)
    assert command.count("\n") == 1


def test_the_cost_of_fewer_bits_is_the_record_s():
    evaluations = json.loads((ROOT / "quickstart" / "results" / "quickstart.json").read_text("utf-8"))["evaluations"]
    (results,) = [e["results"] for e in evaluations if "scenes_4bit" in e["results"]]
    for result in results.values():
        mean = 100 * statistics.mean(score["value"] for score in result["scores"])
        sizes = [f"{result[key] / 1e6:.2f}" for key in ("memory_bytes", "language_model_bytes")]
        row = rf"^\| {re.escape(result['model']['precision'])} \| {mean:.1f} \| [\d, ]*\| {sizes[0]} \| {sizes[1]} \|$"
        assert re.search(row, README, flags=re.MULTILINE), row


def test_the_table_of_photos_is_the_results_file_s():
    results = (ROOT / "quickstart" / "results" / "photos.md").read_text("utf-8")
    section = README.split("\n## On real photos\n")[1].split("\n## ")[0]
    for group in ("high", "middle", "low"):
        cells = re.search(rf"^\| {group} \| (.*) \|$", results, flags=re.MULTILINE).group(1).split(" | ")
        train, held_out, shuffled = [cell.split()[0] for cell in cells]
        assert re.search(rf"^\| {group} \(\d+\) \| {train} \| {shuffled} \| {held_out} \|$", section, re.MULTILINE)
    means = re.search(r"^\| mean of 83 \|  \| (.*) \|$", results, flags=re.MULTILINE).group(1)
    train, held_out, shuffled = means.split(" | ")
    assert f"| all 83 | {train} | {shuffled} | {held_out} |" in section
