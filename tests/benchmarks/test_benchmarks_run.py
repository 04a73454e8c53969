"""Every benchmark runs at toy size and prints its row; the figures mean nothing there."""

import re
import sys
from pathlib import Path

import image_path
import loss_memory
import many_languages
import pytest
import training_step
import where_time_goes
from peak_memory import run_alone

pytestmark = pytest.mark.slow

TOY = ["--shape", "toy", "--rounds", "1"]
ROW = r"{what} +[\d.]+ +[\d.]+ +[\d.]+ +\([\d.]+-[\d.]+\) +[\d.]+ +\d+% +[\d.,]+ +[\d.,]+  "


@pytest.mark.parametrize("language_model", ["mt0-xl", "bloomz-7b1"])
def test_a_training_step_is_timed_with_four_prompts_per_image_and_with_one(capsys, language_model):
    training_step.main([*TOY, "--prompts", "4", "--language-model", language_model])
    printed = capsys.readouterr().out
    for prompts_per_image in (4, 1):
        assert re.search(ROW.format(what=rf"4 prompts, {prompts_per_image} per image"), printed)
    assert max(float(found) for found in re.findall(r"losses differ by (\S+)", printed)) < 1e-5


def test_36_languages_are_asked_greedily_and_with_beams_and_answered_alike(capsys):
    many_languages.main(TOY)
    printed = capsys.readouterr().out
    for decoding in many_languages.MODES:
        assert re.search(ROW.format(what=f"36 prompts, {decoding}"), printed)
    assert printed.count("36 of 36 texts equal") == 2


@pytest.mark.skipif(sys.platform != "linux", reason="the high-water mark of memory is read from Linux's /proc")
@pytest.mark.usefixtures("_children_find_the_packages")
def test_the_peak_memory_of_one_side_is_a_bare_number():
    printed = run_alone(Path(loss_memory.__file__), [*TOY, "--prompts", "4", "--memory-of", "ours"])
    assert re.fullmatch(r"[\d.]+\n", printed)


@pytest.mark.slow
@pytest.mark.usefixtures("_children_find_the_packages")
@pytest.mark.skipif(sys.platform != "linux", reason="the high-water mark of memory is read from Linux's /proc")
def test_the_loss_is_measured_in_time_and_memory(capsys):
    loss_memory.main([*TOY, "--prompts", "4"])
    printed = capsys.readouterr().out
    assert re.search(ROW.format(what="4 prompts, 96 label tokens"), printed)
    assert re.search(r"peak memory: [\d,]+ MB ours, [\d,]+ MB theirs, ratio [\d.]+", printed)


def test_the_image_path_is_timed_on_drawn_images(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["image_path.py", "--rounds", "1", "--batch-size", "32"])
    image_path.main()
    assert re.search(r"64 JPEGs.*\n.*ours.*theirs.*\n +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+", capsys.readouterr().out)


@pytest.mark.parametrize("what", ["loss", "step", "greedy", "beams"])
def test_the_time_of_a_run_is_told_by_part_and_by_kind_of_operation(capsys, what):
    where_time_goes.main([what, "--shape", "toy"])
    printed = capsys.readouterr().out
    for name in ("image encoder", "Q-Former", "encoder", "decoder", "head", "the rest", "matrix products"):
        assert re.search(rf"^{name} +[\d.]+ +[\d.]+% +[\d.]+ +[\d.]+%$", printed, re.MULTILINE), name
    assert re.search(r"ratio [\d.]+, bound by time [\d.]+", printed)
