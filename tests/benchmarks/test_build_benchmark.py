"""The benchmark of building a mix runs at toy size and prints its table; the figures mean nothing there."""

import re
import sys

import build
import pytest


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux's /proc")
@pytest.mark.usefixtures("_children_find_the_packages")
def test_both_steps_are_measured_at_each_size(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["build.py", "--examples", "40", "80", "--examples-a-shard", "40"])
    build.main()
    rows = re.findall(r"\| (\d+) \| (\d) \| (\w+) \| [\d,–]+ \| -?\d+ \|", capsys.readouterr().out)
    assert rows == [("40", "1", "reading"), ("40", "1", "building"), ("80", "2", "reading"), ("80", "2", "building")]
