from pathlib import Path

import pytest

from mblip.evaluation import EvaluationRecipe, EvaluationRun, GenerationChanges, RunSettings
from mblip.evaluation.command_line import parse_command_line
from mblip.evaluation.tasks.babel_imagenet import BabelImageNetRecipe
from mblip.evaluation.tasks.scenes import ScenesRecipe

RECIPE = EvaluationRun("model", Path("out"), EvaluationRecipe(scenes=ScenesRecipe()))


def parse(*arguments):
    return parse_command_line(arguments, lambda path: RECIPE)


def test_a_model_alone_is_asked_about_the_drawn_world_in_all_its_languages():
    run = parse("outputs/quickstart/model/")
    assert run.model == "outputs/quickstart/model/"
    assert run.output_dir == Path("outputs/evaluation/outputs--quickstart--model")
    assert run.evaluation == EvaluationRecipe(scenes=ScenesRecipe())


def test_options_of_a_task_are_read():
    run = parse("m", "--task", "scenes", "--languages", "sw,hi", "--num_images", "5", "--conditions", "seen")
    assert run.evaluation.scenes == ScenesRecipe(languages=("sw", "hi"), num_images=5, conditions=("seen",))
    run = parse("m", "--task", "babel_imagenet", "--photos", "p", "--labels", "l.json", "--output_dir", "o")
    assert run.output_dir == Path("o")
    assert run.evaluation.babel_imagenet == BabelImageNetRecipe(photos=Path("p"), labels=Path("l.json"))
    assert run.evaluation.scenes is None


def test_a_recipe_may_be_given_another_model_and_folder():
    assert parse("recipe.yaml") == RECIPE
    run = parse("recipe.yaml", "--model", "other", "--output_dir", "there")
    assert (run.model, run.output_dir, run.evaluation) == ("other", Path("there"), RECIPE.evaluation)


def test_options_of_a_task_beside_a_recipe_are_an_error():
    with pytest.raises(
        ValueError, match="Found --languages beside a recipe, which takes --model, --output_dir, --dtype"
    ):
        parse("recipe.yaml", "--languages", "sw")


def test_an_option_of_another_task_is_an_error():
    with pytest.raises(ValueError, match="Found --photos with the task scenes, which takes --languages, --num_images"):
        parse("m", "--photos", "p")


def test_a_missing_option_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="The task babel_imagenet lacks --labels"):
        parse("m", "--task", "babel_imagenet", "--photos", "p")


def test_an_unknown_language_is_an_error_that_names_the_nearest():
    with pytest.raises(ValueError, match=r"Found the language 'swa'.*Nearest: `sw` \(Swahili\)"):
        parse("m", "--languages", "swa")


def test_a_repeated_language_is_an_error():
    with pytest.raises(ValueError, match="`languages` names sw more than once"):
        ScenesRecipe(languages=("sw", "hi", "sw"))


def test_a_recipe_without_a_task_is_an_error():
    with pytest.raises(ValueError, match="expected at least one task: scenes, scene_counts, babel_imagenet, xm3600"):
        EvaluationRecipe(settings=RunSettings(generation=GenerationChanges(num_beams=5)))


def test_the_tasks_of_a_recipe_are_built():
    recipe = EvaluationRecipe(scenes=ScenesRecipe(languages=("ko",), num_images=2))
    (task,) = recipe.build_tasks()
    assert task.name == "scenes"
    assert [example.condition for example in task.examples] == ["as_is", "as_is", "shuffled", "shuffled"]


@pytest.mark.parametrize("source", ["model", "recipe.yaml"])
def test_the_precision_is_an_option_of_a_model_and_of_a_recipe(source):
    run = parse(source, "--dtype", "bfloat16", "--load_in", "4bit")
    assert (run.dtype, run.load_in) == ("bfloat16", "4bit")
    assert (parse(source).dtype, parse(source).load_in) == ("auto", None)
