"""The lines of use in the card of every kind of repository, pasted and run by somebody else."""

import re

import pytest
import torch
from PIL import Image
from transformers import AutoModel, BitsAndBytesConfig

from mblip.training.model_card import USE
from mblip.training.publish import publish
from modeling_mblip import MBlipForConditionalGeneration
from tests.hub.client import run_python
from tests.hub.published import add_components, finish_run
from tests.tiny import tiny_model, tiny_processor


def lines_of_use(hub, repository: str) -> tuple[str, str]:
    """What a card says before its lines of use, and these lines."""
    card = hub.repositories[repository].files["README.md"].data.decode()
    before, block = re.search(r"\n## Use\n\n(.*?)```python\n(.*?)```", card, re.DOTALL).groups()
    assert block.count("\n") <= 10
    return before, block


@pytest.fixture
def published(hub, client, tmp_path, monkeypatch):
    """Publish a run, with options; then be somebody else, with nothing but an image."""
    add_components(hub, tmp_path)

    def publish_run(repository: str, **options: bool) -> tuple[str, str]:
        folder, _ = finish_run(tmp_path, "parents/blip2", "parents/text")
        (folder / "model" / "README.md").write_text(f"---\nlicense: mit\n---\n# It\n\n## Use\n\n{USE}\n\n## Results\n")
        publish(folder, repository, **options)
        (tmp_path / "other").mkdir()
        monkeypatch.chdir(tmp_path / "other")
        Image.new("RGB", (40, 30), "green").save("image.png")
        client.use_home(tmp_path / "other" / "home")
        return lines_of_use(hub, repository)

    return publish_run


@pytest.mark.parametrize("is_adapter", [False, True])
def test_the_card_of_a_model_and_of_an_adapter_answers_with_the_package(is_adapter, published, capsys):
    before, block = published("tester/it", is_adapter=is_adapter)
    assert "`transformers>=5.23,<5.25`, and `mblip` with `pip install -e .` in a checkout" in before
    assert ("`peft`" in before) is is_adapter
    assert "import mblip " in block
    exec(compile(block, "card", "exec"), {})
    assert capsys.readouterr().out.endswith("\n")


@pytest.mark.slow
@pytest.mark.parametrize("is_adapter", [False, True])
def test_the_card_with_code_answers_without_the_package(is_adapter, published, hub, tmp_path):
    before, block = published("tester/it", is_adapter=is_adapter, with_code=True)
    assert "The code is in the repository" in before
    assert "mblip" not in block.replace("tester/it", "")
    assert block.count("trust_remote_code=True") == 2
    code = f"import os\nos.chdir({str(tmp_path / 'other')!r})\n{block}print(type(model).__module__)"
    done = run_python(hub, tmp_path / "other" / "home", "-P", "-c", code, PYTHONPATH="")
    assert done.returncode == 0, done.stderr
    assert "transformers_modules" in done.stdout


def test_with_code_automodel_finds_the_class_too(published, hub):
    published("tester/it", with_code=True)
    config = hub.repositories["tester/it"].files["config.json"].data.decode()
    assert config.count('"modeling_mblip.MBlipForConditionalGeneration"') == 2
    assert '"AutoModel"' in config
    assert AutoModel.from_pretrained("tester/it").config.model_type == "mblip"


def test_the_lines_of_use_answer_for_a_model_in_4_bit(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tiny_model("mt5").save_pretrained("whole")
    in_4_bit = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    held = MBlipForConditionalGeneration.from_pretrained("whole", quantization_config=in_4_bit)
    held.save_pretrained("FOLDER")
    tiny_processor("mt5").save_pretrained("FOLDER")
    Image.new("RGB", (40, 30), "green").save("image.png")
    (block,) = re.findall(r"```python\n(.*?)```", USE, re.DOTALL)
    names: dict = {}
    exec(compile(block, "card", "exec"), names)
    assert names["model"].is_loaded_in_4bit
    assert capsys.readouterr().out.endswith("\n")
