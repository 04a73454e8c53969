"""Wrong inputs end a command with one message; bugs keep their traceback."""

import runpy
import sys
from pathlib import Path

import pytest

from mblip.data import command
from mblip.data.command import WRONG_INPUT, run_command
from mblip.data.languages import get_language

ROOT = Path(__file__).parents[2]


def raise_in_package() -> None:
    get_language("xx")


def find_no_file() -> None:
    Path("no_such_file").read_text()


def convert_text() -> None:
    int("ten")


def zip_in_package() -> None:
    """As if `command.py` zipped unequal lists in its first line."""
    exec(compile("list(zip([1], [], strict=True))", command.__file__, "exec"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (raise_in_package, "train.py: error: Found the language 'xx', expected one of the 96 codes"),
        (find_no_file, "train.py: error: [Errno 2] No such file or directory: 'no_such_file'"),
    ],
)
def test_a_wrong_input_is_one_message_and_no_traceback(monkeypatch, capsys, wrong, message):
    monkeypatch.setattr(sys, "argv", ["folder/train.py"])
    with pytest.raises(SystemExit) as ended:
        run_command(lambda arguments: wrong())
    printed = capsys.readouterr()
    assert ended.value.code == WRONG_INPUT == 2
    assert printed.err.startswith(message)
    assert printed.err.count("\n") == 1
    assert printed.out == ""


@pytest.mark.parametrize(("bug", "message"), [(convert_text, "invalid literal"), (zip_in_package, "zip()")])
def test_a_bug_keeps_its_traceback(monkeypatch, bug, message):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        run_command(lambda arguments: bug())


def test_a_command_gets_its_arguments(monkeypatch):
    given: list[str] = []
    monkeypatch.setattr(sys, "argv", ["train.py", "recipe.yaml", "--seed", "3"])
    run_command(given.extend)
    assert given == ["recipe.yaml", "--seed", "3"]


@pytest.mark.parametrize("script", ["train.py", "eval.py"])
def test_a_missing_recipe_ends_either_command_with_a_message(monkeypatch, capsys, script):
    monkeypatch.setattr(sys, "argv", [script, "missing.yaml"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(ROOT / script), run_name="__main__")
    assert capsys.readouterr().err.startswith(f"{script}: error: There is no recipe missing.yaml.")
