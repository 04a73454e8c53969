"""The benchmark of ranking runs at toy size: its times mean nothing there, but that both sides agree."""

import re

import pytest
import ranking

ROW = r"\| {model} \| 30 \| [\d.]+ s \| [\d.]+ s \| [\d.]+ \| [\d.]+ \| [\d.]+ s \| (\S+) \|"


@pytest.mark.parametrize("language_model", ["mt0-xl", "bloomz-7b1"])
def test_both_sides_are_timed_and_give_every_answer_the_same_log_likelihood(language_model):
    toy = ["--shape", "toy", "--answers", "30", "--forwards", "30", "--language-model", language_model]
    printed = ranking.measure(ranking.parser().parse_args(toy))
    assert "| 30 forwards (30 run) |" in printed
    assert float(re.search(ROW.format(model=language_model), printed)[1]) < 1e-5


def test_batches_of_the_other_side_add_up_to_the_same():
    arguments = ranking.parser().parse_args(["--shape", "toy", "--answers", "20"])
    model, asked, _ = ranking.build(arguments)
    every = ranking.by_forwards(model, asked, range(20))
    assert ranking.by_batches(model, asked, range(20), 4).item() == pytest.approx(every.sum().item(), rel=1e-6)
