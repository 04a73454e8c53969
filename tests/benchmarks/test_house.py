"""The packages are counted, and the files that two journeys go through."""

import re

import house
import pytest

pytestmark = pytest.mark.slow


def test_a_forward_pass_reads_five_files_and_a_training_step_at_most_twenty_one(capsys):
    house.main()
    printed = capsys.readouterr().out
    assert re.search(r"product +\d+ +[\d,]+\n", printed)
    assert "a forward pass with an image and loss: 5 files\n    modeling_mblip/configuration_mblip.py\n" in printed
    found = re.search(r"one training step, rows to gradient: (\d+) files\n", printed)
    assert found is not None
    assert 10 < int(found.group(1)) <= 21
