"""The composition's benchmark: its folders hold what it says, its watcher sees memory and openings, and it runs."""

import re
import sys
from pathlib import Path

import composing_memory
import pytest
import torch
from component_folders import write_blip2, write_language_model
from model_shapes import full_shape, toy_shape
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from stored_weights import BLOCK_LENGTH, write_checkpoint, write_safetensors
from transformers import AutoModelForSeq2SeqLM, Blip2ForConditionalGeneration
from watched_command import run_watched

MIB = 1 << 20
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="memory and openings are told by Linux's kernel")


def meta(*shape, dtype=torch.float32):
    return torch.empty(shape, dtype=dtype, device="meta")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_are_random_and_no_two_are_equal(dtype, tmp_path):
    weights = {"a": meta(50, 20, dtype=dtype), "b": meta(50, 20, dtype=dtype)}
    write_safetensors(tmp_path / "file.safetensors", weights)
    found = load_file(tmp_path / "file.safetensors")
    assert [found[key].dtype for key in "ab"] == [dtype, dtype]
    assert not torch.equal(found["a"], found["b"])
    for key in "ab":
        assert found[key].shape == (50, 20)
        assert 0.018 < found[key].float().std() < 0.022


def test_a_weight_longer_than_the_block_goes_round(tmp_path):
    write_safetensors(tmp_path / "file.safetensors", {"a": meta(BLOCK_LENGTH + 5, dtype=torch.bfloat16)})
    with safe_open(tmp_path / "file.safetensors", framework="pt") as file:
        rows = file.get_slice("a")
        assert torch.equal(rows[:5], rows[BLOCK_LENGTH:])
        assert len(rows[:5].unique()) > 1


def test_what_is_not_filled_takes_no_disk_and_a_shard_of_it_alone_cannot_be_opened(tmp_path):
    weights = {"filled": meta(10), "hole": meta(MIB), "hole_too": meta(MIB)}
    first, second = write_checkpoint(tmp_path, weights, "5MB", is_filled=lambda key: key == "filled")
    found = load_file(first)
    assert found["filled"].count_nonzero() == 10
    assert found["hole"].count_nonzero() == 0
    assert second.stat().st_size == 4 * MIB
    assert first.stat().st_blocks * 512 < MIB
    assert second.stat().st_blocks == 0
    with pytest.raises(SafetensorError):
        load_file(second)


def test_the_blip2_is_one_that_transformers_loads_but_for_the_language_model(tmp_path):
    component = write_blip2(tmp_path, toy_shape("mt0-xl"), "1GB")
    model = Blip2ForConditionalGeneration.from_pretrained(tmp_path)
    for name, weight in model.named_parameters():
        assert (weight.count_nonzero() == 0) == name.startswith("language_model."), name
    head = model.language_model.lm_head.weight.numel()  # a hole as the embeddings are, so taken for the same
    assert component.num_parameters == sum(p.numel() for p in model.parameters()) + head


def test_the_language_model_has_a_head_of_its_own(tmp_path):
    component = write_language_model(tmp_path, toy_shape("mt0-xl"), torch.bfloat16, "20KB")
    assert len(component.shards) > 1
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    assert model.dtype == torch.bfloat16
    assert not torch.equal(model.lm_head.weight, model.shared.weight)
    assert component.num_parameters == sum(p.numel() for p in model.parameters())


def test_the_parts_are_counted_in_the_dtype_that_each_has_when_composed():
    """BLOOMZ-7B1: a projection to 4096 dimensions, and a ViT of 985,952,256 parameters."""
    parts = composing_memory.composed_bytes(full_shape("bloomz-7b1"), 7_069_016_064, torch.bfloat16)
    assert parts == {
        "vision_model": 2 * 985_952_256,
        "qformer": 4 * 105_137_664,
        "query_tokens": 4 * 24_576,
        "language_projection": 4 * 3_149_824,
        "language_model": 2 * 7_069_016_064,
    }


@needs_linux
def test_anonymous_memory_leaves_out_what_is_a_view_of_a_file(tmp_path):
    (tmp_path / "mapped").write_bytes(b"x" * 100 * MIB)
    script = (
        "import mmap, sys, time\n"
        "taken = b'y' * (40 * 2**20)\n"
        "with open(sys.argv[1], 'rb') as file:\n"
        "    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)\n"
        "    [mapped[place] for place in range(0, len(mapped), 4096)]\n"
        "    time.sleep(0.1)\n"
    )
    watched = run_watched(["-c", script, str(tmp_path / "mapped")], [])
    assert 40 * MIB < watched.peak_anonymous_bytes < 60 * MIB
    assert 140 * MIB < watched.peak_resident_bytes < 180 * MIB


@needs_linux
def test_the_watcher_names_the_files_that_were_opened_and_no_others(tmp_path):
    for name in ("opened", "mapped", "looked_at", "left"):
        (tmp_path / name).write_text("1")
    script = (
        "import os, sys; folder = sys.argv[1]\n"
        "open(folder + '/opened').close(); os.close(os.open(folder + '/mapped', os.O_RDONLY))\n"
        "os.stat(folder + '/looked_at'); os.listdir(folder)\n"
    )
    watched = run_watched(["-c", script, str(tmp_path)], [tmp_path])
    assert watched.opened == {tmp_path / "opened", tmp_path / "mapped"}


@needs_linux
def test_a_command_that_fails_is_an_error_with_what_it_printed():
    with pytest.raises(RuntimeError, match=r"(?s)ended with 3:\n.*no such component"):
        run_watched(["-c", "print('no such component'); raise SystemExit(3)"], [])


@needs_linux
def test_a_folder_that_is_not_there_cannot_be_watched(tmp_path):
    with pytest.raises(OSError, match="cannot watch this folder"):
        run_watched(["-c", ""], [tmp_path / "nowhere"])


def test_a_merge_needs_a_composition(capsys):
    with pytest.raises(SystemExit):
        composing_memory.main(["--steps", "merge"])
    assert "Add compose" in capsys.readouterr().err


@pytest.mark.slow
@needs_linux
@pytest.mark.usefixtures("_children_find_the_packages")
def test_composed_and_merge_are_measured_and_nothing_is_left(capsys, tmp_path):
    toy = ["--shape", "toy", "--blip2-shard-size", "60KB", "--shard-size", "20KB", "--work-folder", str(tmp_path)]
    composing_memory.main(toy)
    printed = capsys.readouterr().out
    for what in ("from_blip2_pretrained", "mblip compose", "mblip merge"):
        assert re.search(rf"{re.escape(what)} +[\d.]+ +\d+ +\d+ +\d+\n", printed)
    assert printed.count("never: model-00004-of-00005.safetensors, model-00005-of-00005.safetensors") == 2
    assert list(Path(tmp_path).iterdir()) == []
