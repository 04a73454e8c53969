"""Checkpoints hold what trains and nothing else, and are complete or not taken for one."""

import json
import os
import re
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file

from mblip.atomic_write import write_manifest
from mblip.training.checkpoints import (
    last_checkpoint,
    load_trained,
    put_aside_after,
    remove_partial,
    save_trained,
)
from mblip.training.trainable import count_trainable, set_trainable
from tests.tiny import tiny_model
from tests.training.checkpoint_files import write_checkpoint


def test_in_the_warm_up_the_weight_file_holds_the_projection_alone(tmp_path):
    model = set_trainable(tiny_model("mt5"), "warm_up")
    save_trained(model, tmp_path)
    saved = load_file(tmp_path / "trained.safetensors")
    assert sorted(saved) == ["language_projection.bias", "language_projection.weight"]


@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_in_the_re_alignment_the_weight_file_holds_what_trains_and_nothing_else(tmp_path, family):
    model = set_trainable(tiny_model(family), "re_alignment", LoraConfig(r=2))
    save_trained(model, tmp_path)
    saved = load_file(tmp_path / "trained.safetensors")
    assert sum(weight.numel() for weight in saved.values()) == count_trainable(model)
    kinds = {"lora_A", "lora_B", "qformer", "query_tokens", "language_projection"}
    assert all(any(kind in name for kind in kinds) for name in saved)
    assert all(any(kind in name for name in saved) for kind in kinds)


def test_what_is_saved_comes_back_bit_for_bit(tmp_path):
    model = set_trainable(tiny_model("mt5"), "re_alignment", LoraConfig(r=2))
    save_trained(model, tmp_path)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(1.0)
    load_trained(model, tmp_path)
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())


def test_weights_that_are_not_finite_are_not_resumed_from(tmp_path):
    model = set_trainable(tiny_model("mt5"), "warm_up")
    with torch.no_grad():
        model.language_projection.bias[0] = float("nan")
    save_trained(model, tmp_path)
    with pytest.raises(
        ValueError, match=r"`language_projection\.bias` of .* not finite .*Delete it: the same command"
    ):
        load_trained(model, tmp_path)


def test_weights_of_another_stage_are_refused(tmp_path):
    save_trained(set_trainable(tiny_model("mt5"), "warm_up"), tmp_path)
    with pytest.raises(ValueError, match=r"holds 2 parameters, but .* train here"):
        load_trained(set_trainable(tiny_model("mt5"), "re_alignment", LoraConfig(r=2)), tmp_path)


def test_the_checkpoint_of_the_most_steps_is_the_last_one(tmp_path):
    for steps in (9, 10, 100):
        write_checkpoint(tmp_path, steps)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-100"
    assert last_checkpoint(tmp_path / "none") is None


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def change_entry(folder: Path, name: str, entry: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {name: entry}))


