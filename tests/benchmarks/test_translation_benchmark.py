"""The benchmark of translation at toy size; its times mean nothing there."""

import re

import pytest

pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed: the benchmark has nothing to compare with")

import translation as translation_benchmark


@pytest.mark.slow
def test_three_engines_translate_the_same_batches_with_and_without_beams(capsys):
    translation_benchmark.main(["--shape", "toy", "--rounds", "1", "--batch-size", "4", "--beams", "1", "4"])
    printed = capsys.readouterr().out
    for engine in ("transformers float32", "CTranslate2 float32", "CTranslate2 int8"):
        rows = re.findall(rf"{engine} +([14]) +[\d.]+ +[\d,]+ +[\d.]+ +\([\d.]+-[\d.]+\)  (\d+) of 8", printed)
        assert [beams for beams, _ in rows] == ["1", "4"]
        if engine != "CTranslate2 int8":
            assert rows[0] == ("1", "8")  # greedy: equal
