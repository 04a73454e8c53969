"""The wheel, installed outside the repository: train by a recipe, evaluate, compose, merge and publish."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.hub.client import environment
from tests.hub.server import LoopbackHub
from tests.training.tiny_run import write_components

ROOT = Path(__file__).parents[2]
SOURCE = '''"""A source of one's own, beside the recipe."""

from mblip.data import Example


def squares(seed, *, colours: tuple[str, ...]):
    from PIL import Image

    for colour in colours:
        image = Image.new("RGB", (40, 40), colour)
        yield Example((image,), "", f"a {colour} square", "en", "captioning", "squares", colour, colour)
'''


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel holds. It is built from a copy: setuptools leaves its own files beside the code."""
    work = tmp_path_factory.mktemp("wheel")
    for package in ("modeling_mblip", "processing_mblip", "mblip"):
        shutil.copytree(ROOT / package, work / "code" / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, work / "code")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", work, work / "code"]
    subprocess.run(build, check=True)
    (wheel,) = work.glob("mblip-*.whl")
    subprocess.run([*pip, "install", "--no-index", "--no-deps", "--target", work / "site", wheel], check=True)
    return work / "site"


@pytest.fixture
def mblip(installed: Path, hub: LoopbackHub, tmp_path: Path) -> Callable[..., str]:
    """The installed command, in a folder of its own; returns what it prints."""

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [installed / "bin" / "mblip", *arguments],
            cwd=tmp_path,
            env=environment(hub, tmp_path / "home", PYTHONPATH=str(installed)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def write_xm3600(folder: Path) -> None:
    """A photo with captions in two languages, laid out as the benchmark."""
    (folder / "images").mkdir(parents=True)
    record = {"image/key": "1", "sw": {"caption": ["mraba wa kijani"]}, "hr": {"caption": ["zeleni kvadrat"]}}
    (folder / "captions.jsonl").write_text(json.dumps(record) + "\n")
    Image.new("RGB", (40, 40), "green").save(folder / "images" / "1.jpg")


@pytest.mark.slow
def test_the_wheel_trains_evaluates_composes_merges_and_publishes(mblip, installed, hub, tmp_path):
    write_components(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "my_squares.py").write_text(SOURCE)
    (tmp_path / "mine" / "recipe.yaml").write_text(mblip("recipes", "fine_tune_own"))
    source = "{source: 'my_squares:squares', colours: [red, green, blue, black]}"
    stage = ["--stages.0.batch_size", "2", "--stages.0.num_epochs", "1"]
    components = ["--model", "{blip2: blip2, language_model: language_model}", "--data.sources", f"[{source}]"]
    mblip("train", "mine/recipe.yaml", *components, *stage, "--training.dataloader_num_workers", "0")
    run = tmp_path / "outputs" / "fine_tune_own"
    assert "my_squares:squares" in (run / "model" / "README.md").read_text(encoding="utf-8")

    write_xm3600(tmp_path / "xm3600")
    task = ["--task", "xm3600", "--task.captions", "xm3600/captions.jsonl", "--task.images", "xm3600/images"]
    assert "| Swahili (`sw`) |" in mblip("eval", str(run / "model"), *task, "--task.languages", "[sw, hr]")

    tasks = tmp_path / mblip("lmms-eval", str(run / "model"), *task, "--output_dir", "outputs").strip()
    assert json.loads((tasks / "mblip_xm3600.yaml").read_text())["task"] == ["mblip_xm3600_sw", "mblip_xm3600_hr"]
    assert (installed / "mblip" / "lmms_eval" / "benchmark.yaml").is_file()

    assert "outputs/composed: a model" in mblip("compose", "blip2", "language_model", "outputs/composed")
    mblip("merge", str(run / "adapter"), "outputs/merged")
    assert (tmp_path / "outputs" / "merged" / "model.safetensors").is_file()

    mblip("publish", str(run), "tester/squares")
    assert {"model.safetensors", "tokenizer.json", "README.md"} <= set(hub.repositories["tester/squares"].files)
