"""The benchmark of images runs at toy size and prints its rows; the figures mean nothing there."""

import re
import sys

import images
import pytest
from PIL import Image

ROW = r"{name} +[\d,]+ +[\d.]+\n"


@pytest.mark.skipif(sys.platform != "linux", reason="the images are served by a forked process")
def test_reading_checking_storing_and_fetching_are_timed_beside_their_bounds(capsys, tmp_path):
    for number in range(4):
        Image.effect_noise((300, 280), 50).save(tmp_path / f"{number}.jpg")
    images.main([str(tmp_path), "--rounds", "1", "--num-urls", "20"])
    printed = capsys.readouterr().out
    assert printed.startswith("4 JPEGs of ")
    names = [
        "bound: decode by Pillow alone",
        "check, stored as it is",
        "check, stored with shorter side 256",
        "check, stored with shorter side 128",
        "read from a tar, not decoded",
        "bound: aiohttp alone, 64 connections",
        "fetch, decode and keep, 64 connections",
    ]
    found = [re.search(ROW.format(name=re.escape(name)), printed) for name in names]
    assert all(found), printed
    assert len(re.findall(r" 1\.00\n", printed)) >= 2
