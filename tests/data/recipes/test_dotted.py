"""Functions of a recipe's own, by dotted path."""

import importlib
import sys

import pytest

from mblip.cli import main
from mblip.data.recipes.dotted import import_dotted, import_files
from mblip.evaluation.recipe import read_evaluation_run
from mblip.training.recipe_reading import read_recipe, to_yaml


def write(folder, name, text):
    folder.joinpath(f"{name}.py").write_text(text, encoding="utf-8")


def test_a_function_is_found_beside_the_recipe(tmp_path):
    write(tmp_path, "beside_recipe", "def answer():\n    return 42\n")
    assert import_dotted("beside_recipe:answer", tmp_path)() == 42


def test_a_module_of_a_package_is_found_beside_the_recipe(tmp_path):
    (tmp_path / "some_world").mkdir()
    write(tmp_path / "some_world", "task", "def answer():\n    return 42\n")
    assert import_dotted("some_world.task:answer", tmp_path)() == 42


@pytest.mark.parametrize("name", ["no_such_module:answer", "no_such_module.part:answer"])
def test_no_such_module_is_an_error_that_names_the_folder(tmp_path, name):
    with pytest.raises(ValueError, match=rf"`{name}`: found no module `no_such_module` in {tmp_path}"):
        import_dotted(name, tmp_path)


def test_a_module_that_lacks_another_says_which(tmp_path):
    write(tmp_path, "lacks_another", "import not_installed_here\n")
    with pytest.raises(ModuleNotFoundError, match="not_installed_here"):
        import_dotted("lacks_another:answer", tmp_path)


def test_no_such_name_is_an_error_with_the_nearest(tmp_path):
    write(tmp_path, "one_function", "def my_source():\n    pass\n")
    with pytest.raises(ValueError, match=r"no `my_sorce` in .*one_function\.py\. Did you mean `my_source`\?"):
        import_dotted("one_function:my_sorce", tmp_path)


def test_what_cannot_be_called_is_an_error(tmp_path):
    write(tmp_path, "one_number", "answer = 42\n")
    with pytest.raises(ValueError, match=r"`answer` is not a function or class in .*one_number\.py"):
        import_dotted("one_number:answer", tmp_path)


@pytest.mark.parametrize("name", ["module", "module:", ":function"])
def test_a_dotted_path_has_module_and_function(tmp_path, name):
    with pytest.raises(ValueError, match=rf"dotted path `{name}`, expected `my_module:my_function`"):
        import_dotted(name, tmp_path)


def test_a_module_hidden_by_one_of_its_name_is_an_error(tmp_path):
    importlib.import_module("json")
    write(tmp_path, "json", "def answer():\n    return 42\n")
    with pytest.raises(ValueError, match=r"`json` beside the recipe in .* is hidden by .*__init__\.py"):
        import_dotted("json:answer", tmp_path)


TRAINING = """
output_dir: out
model: {name_or_path: model}
data: {rows: {path: rows}}
stages: [{stage: warm_up, learning_rate: 1e-3, batch_size: 1, max_steps: 1}]
imports: [my_tower]
"""
EVALUATION = "model: model\noutput_dir: out\nevaluation: {pope: {questions: q, images: i}}\nimports: [my_tower]\n"


@pytest.mark.parametrize(("text", "read"), [(TRAINING, read_recipe), (EVALUATION, read_evaluation_run)])
def test_a_recipe_imports_its_modules(tmp_path, text, read):
    write(tmp_path, "my_tower", "")
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    assert read(path).imports == ("my_tower",)
    assert sys.modules["my_tower"].__file__ == str(tmp_path / "my_tower.py")
    path.write_text(text.replace("my_tower", "no_tower"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"recipe\.yaml, line \d+: `imports`: `no_tower`: found no module `no_tower`"):
        read(path)


def test_the_copy_of_a_recipe_finds_its_modules_from_another_folder(tmp_path):
    write(tmp_path, "my_tower", "")
    (tmp_path / "run").mkdir()
    (tmp_path / "recipe.yaml").write_text(TRAINING, encoding="utf-8")
    (tmp_path / "run" / "copy.yaml").write_text(to_yaml(read_recipe(tmp_path / "recipe.yaml")), encoding="utf-8")
    del sys.modules["my_tower"]
    sys.path.remove(str(tmp_path))
    assert read_recipe(tmp_path / "run" / "copy.yaml").modules == tmp_path
    assert "my_tower" in sys.modules


def test_a_command_imports_the_files_of_the_environment(tmp_path, monkeypatch, capsys):
    write(tmp_path, "my_tower", "")
    monkeypatch.setenv("MBLIP_IMPORTS", str(tmp_path / "my_tower.py"))
    main(["recipes"])
    assert "my_tower" in sys.modules
    with pytest.raises(
        ValueError, match=r"`no_tower\.py` is no file. Expected paths of Python files, separated by ':'"
    ):
        import_files("no_tower.py")
