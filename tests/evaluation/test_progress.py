"""What a run will cost, and how far it is."""

import time
from dataclasses import replace

import pytest
from table_model import example, knows_all

from mblip.evaluation import EvaluationTask, ExactMatch, GenerationChanges, GenerationSettings, RunSettings, run_task
from mblip.evaluation import progress as progress_file
from mblip.evaluation.progress import Progress, duration, run_cost


def task_of(name, *, num_images=3, languages=("en", "sw"), **changes):
    examples = [example(number, language=code) for code in languages for number in range(num_images)]
    return EvaluationTask(name, examples, ExactMatch(), GenerationSettings(10), "own", **changes)


def test_the_cost_of_a_run_counts_images_answers_and_tokens():
    colours, shapes = task_of("colours"), task_of("shapes", num_images=2000)
    pairs = [replace(entry, images=entry.images * 2) for entry in task_of("pairs").examples]
    ranked = EvaluationTask(
        "pairs",
        [replace(e, candidates=("a", "b")) for e in pairs],
        ExactMatch(),
        GenerationSettings(10),
        "own",
        "rank",
    )
    assert run_cost([colours], GenerationChanges()) == (
        "colours: at most 3 images to encode, 6 answers, at most 60 new tokens."
    )
    assert run_cost([colours, shapes, ranked], GenerationChanges(max_new_tokens=4)).splitlines() == [
        "colours: at most 3 images to encode, 6 answers, at most 24 new tokens.",
        "shapes: at most 2,000 images to encode, 4,000 answers, at most 16,000 new tokens.",
        "pairs: at most 6 images to encode, 6 answers, at most 0 new tokens.",
        "In total: at most 2,009 images to encode, 4,012 answers, at most 16,024 new tokens.",
    ]


@pytest.mark.parametrize(("seconds", "words"), [(89, "89 s"), (90, "2 min"), (5399, "90 min"), (18_800, "5.2 h")])
def test_a_duration_in_words(seconds, words):
    assert duration(seconds) == words


def wait_for(capsys, text):
    found = ""
    for _ in range(200):
        found += capsys.readouterr().err
        if text in found:
            return found
        time.sleep(0.01)
    raise AssertionError(found)


def test_without_a_terminal_a_line_tells_answers_rate_and_time_left_and_once_that_of_the_whole_run(
    capsys, monkeypatch
):
    monkeypatch.setattr(progress_file, "EVERY_SECONDS", 0.02)
    clock = [100.0]
    monkeypatch.setattr(progress_file, "monotonic", lambda: clock[0])
    task, later = task_of("colours"), [task_of("shapes"), task_of("pairs")]
    with Progress(task, GenerationChanges(), num_answers=6, later=later) as progress:
        assert "colours: 0 of 6 answers (0 %)\n" in wait_for(capsys, "colours")
        progress.add(2, is_new=False)  # from before the run was killed
        clock[0] += 120
        progress.add(1)
        lines = wait_for(capsys, "0.00833 a second").splitlines()
        assert "colours: 3 of 6 answers (50 %), 0.00833 a second, about 6 min left" in lines
        assert "colours and 2 later task(s): about 30 min left" in lines
        assert "later task" not in wait_for(capsys, "0.00833 a second")


def test_a_killed_run_that_goes_on_counts_what_was_answered_before(tmp_path, monkeypatch):
    added = []
    monkeypatch.setattr(Progress, "add", lambda self, number, *, is_new=True: added.append((number, is_new)))
    task = task_of("colours")
    model, processor = knows_all(task.examples)
    small = RunSettings(batch_size=4)
    run_task(model, processor, task, settings=small, predictions_path=tmp_path / "p.jsonl")
    run_task(model, processor, task, settings=small, predictions_path=tmp_path / "p.jsonl")
    assert added == [(0, False), (4, True), (2, True), (6, False)]
