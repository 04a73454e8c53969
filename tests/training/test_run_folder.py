"""The output folder: whose it is, and what in it is done."""

import dataclasses
import shutil
from pathlib import Path

import pytest

import mblip.eval
import mblip.train
from mblip.atomic_write import LOCK_FILE, locked, write_manifest
from mblip.training.options import TrainingOptions
from mblip.training.recipe import Recipe
from mblip.training.recipe_reading import parse_command_line, read_recipe
from mblip.training.run_folder import Run, find_differences, open_run
from tests.training.checkpoint_files import write_checkpoint
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


@pytest.mark.parametrize("door", ["train", "eval"])
def test_a_second_training_or_evaluation_in_a_folder_ends_at_once_and_touches_nothing(recipe, tmp_path, door):
    left = recipe.output_dir / "0_warm_up" / "checkpoint-2"  # incomplete: opening the run would delete it
    left.mkdir(parents=True)
    main, arguments = {
        "train": (mblip.train.main, [str(tmp_path / "recipe.yaml")]),
        "eval": (mblip.eval.main, ["nowhere", "--task", "scenes.task:scenes", "--output_dir", str(recipe.output_dir)]),
    }[door]
    with (
        locked(recipe.output_dir, LOCK_FILE, "training into"),
        pytest.raises(OSError, match=rf"Another process is training or evaluating into {recipe.output_dir}\."),
    ):
        main(arguments)
    assert left.is_dir()
    assert not (recipe.output_dir / "recipe.yaml").exists()


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


def test_what_does_not_touch_the_weights_may_differ(recipe):
    open_run(recipe, is_main_process=True)
    begin(recipe)
    training = TrainingOptions(recipe.training | {"report_to": ["tensorboard"], "dataloader_num_workers": 2})
    open_run(dataclasses.replace(recipe, training=training), is_main_process=True)


def test_a_folder_with_foreign_files_is_refused(recipe):
    (recipe.output_dir / "model").mkdir(parents=True)
    (recipe.output_dir / "thesis.tex").write_text("words")
    with pytest.raises(ValueError, match=r"holds files but no recipe\.yaml"):
        open_run(recipe, is_main_process=True)


def test_an_empty_or_cut_recipe_in_the_folder_is_told_and_may_be_deleted(recipe, caplog):
    open_run(recipe, is_main_process=True)
    begin(recipe)
    record = recipe.output_dir / "recipe.yaml"
    written = record.read_text()
    damages = {"": "damaged", "model:\n  num_e": "other", "[]": "other", "{" * 50: "damaged", "\0" * 9: "damaged"}
    told = {
        "damaged": r"recipe\.yaml is damaged .*delete the file and run",
        "other": "was written by another recipe: ",
    }
    for content, kind in damages.items():
        record.write_text(content)
        with pytest.raises(ValueError, match=f"(?s){told[kind]}"):
            open_run(recipe, is_main_process=True)
    record.unlink()
    open_run(recipe, is_main_process=True)
    assert record.read_text() == written
    assert "recipe.yaml is missing. We take what is in" in caplog.text


def test_a_stage_does_not_go_on_from_a_result_that_is_damaged(recipe):
    open_run(recipe, is_main_process=True)
    for stage, steps in (("0_warm_up", 6), ("1_re_alignment", 2)):
        write_checkpoint(recipe.output_dir / stage, steps, max_steps=6)
    open_run(recipe, is_main_process=True)
    write_checkpoint(recipe.output_dir / "0_warm_up", 4, max_steps=6)
    (recipe.output_dir / "0_warm_up" / "checkpoint-6" / "optimizer.pt").write_bytes(bytes(7))
    with pytest.raises(ValueError, match=r"1_re_alignment was trained from the result of 0_warm_up.*delete"):
        open_run(recipe, is_main_process=True)


MODEL_DAMAGES = {
    "an empty folder": lambda model: [path.unlink() for path in model.iterdir()],
    "empty weights": lambda model: (model / "model.safetensors").write_bytes(b""),
    "zeros": lambda model: (model / "model.safetensors").write_bytes(bytes(7)),
    "lost weights": lambda model: (model / "model.safetensors").unlink(),
    "a lost card": lambda model: (model / "README.md").unlink(),
    "an empty card": lambda model: (model / "README.md").write_text(""),
    "a lost manifest": lambda model: (model / "manifest.json").unlink(),
}


def finish(recipe: Recipe) -> Run:
    run = open_run(recipe, is_main_process=True)
    for stage in run.stages:
        write_checkpoint(stage.folder, 6, max_steps=6)
    run.model_folder.mkdir()
    (run.model_folder / "model.safetensors").write_bytes(b"weights")
    (run.model_folder / "README.md").write_text("# A run")
    write_manifest(run.model_folder, without="README.md")
    return run


@pytest.mark.parametrize("kind", MODEL_DAMAGES)
def test_a_damaged_model_is_not_finished_and_is_put_aside_with_a_warning(recipe, caplog, kind):
    run = finish(recipe)
    assert run.is_finished
    MODEL_DAMAGES[kind](run.model_folder)
    run = open_run(recipe, is_main_process=True)
    assert not run.is_finished
    assert not run.model_folder.exists()
    assert (run.folder / "damaged_model_1").exists()
    assert "model is not whole: " in caplog.text


def test_the_card_of_a_finished_model_may_be_edited(recipe):
    run = finish(recipe)
    (run.model_folder / "README.md").write_text("# My run")
    assert open_run(recipe, is_main_process=True).is_finished


def test_a_damaged_model_without_checkpoints_is_not_trained_anew_in_silence(recipe):
    run = finish(recipe)
    (run.model_folder / "model.safetensors").write_bytes(bytes(7))
    shutil.rmtree(run.stages[1].folder)
    with pytest.raises(ValueError, match=r"model is not whole \(model\.safetensors has the .* are gone\. Restore"):
        open_run(recipe, is_main_process=True)
    assert (run.model_folder / "model.safetensors").is_file()


def test_differences_name_what_was_added_and_taken_away():
    assert find_differences({"a": {"b": 1}, "c": [1, 2]}, {"a": {"b": 2}, "c": [1]}) == [
        "a.b: 1 -> 2",
        "c.1: 2 -> absent",
    ]
