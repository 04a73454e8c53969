"""Two processes under torchrun answer what one answers, killed and taken up by another number of them too."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tiny import tiny_model, tiny_processor

ROOT = Path(__file__).parents[2]
ALONE = [sys.executable]
TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    tiny_model("mt5").save_pretrained(folder / "model")
    tiny_processor("mt5").save_pretrained(folder / "model")
    path = folder / "recipe.yaml"
    path.write_text(
        f"model: {folder / 'model'}\n"
        f"output_dir: {folder / 'unused'}\n"
        "evaluation:\n"
        "  scenes.task:scenes: {languages: [sw, hi, de], num_images: 150, conditions: [as_is, shuffled]}\n"
        "  settings: {batch_size: 16, generation: {max_new_tokens: 12}}\n"
    )
    return path


def evaluation(launcher, recipe, output_dir):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [*launcher, str(ROOT / "eval.py"), str(recipe), "--output_dir", str(output_dir)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def evaluate(launcher, recipe, output_dir):
    process = evaluation(launcher, recipe, output_dir)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()[-3000:]
    return {file.name: file.read_bytes() for file in output_dir.iterdir() if file.is_file()}


def scores(files):
    return json.loads(files["results.json"])["scenes"]["scores"]


@pytest.fixture(scope="module")
def alone(recipe, tmp_path_factory):
    return evaluate(ALONE, recipe, tmp_path_factory.mktemp("alone") / "out")


@pytest.mark.slow
def test_two_processes_write_the_files_of_one(recipe, alone, tmp_path):
    two = evaluate(TWO, recipe, tmp_path / "out")
    assert sorted(two) == ["predictions_scenes.jsonl", "recipe.yaml", "report.md", "results.json", "table.md"]
    assert two["predictions_scenes.jsonl"] == alone["predictions_scenes.jsonl"]
    assert scores(two) == scores(alone)
    assert json.loads(two["results.json"])["scenes"]["num_processes"] == 2


@pytest.mark.slow
def test_a_run_of_one_process_killed_ten_times_is_finished_by_two(recipe, alone, tmp_path):
    num_lines = [0]
    for _ in range(10):
        process = evaluation(ALONE, recipe, tmp_path / "out")
        while process.poll() is None and num_answers(tmp_path / "out") < num_lines[-1] + 40:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        num_lines.append(num_answers(tmp_path / "out"))
        if (tmp_path / "out" / "results.json").is_file():
            break
    assert len(num_lines) > 5
    assert num_lines == sorted(num_lines)
    files = evaluate(TWO, recipe, tmp_path / "out")
    assert files["predictions_scenes.jsonl"] == alone["predictions_scenes.jsonl"]
    assert scores(files) == scores(alone)


def num_answers(output_dir):
    folder = output_dir / "predictions_scenes.jsonl.partial"
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("chunk-*.jsonl"))
