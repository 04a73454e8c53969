"""The command `mblip`: its help, its messages about wrong input, and the recipes it finds by their short names."""

import errno
import json
import os
import pickle
import re
import runpy
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib.metadata import packages_distributions
from pathlib import Path

import httpx2
import pytest
from datasets.exceptions import DatasetGenerationError
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError

from mblip import cli
from mblip.cli import COMMANDS, EXTRAS, WRONG_INPUT
from mblip.data.languages import get_language
from mblip.recipes import find_recipe, recipe_names
from tests.training.tiny_run import write_components

ROOT = Path(__file__).parents[1]
# A process in which the extras of pyproject.toml are not installed. PyYAML and tqdm come with huggingface-hub.
WITHOUT_EXTRAS = f"""
import sys
from importlib.machinery import PathFinder

class WithoutExtras(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        extras = {set(EXTRAS) - {"yaml", "tqdm"}!r}
        return None if name.split(".")[0] in extras else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutExtras
from mblip.cli import main

def run(*arguments):
    try:
        main(arguments)
    except SystemExit as ended:
        assert not ended.code, ended.code
    print("-----")

"""


def run(monkeypatch, wrong):
    """Run the command `mblip compare` with another function in place of its own."""
    monkeypatch.setattr("mblip.evaluation.compare.main", lambda arguments: wrong())
    cli.main(["compare"])


def raise_(error: Exception) -> None:
    raise error


def refuse() -> None:
    get_language("xx")


def find_no_file() -> None:
    Path("no_such_file").read_text()


def read_a_broken_pickle() -> None:
    pickle.loads(b"\x80")


def convert_text() -> None:
    int("ten")


def parse_json() -> None:
    json.loads("{")


def zip_in_package() -> None:
    """As if the package zipped unequal lists."""
    exec(compile("list(zip([1], [], strict=True))", cli.__file__, "exec"), {"__name__": "mblip.cli"})


@pytest.mark.parametrize(
    ("wrong", "message", "place"),
    [
        (refuse, "Found the language 'xx', expected one of the 96 codes", "mblip/data/languages.py, line "),
        (find_no_file, "[Errno 2] No such file or directory: 'no_such_file'", "mblip/cli.py, line "),
        (zip_in_package, "zip() argument 2 is shorter than argument 1", "mblip/cli.py, line 1;"),
    ],
)
def test_a_wrong_input_is_one_message_with_the_line_that_refused_it(monkeypatch, capsys, wrong, message, place):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, wrong)
    printed = capsys.readouterr()
    assert ended.value.code == WRONG_INPUT == 2
    first, second = printed.err.splitlines()
    assert first.startswith(f"mblip compare: error: {message}")
    assert second.startswith(f"({place}")
    assert second.endswith("; MBLIP_TRACEBACK=1 shows the traceback)")
    assert printed.out == ""


@pytest.mark.parametrize(
    ("bug", "message"), [(convert_text, "invalid literal"), (parse_json, "Expecting property name")]
)
def test_what_another_library_refuses_keeps_its_traceback(monkeypatch, bug, message):
    with pytest.raises(ValueError, match=message):
        run(monkeypatch, bug)


