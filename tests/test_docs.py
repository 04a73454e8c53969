"""README.md and docs/: short pages, links that lead somewhere, code that compiles, commands that exist."""

import contextlib
import importlib
import io
import re
import shlex
from pathlib import Path

import pytest
import yaml

from mblip import cli
from mblip.data.recipes.yaml_values import read_yaml, to_plain_values, write_yaml
from mblip.evaluation.command_line import parse_command_line as read_evaluation
from mblip.recipes import find_recipe
from mblip.training.recipe_reading import parse_command_line as read_training

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKED = [*PAGES, *(ROOT / name / "README.md" for name in ("quickstart", "benchmarks")), ROOT / "CONTRIBUTING.md"]
TAKE_A_RECIPE = ("train", "eval", "lmms-eval", "build", "embed", "retrieval")
MADE_BY_THE_READER = ("my_recipe.yaml", "my_evaluation.yaml", "my_mix.yaml")
SCRIPTS = {"train.py": "train", "eval.py": "eval"}

every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


pytestmark = pytest.mark.usefixtures("table_of_96")  # the pages add some


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def commands(path: Path) -> list[list[str]]:
    """The command lines of `mblip`, train.py, eval.py and the scripts in a page: in blocks, and in running text."""
    prose = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    lines = [part for block in blocks(path, "bash") for line in block.splitlines() for part in line.split("&&")]
    spans = [" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose)]
    words = [shlex.split(line) for line in (*lines, *spans) if line.count("'") % 2 == 0 and line.count('"') % 2 == 0]
    return [found for found in map(own_command, words) if found]


def own_command(words: list[str]) -> list[str]:
    """[subcommand or script, *arguments]; empty for the commands of others."""
    if words[:1] == ["torchrun"]:
        words = words[4:] if words[3:4] == ["-m"] else ["python", *words[3:]]
    if words[:1] == ["mblip"] and len(words) > 1:
        return words[1:]
    if words[:1] == ["python"] and len(words) > 1 and words[1].endswith(".py"):
        return [SCRIPTS.get(words[1], words[1]), *words[2:]]
    return []


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_there_is_a_page_for_each_story():
    stories = {"data", "evaluation", "models", "multiple_choice", "publishing", "quickstart", "speed", "training"}
    assert {path.stem for path in PAGES} >= {"README", *stories}


@pytest.mark.parametrize("path", PAGES[1:], ids=lambda path: path.name)
def test_readme_leads_to_every_page(path):
    assert f"](docs/{path.name})" in PAGES[0].read_text(encoding="utf-8")


@every_page
def test_a_page_is_short(path):
    assert path.read_text(encoding="utf-8").count("\n") < (180 if path.name == "README.md" else 250)


@pytest.mark.parametrize("path", LINKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path):
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    for link in links:
        if not link.startswith(("https://", "http://")):
            name, _, anchor = link.partition("#")
            target = (path.parent / name).resolve() if name else path
            assert target.exists(), link
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
            assert not anchor or anchor in map(slug, headings), link


@every_page
def test_python_compiles(path):
    for block in blocks(path, "python"):
        compile(block, path.name, "exec")


@every_page
def test_modules_in_running_text_can_be_imported(path):
    for name in re.findall(
        r"`((?:mblip|modeling_mblip|processing_mblip)(?:\.\w+)+)`", path.read_text(encoding="utf-8")
    ):
        importlib.import_module(name)


def options_of(name: str) -> str:
    """The help of a subcommand, or the text of a script."""
    if name not in cli.COMMANDS:
        return (ROOT / name).read_text(encoding="utf-8")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        cli.main([name, "--help"])
    return printed.getvalue()


@every_page
def test_commands_name_what_exists(path):
    for name, *arguments in commands(path):
        assert name in cli.COMMANDS or (ROOT / name).is_file(), name
        is_filled_in = arguments and not (arguments[0].isupper() or arguments[0] in MADE_BY_THE_READER)
        if name in TAKE_A_RECIPE and is_filled_in and not arguments[0].startswith(("-", "outputs/")):
            assert find_recipe(arguments[0]).is_file()
        for argument in arguments:
            if argument.startswith("--") and "." not in argument and name != "train":
                assert argument.partition("=")[0] in options_of(name), f"{name} {argument}"


@every_page
def test_what_is_trained_and_evaluated_can_be_read(path, monkeypatch):
    """Every recipe, field, option and task of `mblip train` and `mblip eval`, but for those that a reader writes."""
    monkeypatch.chdir(ROOT)
    read = {"train": read_training, "eval": read_evaluation}
    for name, *arguments in commands(path):
        is_whole = all(not re.fullmatch("[A-Z]+|my_.*", argument) and argument != "--help" for argument in arguments)
        if name in read and is_whole and (arguments or name == "train"):
            has_recipe = arguments and not arguments[0].startswith("-")  # else: what train.py gives
            read[name](arguments if has_recipe else ["quickstart/quickstart.yaml", *arguments])


@every_page
def test_yaml_is_a_recipe_or_a_part_of_one(path, tmp_path, monkeypatch):
    """Whole recipes as they stand; of others, the keys that stand there in place of those of `re_alignment_mt0_xl`."""
    monkeypatch.chdir(ROOT)
    whole = to_plain_values(read_yaml(find_recipe("re_alignment_mt0_xl")))
    for block in blocks(path, "yaml"):
        if "my_captions:" in block or "my_nli:" in block:  # read in test_readme.py, with their modules
            continue
        if "my_engine:" in block:  # in test_own_engine.py
            continue
        given = yaml.safe_load(block)
        (tmp_path / "recipe.yaml").write_text(
            block if "stages" in given else write_yaml(whole | given), encoding="utf-8"
        )
        read_training([str(tmp_path / "recipe.yaml")])


def test_commands_are_found():
    """So that the tests above look at something."""
    found = [command for path in PAGES for command in commands(path)]
    assert {name for name, *_ in found} >= set(cli.COMMANDS)
    assert [name for name, *_ in found].count("train") > 10
