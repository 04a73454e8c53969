"""A trial: a part of each benchmark, in some languages or of a few images."""

from dataclasses import replace

import pytest
from table_model import example

from mblip.evaluation import EvaluationTask, ExactMatch, GenerationSettings
from mblip.evaluation.trial import Trial


def task_of(name, languages, *, num_images=4):
    examples = [example(number, language=code) for code in languages for number in range(num_images)]
    return EvaluationTask(name, examples, ExactMatch(), GenerationSettings(4), "own", marks=("split dev",))


def asked(task):
    return {(entry.language, entry.image_id) for entry in task.examples}


def test_a_trial_keeps_the_same_few_images_in_each_of_its_languages_and_is_marked():
    (task,) = Trial(("sw", "en"), num_images=2).of([task_of("colours", ["en", "de", "sw"])])
    images = {image_id for _, image_id in asked(task)}
    assert len(images) == 2
    assert asked(task) == {(code, image_id) for code in ("en", "sw") for image_id in images}
    assert task.marks == ("split dev", "trial in en, sw", "trial of 2 images")


def test_a_trial_that_leaves_nothing_out_is_no_trial():
    tasks = [task_of("colours", ["en", "sw"])]
    assert Trial().of(tasks) == tasks
    assert Trial(("en", "sw"), num_images=4).of(tasks) == tasks


def test_a_benchmarks_own_code_names_its_language():
    (task,) = Trial(("he",)).of([task_of("colours", ["iw", "en"])])
    assert {language for language, _ in asked(task)} == {"iw"}
    assert task.marks == ("split dev", "trial in iw")


def test_a_task_without_the_languages_is_left_out_with_a_warning(caplog):
    tasks = [task_of("colours", ["en", "sw"]), task_of("shapes", ["de"])]
    assert [task.name for task in Trial(("sw",)).of(tasks)] == ["colours"]
    assert caplog.messages == ["shapes has no examples in sw: skipped in this trial."]


@pytest.mark.parametrize(
    ("languages", "message"),
    [
        (("sv",), r"Found no examples in sv, only in de, en, sw\."),
        (("xx",), "xx"),
        (("he", "iw"), "lists iw more than once"),
    ],
)
def test_a_language_that_no_task_has_is_an_error(languages, message):
    with pytest.raises(ValueError, match=message):
        Trial(languages).of([task_of("colours", ["en", "sw"]), task_of("shapes", ["de"])])


def test_shuffled_images_stay_in_a_trial_for_the_same_images():
    task = task_of("colours", ["en"])
    shuffled = [replace(entry, condition="shuffled") for entry in task.examples]
    (part,) = Trial(num_images=1).of([replace(task, examples=[*task.examples, *shuffled])])
    assert [entry.condition for entry in part.examples] == ["as_is", "shuffled"]
    assert len({entry.image_id for entry in part.examples}) == 1