def test_a_traceback_is_to_be_had(monkeypatch):
    monkeypatch.setenv("MBLIP_TRACEBACK", "1")
    with pytest.raises(ValueError, match="Found the language 'xx'"):
        run(monkeypatch, refuse)


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def answered(status: int) -> HfHubHTTPError:
    request = httpx2.Request("GET", "https://hub/api")
    return HfHubHTTPError(f"{status} for url", response=httpx2.Response(status, request=request))


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/folder/file")
FAILURES = {
    "disk": (FULL, "There is no room for /folder/file (No space left on device; "),
    "quota": (OSError(errno.EDQUOT, "Disk quota exceeded"), "(Disk quota exceeded; "),
    "file size": (OSError(errno.EFBIG, "File too large", "/folder/file"), "/folder/file (File too large; "),
    "safetensors": (SafetensorError("I/O error: No space left on device (os error 28)"), "(I/O error: No space left"),
    "torch": (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"), "unexpected pos"),
    "torch, a small file": (RuntimeError("basic_ios::clear: iostream error"), "iostream error"),
    "torch, at its end": (RuntimeError("PytorchStreamWriter failed writing central directory: file write failed"), ""),
    "a worker": (OSError("Caught OSError in DataLoader worker process 0.\n[Errno 28] No space left on device"), ""),
    "datasets": (caused(DatasetGenerationError("An error occurred"), FULL), "There is no room for /folder/file ("),
}
LOST = {
    "hang-up": httpx2.RemoteProtocolError("Server disconnected without sending a response."),
    "no answer": httpx2.ReadTimeout("timed out"),
    "no connection": httpx2.ConnectError("[Errno 111] Connection refused"),
    "server error": answered(503),
    "too many requests": answered(429),
    "a library's guess": caused(ValueError("Can't find 'adapter_config.json' at 'me/adapter'"), answered(502)),
    "while loading": caused(OSError("We couldn't connect\nto load the files"), httpx2.ConnectTimeout("timed out")),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_full_disk_is_one_line_that_says_where_and_how_much_is_free(monkeypatch, capsys, kind):
    error, message = FAILURES[kind]
    with pytest.raises(SystemExit, match="1"):
        run(monkeypatch, lambda: raise_(error))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mblip compare: error: [Errno ")
    assert message in line
    assert re.search(r"; [\d.,]+ MiB are free\)\. What is finished stays: make room, and run the same command", line)


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_hub_is_one_line(monkeypatch, capsys, kind):
    with pytest.raises(SystemExit, match="1"):
        run(monkeypatch, lambda: raise_(LOST[kind]))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mblip compare: error: The connection to the Hub failed (")
    assert line.endswith("). Run the same command again: what has arrived is kept.")


def refused_by_the_hub() -> HfHubHTTPError:
    error = answered(403)
    return caused(error, httpx2.HTTPStatusError("403", request=error.response.request, response=error.response))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (refused_by_the_hub(), "403 for url"),
        (
            caused(OSError("We couldn't connect to load"), refused_by_the_hub()),
            "We couldn't connect to load (403 for url)",
        ),
        (caused(ValueError("Can't find 'adapter'"), refused_by_the_hub()), "Can't find 'adapter' (403 for url)"),
    ],
)
def test_a_refusal_of_the_hub_is_a_wrong_input_and_told(monkeypatch, capsys, error, message):
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, lambda: raise_(error))
    assert capsys.readouterr().err.startswith(f"mblip compare: error: {message}\n(")


def test_a_bug_of_a_library_is_no_full_disk(monkeypatch):
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        run(monkeypatch, lambda: raise_(RuntimeError("mat1 and mat2 shapes cannot be multiplied")))


def test_an_unknown_subcommand_is_an_error_that_names_the_nearest(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["trian"])
    assert capsys.readouterr().err == ("mblip: error: there is no subcommand 'trian'. Did you mean `mblip train`?\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_subcommand_shows_its_help(name, capsys):
    with suppress(SystemExit):
        cli.main([name, "--help"])
    printed = capsys.readouterr().out
    assert f"    mblip {name} " in printed or f"usage: mblip {name} " in printed


@pytest.mark.slow
def test_help_needs_no_extra_and_names_the_one_that_is_missing():
    calls = [(), ("train", "--help"), ("recipes",), *((name, "--help") for name in COMMANDS)]
    code = WITHOUT_EXTRAS + "\n".join(f"run(*{arguments})" for arguments in calls)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    overview, train, recipes, *each = done.stdout.split("-----\n")[:-1]
    assert all(f"\n  {name} " in overview for name in COMMANDS)
    assert "    mblip train RECIPE [--field value ...]\n" in train
    assert "pip install" not in train
    assert "\nfine_tune_own " in recipes
    shown = dict(zip(COMMANDS, each, strict=True))
    assert 'To see its options, first run: pip install "mblip[train]"' in shown["merge"]
    assert "usage: mblip compose " in shown["compose"]


@pytest.mark.slow
def test_a_composition_needs_no_extra(tmp_path):
    write_components(tmp_path)
    parts = [str(tmp_path / name) for name in ("blip2", "language_model", "composed")]
    code = f"{WITHOUT_EXTRAS}\nrun('compose', *{parts})\nrun('compose', *{parts})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (tmp_path / "composed" / "model.safetensors").is_file(), done.stderr
    assert "AssertionError: 2" in done.stderr
    assert "composed already exists. Delete it, or give another folder." in done.stderr


@pytest.mark.slow
def test_a_missing_extra_is_named_in_two_lines():
    code = f"{WITHOUT_EXTRAS}\nmain(['merge', 'adapter', 'folder'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == WRONG_INPUT
    assert done.stderr == (
        "mblip merge: error: No module named 'peft'. Install what this command needs:\npip install \"mblip[train]\"\n"
    )


def test_every_library_of_an_extra_is_known_by_the_name_it_is_imported_by():
    """pyarrow, which comes with datasets, is known beside them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {
        extra: project["optional-dependencies"][extra]
        for extra in ("scale", "ja", "th", "demo", "serve", "eval", "train")
    }
    wanted = {
        re.match(r"[\w-]+", library).group().lower().replace("_", "-"): extra
        for extra, libraries in extras.items()
        for library in libraries
        if not library.startswith("mblip[")
    }
    names = packages_distributions()
    known = {name.lower().replace("_", "-"): extra for module, extra in EXTRAS.items() for name in names[module]}
    assert known == wanted | {"pyarrow": "train"}


def test_a_recipe_is_found_by_its_short_name():
    assert find_recipe("fine_tune_own") == ROOT / "mblip" / "recipes" / "fine_tune_own.yaml"


def test_a_file_wins_over_a_short_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("fine_tune_own").write_text("output_dir: mine\n")
    assert find_recipe("fine_tune_own") == Path("fine_tune_own")


def test_an_unknown_recipe_is_an_error_that_names_the_nearest():
    with pytest.raises(ValueError, match=r"There is no recipe fine_tune_on\. .* Did you mean `fine_tune_own`\?$"):
        find_recipe("fine_tune_on")


@pytest.mark.parametrize("name", ["my_recipe", "my_recipe.yaml", "elsewhere/my_recipe"])
@pytest.mark.parametrize("file", ["my_recipe.yaml", "my_folder/my_recipe.yaml"])
def test_a_recipe_of_that_name_below_the_working_directory_is_suggested(tmp_path, monkeypatch, name, file):
    monkeypatch.chdir(tmp_path)
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text("output_dir: mine\n")
    if name == file:
        assert find_recipe(name) == Path(file)
    else:
        with pytest.raises(ValueError, match=rf"There is no recipe {name}\. .* Did you mean `{file}`\?$"):
            find_recipe(name)


def test_every_recipe_is_listed_with_what_it_is_for(capsys):
    cli.main(["recipes"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == recipe_names()
    assert "fine_tune_xgqa Fine-tuning on GQA for xGQA: five epochs" in [" ".join(line.split()) for line in lines]


def test_a_recipe_is_printed_as_it_is(capsys):
    cli.main(["recipes", "fine_tune_own"])
    assert capsys.readouterr().out == find_recipe("fine_tune_own").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", ["train.py", "eval.py"])
def test_the_scripts_of_the_root_are_the_subcommands(monkeypatch, capsys, script):
    monkeypatch.setattr(sys, "argv", [script, "missing.yaml"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(ROOT / script), run_name="__main__")
    assert capsys.readouterr().err.startswith(f"mblip {script[:-3]}: error: There is no recipe missing.yaml.")


@pytest.mark.parametrize("arguments", [[], ["--output_dir", "there"]])
def test_train_py_without_a_recipe_is_the_quickstart(monkeypatch, arguments):
    given = []
    monkeypatch.setattr("mblip.train.main", given.append)
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
    assert given == [["quickstart/quickstart.yaml", *arguments]]
    assert (ROOT / given[0][0]).is_file()


def test_train_without_a_recipe_is_an_error(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["train", "--seed", "3"])
    assert "error: Found no recipe, expected its path or short name" in capsys.readouterr().err