FILES = ("trained.safetensors", "trainer_state.json", "optimizer.pt")
ENTRY = {"bytes": 7, "xxh3_128": "0" * 32}
DAMAGES = {
    "lost": (lambda path: path.unlink(), "{} is missing"),
    "empty": (lambda path: path.write_bytes(b""), r"{} has 0 bytes, expected \d+"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:3]), r"{} has 3 bytes, expected \d+"),
    "zeros": (lambda path: path.write_bytes(bytes(path.stat().st_size)), "{} has the digest .{{32}}, expected "),
    "a flipped bit": (flip_a_bit, "{} has the digest .{{32}}, expected "),
    "a folder": (lambda path: [path.unlink(), path.mkdir()], "{} (has|cannot be read)"),
}
DAMAGED_MANIFESTS = {
    "empty": lambda folder: (folder / "manifest.json").write_bytes(b""),
    "cut": lambda folder: (folder / "manifest.json").write_text('{"trained.safetensors": {'),
    "NULs": lambda folder: (folder / "manifest.json").write_bytes(bytes(100)),
    "no UTF-8": lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe"),
    "a list": lambda folder: (folder / "manifest.json").write_text("[]"),
    "a number": lambda folder: (folder / "manifest.json").write_text("7"),
    "no files": lambda folder: (folder / "manifest.json").write_text("{}"),
    "nested deeply": lambda folder: (folder / "manifest.json").write_text("[" * 100_000),
    "an entry of another type": lambda folder: change_entry(folder, "optimizer.pt", 7),
    "an entry without a size": lambda folder: change_entry(folder, "optimizer.pt", {"xxh3_128": ""}),
    "an endless size": lambda folder: change_entry(folder, "optimizer.pt", ENTRY | {"bytes": float("inf")}),
    "a file outside": lambda folder: change_entry(folder, "../checkpoint-9/optimizer.pt", ENTRY),
    "an absolute path": lambda folder: change_entry(folder, "/etc/passwd", ENTRY),
    "a name with a NUL": lambda folder: change_entry(folder, "a\0b", ENTRY),
    "a name that is too long": lambda folder: change_entry(folder, "a" * 300, ENTRY),
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_checkpoint_with_a_damaged_file_is_skipped_with_a_warning(tmp_path, caplog, kind, file):
    damage, message = DAMAGES[kind]
    write_checkpoint(tmp_path, 9)
    damage(write_checkpoint(tmp_path, 10) / file)
    for _ in range(2):
        assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-9"
    (warning,) = caplog.messages
    assert re.search("checkpoint-10 is skipped: " + message.format(file), warning)
    assert warning.endswith("We use the checkpoint before it, and training puts this one aside.")


@pytest.mark.parametrize("kind", DAMAGED_MANIFESTS)
def test_a_checkpoint_with_a_damaged_manifest_is_skipped_with_a_warning(tmp_path, caplog, kind):
    write_checkpoint(tmp_path, 9)
    DAMAGED_MANIFESTS[kind](write_checkpoint(tmp_path, 10))
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-9"
    (warning,) = caplog.messages
    assert re.search(r"checkpoint-10 is skipped: \S+ (is missing, or does not list files|has|cannot be read)", warning)


def test_with_every_checkpoint_damaged_nothing_is_trained_anew_in_silence(tmp_path):
    for steps in (9, 10):
        flip_a_bit(write_checkpoint(tmp_path, steps) / "optimizer.pt")
    with pytest.raises(ValueError, match=r"No checkpoint in .* is whole, .*optimizer\.pt has the digest.* or delete "):
        last_checkpoint(tmp_path)


def test_damage_that_comes_after_a_checkpoint_was_proved_is_found(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, 9)
    newest = write_checkpoint(tmp_path, 10)
    assert last_checkpoint(tmp_path) == newest
    monkeypatch.setattr("mblip.atomic_write._digest", lambda path: pytest.fail(f"{path} is read again"))
    assert last_checkpoint(tmp_path) == newest
    monkeypatch.undo()
    (newest / "optimizer.pt").write_bytes(b"changed")
    os.utime(newest / "optimizer.pt", ns=(1, 1))
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-9"


def test_without_its_best_evaluation_s_checkpoint_a_stage_resumes_before_that(tmp_path, caplog):
    for steps, best in ((2, None), (4, 4), (6, 4)):
        write_checkpoint(tmp_path, steps, best_global_step=best)
    assert last_checkpoint(tmp_path, keep_best=True) == tmp_path / "checkpoint-6"
    flip_a_bit(tmp_path / "checkpoint-4" / "trained.safetensors")
    assert last_checkpoint(tmp_path, keep_best=True) == tmp_path / "checkpoint-2"
    assert "checkpoint-6 is skipped: its best evaluation's checkpoint-4: trained.safetensors has" in caplog.text
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-6"


def test_checkpoints_after_the_one_to_resume_from_are_put_aside(tmp_path):
    for steps in (2, 4, 6):
        write_checkpoint(tmp_path, steps)
    (tmp_path / "damaged_checkpoint-6_1").mkdir()
    put_aside_after(tmp_path / "checkpoint-2", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-2",
        "damaged_checkpoint-4_1",
        "damaged_checkpoint-6_1",
        "damaged_checkpoint-6_2",
    ]
    assert (tmp_path / "damaged_checkpoint-6_2" / "optimizer.pt").is_file()


def test_a_copy_of_a_checkpoint_under_another_name_is_neither_used_nor_deleted(tmp_path):
    copy = write_checkpoint(tmp_path, 10).rename(tmp_path / "checkpoint-10-copy")
    (copy / "manifest.json").unlink()
    remove_partial(tmp_path)
    assert last_checkpoint(tmp_path) is None
    assert copy.is_dir()


def test_files_are_on_the_disk_before_the_manifest_that_makes_them_count(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("os.fsync", lambda number: synced.append(Path(os.readlink(f"/proc/self/fd/{number}")).name))
    write_checkpoint(tmp_path, 9)
    *files, inner, manifest, outer = synced
    assert sorted(files) == sorted(FILES)
    assert (inner, manifest, outer) == ("checkpoint-9", ".manifest.json.partial", "checkpoint-9")


def test_a_checkpoint_without_its_manifest_is_none_and_is_deleted(tmp_path):
    complete = write_checkpoint(tmp_path, 9)
    (write_checkpoint(tmp_path, 10) / "manifest.json").unlink()
    assert last_checkpoint(tmp_path) == complete
    remove_partial(tmp_path)
    assert list(tmp_path.iterdir()) == [complete]


def test_a_checkpoint_that_is_written_again_is_not_complete_until_it_is_written(tmp_path):
    checkpoint = write_checkpoint(tmp_path, 9)
    save_trained(set_trainable(tiny_model("mt5"), "warm_up"), checkpoint)
    assert last_checkpoint(tmp_path) is None
    write_manifest(checkpoint)
    assert last_checkpoint(tmp_path) == checkpoint
