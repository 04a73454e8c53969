"""The output folder: whose it is, and what in it is done."""

import dataclasses
from pathlib import Path

import pytest

from mblip.training.checkpoints import write_manifest
from mblip.training.options import TrainingOptions
from mblip.training.recipe import Recipe
from mblip.training.recipe_reading import parse_command_line, read_recipe
from mblip.training.run_folder import find_differences, open_run
from tests.training.tiny_run import write_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return read_recipe(write_recipe(tmp_path))


def begin(recipe: Recipe) -> None:
    """A complete checkpoint of the warm-up."""
    checkpoint = recipe.output_dir / "0_warm_up" / "checkpoint-2"
    checkpoint.mkdir(parents=True)
    write_manifest(checkpoint)


def test_a_run_records_its_recipe_and_opens_again(recipe):
    open_run(recipe, is_main_process=True)
    assert read_recipe(recipe.output_dir / "recipe.yaml") == recipe
    run = open_run(recipe, is_main_process=True)
    assert [stage.folder.name for stage in run.stages] == ["0_warm_up", "1_re_alignment"]
    assert [stage.result for stage in run.stages] == [None, None]
    assert not run.is_finished


def test_another_recipe_in_the_same_folder_is_an_error_that_names_the_difference(recipe, tmp_path):
    open_run(recipe, is_main_process=True)
    begin(recipe)
    other = parse_command_line([str(tmp_path / "recipe.yaml"), "--stages.1.max_steps", "9", "--seed", "8"])
    with pytest.raises(ValueError, match=r"another recipe: stages.1.max_steps: 8 -> 9; seed: 7 -> 8\. Give the old"):
        open_run(other, is_main_process=True)


def test_a_folder_in_which_nothing_is_trained_yet_is_the_new_recipe_s(recipe):
    open_run(recipe, is_main_process=True)
    corrected = dataclasses.replace(recipe, seed=8)
    open_run(corrected, is_main_process=True)
    assert read_recipe(recipe.output_dir / "recipe.yaml") == corrected


def test_a_folder_that_cannot_be_written_is_an_error_that_says_what_to_do(recipe, tmp_path):
    (tmp_path / "file").write_text("")
    inside = dataclasses.replace(recipe, output_dir=tmp_path / "file" / "out")
    with pytest.raises(OSError, match=r"The run cannot be written: .*file.*\. Give another `--output_dir`"):
        open_run(inside, is_main_process=True)


def test_what_does_not_touch_the_weights_may_differ(recipe):
    open_run(recipe, is_main_process=True)
    begin(recipe)
    training = TrainingOptions(recipe.training | {"report_to": ["tensorboard"], "dataloader_num_workers": 2})
    open_run(dataclasses.replace(recipe, training=training), is_main_process=True)


def test_a_folder_with_foreign_files_is_refused(recipe):
    recipe.output_dir.mkdir()
    (recipe.output_dir / "thesis.tex").write_text("words")
    with pytest.raises(ValueError, match=r"holds files but no recipe\.yaml"):
        open_run(recipe, is_main_process=True)


def test_differences_name_what_was_added_and_taken_away():
    assert find_differences({"a": {"b": 1}, "c": [1, 2]}, {"a": {"b": 2}, "c": [1]}) == [
        "a.b: 1 -> 2",
        "c.1: 2 -> absent",
    ]
