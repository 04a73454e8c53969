"""Killed with SIGKILL and started again with the same line, training ends with bit-equal weights."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.killed_runs import KILLS
from tests.training.tiny_run import (
    ROOT,
    offline,
    run_training,
    train_command,
    write_components,
    write_recipe,
    write_tiny_rows,
)

RESULTS = (
    "0_warm_up/checkpoint-6/trained.safetensors",
    "1_re_alignment/checkpoint-8/trained.safetensors",
    "1_re_alignment/checkpoint-8/rng_state.pth",
    "model/model.safetensors",
    "model/config.json",
)


def kill_and_compare(folder: Path) -> None:
    """Run killed_runs.py on the recipe in `folder`; every attempt must have ended where it was to be killed."""
    command = [sys.executable, "-m", "tests.training.killed_runs", str(folder)]
    ended = subprocess.run(command, cwd=ROOT, env=offline(), capture_output=True, text=True, check=False)
    endings = [line for line in ended.stdout.splitlines() if line.startswith("ended: ")]
    expected = ["undisturbed: 0", *(f"{name}: 9" for name in KILLS), "to the end: 0"]
    assert endings == [f"ended: {ending}" for ending in expected], ended.stderr[-3000:]
    for result in RESULTS:
        assert (folder / "undisturbed" / result).read_bytes() == (folder / "killed" / result).read_bytes(), result


@pytest.mark.slow
def test_killed_at_nine_points_training_ends_with_bit_equal_weights(tmp_path):
    write_components(tmp_path, dropout=0.1)
    write_recipe(tmp_path)
    kill_and_compare(tmp_path)


@pytest.mark.slow
def test_a_decoder_only_model_on_a_stream_read_more_than_once_resumes_exactly(tmp_path):
    write_components(tmp_path, family="bloom")
    write_tiny_rows(tmp_path / "rows.parquet", num_rows=14)
    write_recipe(
        tmp_path, data={"rows": {"path": str(tmp_path / "rows.parquet"), "streaming": True}, "prompts_per_image": 1}
    )
    kill_and_compare(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("streaming", [False, True])
def test_rows_of_several_paths_by_weight_resume_exactly_with_workers_too(tmp_path, streaming):
    write_components(tmp_path)
    for number in range(2):
        write_tiny_rows(tmp_path / "rows" / f"{number}.parquet", num_rows=10)
        write_tiny_rows(tmp_path / "others" / f"{number}.parquet", num_rows=4)
    rows = {"path": str(tmp_path / "rows"), "streaming": streaming, "tasks": ["vqa"], "weight": 3}
    others = {"path": str(tmp_path / "others"), "streaming": streaming, "weight": 1}
    training = {"save_steps": 2, "logging_steps": 2, "dataloader_num_workers": 2}
    write_recipe(tmp_path, data={"rows": [rows, others], "prompts_per_image": 1}, training=training)
    kill_and_compare(tmp_path)


@pytest.mark.slow
def test_after_a_full_disk_and_after_damage_the_same_line_ends_with_bit_equal_weights(tmp_path):
    write_components(tmp_path)
    line = [str(write_recipe(tmp_path)), "--output_dir"]
    run_training(*line, str(tmp_path / "undisturbed"))
    expected = (tmp_path / "undisturbed" / "model" / "model.safetensors").read_bytes()
    out = tmp_path / "out"
    limited = ["bash", "-c", 'ulimit -f 100 && exec "$@"', "bash", *train_command(*line, str(out))]  # KiB of a file
    full = subprocess.run(limited, cwd=ROOT, env=offline(), capture_output=True, text=True, check=False)
    assert full.returncode == 1, full.stderr[-3000:]
    (message,) = [text for text in full.stderr.splitlines() if "error" in text]
    assert re.search("There is no room for .*out/1_re_alignment/checkpoint-2.*MiB are free.*the same command", message)
    assert "Traceback" not in full.stderr
    assert run_training(*line, str(out)).returncode == 0
    assert (out / "model" / "model.safetensors").read_bytes() == expected
    newest = out / "1_re_alignment" / "checkpoint-8" / "optimizer.pt"
    newest.write_bytes(bytes(newest.stat().st_size))
    (out / "model" / "model.safetensors").write_bytes(b"")
    again = run_training(*line, str(out))
    assert "checkpoint-8 is skipped: optimizer.pt has the digest" in again.stderr
    assert "model is not whole: model.safetensors has 0 bytes, expected" in again.stderr
    assert (out / "model" / "model.safetensors").read_bytes() == expected
