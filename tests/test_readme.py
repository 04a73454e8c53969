"""The README's Python runs as it stands there, on tiny models; its commands are single lines."""

import re
from pathlib import Path

import pytest
from PIL import Image

from tests.tiny import tiny_model, tiny_processor

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
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


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft 0.21 asks for it
def test_own_pictures_train_with_the_plain_trainer(model_folder):
    Image.new("RGB", (40, 30), "green").save("dog.jpg")
    exec(compile(python_block("Fine-tuning with the plain Trainer", 0), "README.md", "exec"), {})
    block = python_block("Fine-tuning with the plain Trainer", 1).replace("max_steps=100", "max_steps=2, use_cpu=True")
    assert "label_smoothing_factor=0.1" in block
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    assert names["rows"][0]["languages"] == ["sw", "de"]


@pytest.mark.parametrize("which", ["quickstart", "test"])
def test_each_command_is_one_line(which):
    (command,) = re.findall(rf"<!-- {which} command -->\n```bash\n(.*?)```", README, flags=re.DOTALL)
    assert command.count("\n") == 1
