"""The benchmark of the filters runs at toy size and prints its tables; the figures mean nothing there."""

import re
import sys

import filters
import pytest

from mblip.mix.filters.minhash import jaccard, shingles

needs_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="the high-water mark of memory is read from Linux's /proc"
)


@needs_linux
def test_both_sides_leave_out_the_same_captions():
    pytest.importorskip("datasketch", reason="datasketch is not installed: `pip install datasketch`")
    ours, theirs = (filters.measure_side(side, 600).split() for side in filters.SIDES)
    assert len(ours) == len(theirs) == 3
    assert 400 <= int(ours[0]) < 420
    assert abs(int(ours[0]) - int(theirs[0])) < 6


@pytest.mark.slow
@needs_linux
@pytest.mark.usefixtures("_children_find_the_packages")
def test_both_sides_are_measured_in_processes_of_their_own(capsys):
    pytest.importorskip("datasketch", reason="datasketch is not installed: `pip install datasketch`")
    filters.compare_filters(600)
    rows = re.findall(r"\| 600, (\w+) \| [\d,]+ \| [\d,]+ \| [\d,]+ \|", capsys.readouterr().out)
    assert rows == ["ours", "datasketch"]


def test_both_engines_are_timed_and_find_the_same(capsys):
    pytest.importorskip("faiss", reason="FAISS is not installed: `pip install faiss-cpu`")
    filters.compare_engines(500, 20, 16)
    printed = capsys.readouterr().out
    assert re.findall(
        r"20 images in 500 captions of width 16, (\w+) \| [\d.]+ s \| [\d.]+ s \| [\d,]+ \|", printed
    ) == [
        "torch",
        "faiss",
    ]
    assert "6,160 of 6,160 ranks hold the same caption" in printed


@pytest.mark.slow
def test_every_third_caption_made_up_is_an_earlier_one_with_a_letter_changed():
    captions = filters.make_captions(300)
    assert len(captions) == 300
    nearest = [
        max(jaccard(shingles(text), shingles(other)) for other in captions[:i]) for i, text in enumerate(captions) if i
    ]
    assert min(nearest[1::3]) > 0.6
    assert max(nearest[2::3]) < 0.4
