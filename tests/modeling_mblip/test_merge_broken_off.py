"""A merge that is killed: nothing half there is taken for whole, and the same line ends it with the same bits. And how
little memory it takes.
"""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from merge_inputs import SHARD, reference, save_adapter, save_base, weight_files
from peft import PeftModel
from tiny import tiny_model, tiny_text_config

from benchmarks.peak_memory import run_alone
from modeling_mblip import MBlipForConditionalGeneration
from modeling_mblip import merge as merge_module
from modeling_mblip.merge import main as merge

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

KILLED = """
import os, signal, sys
sys.path[:0] = {paths!r}
from modeling_mblip import merge

def save_file(weights, path, metadata, calls=[]):
    calls.append(path)
    merge_save_file(weights, path, metadata=metadata)
    if len(calls) == 3:
        os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)

merge_save_file, merge.save_file = merge.save_file, save_file
merge.main(sys.argv[1:])
"""


def test_killed_and_started_again_it_goes_on_and_ends_with_the_same_bits(tmp_path, capsys):
    base = save_base("sharded", "mt5", tmp_path)
    adapter = save_adapter(base, tmp_path / "adapter")
    arguments = [str(adapter), str(tmp_path / "merged"), "--max-shard-size", SHARD]
    killed = subprocess.run([sys.executable, "-c", KILLED.format(paths=[str(ROOT)]), *arguments], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "merged").exists()
    whole = weight_files(tmp_path / ".merged.merging" / "model")
    assert len(whole) == 2
    merge(arguments)
    assert "2 of the files were there from before" in capsys.readouterr().out
    reference(base, adapter, tmp_path / "expected")
    assert weight_files(tmp_path / "merged") == weight_files(tmp_path / "expected")
    assert not (tmp_path / ".merged.merging").exists()


class BrokenOffError(Exception):
    pass


def break_off(monkeypatch, name, after):
    """Let a function of merge.py raise at its call number `after` + 1."""
    original, calls = getattr(merge_module, name), []

    def breaking(*args, **kwargs):
        if len(calls) == after:
            raise BrokenOffError
        calls.append(args)
        return original(*args, **kwargs)

    monkeypatch.setattr(merge_module, name, breaking)


@pytest.mark.parametrize("change", ["adapter", "shard size", "base"])
def test_a_merge_of_other_inputs_does_not_go_on_with_what_is_there(change, tmp_path, monkeypatch, capsys):
    base = save_base("sharded", "mt5", tmp_path)
    adapter = save_adapter(base, tmp_path / "adapter")
    arguments = [str(adapter), str(tmp_path / "merged"), "--max-shard-size", SHARD]
    with monkeypatch.context() as context:
        break_off(context, "_write_shard", after=2)
        with pytest.raises(BrokenOffError):
            merge(arguments)
    if change == "adapter":
        save_adapter(base, adapter, lora_alpha=5)
    elif change == "base":
        tiny_model("mt5", seed=9).save_pretrained(base, max_shard_size="50KB")
    else:
        arguments[-1] = "5GB"
    merge(arguments)
    assert "from before" not in capsys.readouterr().out
    model = PeftModel.from_pretrained(MBlipForConditionalGeneration.from_pretrained(base), adapter).merge_and_unload()
    merged = MBlipForConditionalGeneration.from_pretrained(tmp_path / "merged").state_dict()
    for name, weight in model.state_dict().items():
        assert torch.equal(merged[name], weight), name


def test_broken_off_before_its_traces_are_gone_it_is_finished_by_the_same_line(tmp_path, monkeypatch):
    base = save_base("sharded", "mt5", tmp_path)
    adapter = save_adapter(base, tmp_path / "adapter")
    arguments = [str(adapter), str(tmp_path / "merged"), "--max-shard-size", SHARD]
    with monkeypatch.context() as context:
        break_off(context, "_report", after=0)
        context.setattr("modeling_mblip.merge.shutil.rmtree", lambda path, ignore_errors=False: None)
        with pytest.raises(BrokenOffError):
            merge(arguments)
    before = weight_files(tmp_path / "merged")
    merge(arguments)
    assert weight_files(tmp_path / "merged") == before
    assert not (tmp_path / ".merged.merging").exists()
    with pytest.raises(SystemExit, match=r"merged is there already\. Delete it"):
        merge(arguments)


MEASURING = """
import sys
sys.path[:0] = {paths!r}
import torch
from pathlib import Path
from benchmarks.peak_memory import peak_megabytes
from modeling_mblip.merge import merge_adapter

def measure(folder, max_shard_size):
    step = lambda: merge_adapter(str(folder / "adapter"), folder / max_shard_size, max_shard_size=max_shard_size)
    return peak_megabytes(step, torch.device("cpu"))

small, large = [Path(path) for path in sys.argv[1:]]
measure(small, "4MB")  # what is taken once, by whatever is imported late
print(measure(large, "4MB"), measure(large, "16MB"))
"""


def test_peak_memory_is_two_shards_and_a_constant(tmp_path):
    """Of a base of 68 MB in one file: a merge that held all of it, or three shards at once, would be seen."""
    shapes = {"small": {}, "large": {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 16}}
    for name, shape in shapes.items():
        model = tiny_model("llama", text_config=tiny_text_config("llama", **shape))
        model.save_pretrained(tmp_path / name / "base")
        save_adapter(tmp_path / name / "base", tmp_path / name / "adapter")
    script = tmp_path / "measure.py"
    script.write_text(MEASURING.format(paths=[str(ROOT)]))
    in_4, in_16 = map(float, run_alone(script, [str(tmp_path / "small"), str(tmp_path / "large")]).split())
    sizes = [path.stat().st_size for path in (tmp_path / "large" / "4MB").glob("*.safetensors")]
    assert sum(sizes) > 60e6
    assert in_4 < 2 * 4 + 16
    assert in_16 - in_4 < 2 * (16 - 4) + 2
