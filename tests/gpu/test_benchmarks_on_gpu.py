"""The benchmarks on a CUDA device at the published shapes, random weights, bf16: memory keeps within its bounds.

Time is printed and not asserted; run with `-s` to read it.
"""

import re
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import loss_memory
import many_languages
import training_step

LANGUAGE_MODELS = ("mt0-xl", "bloomz-7b1")
NUM_BYTES_NEEDED = 70e9
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available() or torch.cuda.mem_get_info()[1] < NUM_BYTES_NEEDED,
        reason=f"needs a CUDA device with {NUM_BYTES_NEEDED / 1e9:.0f} GB",
    ),
]


def read_peaks(printed: str) -> list[tuple[float, float]]:
    """Every pair of peak megabytes in a benchmark's output, ours and the reference's."""
    found = re.findall(r"peak [^:]*: ([\d,]+) MB ours, ([\d,]+) MB theirs", printed)
    return [(float(ours.replace(",", "")), float(theirs.replace(",", ""))) for ours, theirs in found]


@pytest.fixture(autouse=True)
def _memory_returned():
    yield
    torch.cuda.empty_cache()


@pytest.mark.parametrize("language_model", LANGUAGE_MODELS)
def test_a_full_training_step_is_not_larger_than_the_references(capsys, language_model):
    training_step.main(["--device", "cuda", "--language-model", language_model, "--rounds", "3"])
    printed = capsys.readouterr().out
    print(printed)
    peaks = read_peaks(printed)
    assert len(peaks) == 2
    assert all(ours <= theirs for ours, theirs in peaks)
    assert printed.count("MFU on") == 2


@pytest.mark.parametrize("language_model", LANGUAGE_MODELS)
def test_the_loss_takes_at_most_half_the_references_memory(capsys, monkeypatch, language_model):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    loss_memory.main(["--device", "cuda", "--language-model", language_model, "--prompts", "64", "--rounds", "3"])
    printed = capsys.readouterr().out
    print(printed)
    ((ours, theirs),) = read_peaks(printed)
    assert ours <= theirs / 2


@pytest.mark.parametrize("language_model", LANGUAGE_MODELS)
def test_36_languages_are_answered_on_the_full_model(capsys, language_model):
    many_languages.main(["--device", "cuda", "--language-model", language_model, "--rounds", "3"])
    printed = capsys.readouterr().out
    print(printed)
    assert len(read_peaks(printed)) == 2
    assert len(re.findall(r"of 36 texts equal", printed)) == 2
