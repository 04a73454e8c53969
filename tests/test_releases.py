"""The range of releases is one, wherever it must stand; what lies outside of it is told so."""

import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from shutil import copy

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mblip.training.model_card import NEEDS, NEEDS_WITH_CODE

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RANGE = "transformers>=5.23,<5.25"


def requirements():
    """Everything that pyproject.toml asks for, its own extras apart."""
    lines = PROJECT["dependencies"] + [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
    found = [Requirement(line) for line in lines]
    return [requirement for requirement in found if requirement.name != PROJECT["name"]]


def pins():
    """The versions in constraints.txt by package: one, or one for each condition on the Python."""
    found = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        assert pin.operator == "==", line
        found.setdefault(canonicalize_name(requirement.name), []).append(pin.version)
    return found


def test_the_pins_are_within_the_bounds_and_are_what_a_stranger_can_install():
    pinned = pins()
    assert len(pinned) > 100
    assert "+" not in "".join(version for versions in pinned.values() for version in versions)
    for requirement in requirements():
        for version in pinned[canonicalize_name(requirement.name)]:
            assert requirement.specifier.contains(version), f"{requirement}, but {version} is pinned"


def test_every_dependency_has_a_lower_bound_and_all_but_a_dictionary_an_upper_one():
    for requirement in requirements():
        operators = sorted(bound.operator for bound in requirement.specifier)
        expected = [">="] if requirement.name == "sudachidict_core" else ["<", ">="]  # its versions are dates
        assert operators == expected, str(requirement)


def test_the_shipped_files_name_the_range_of_pyproject():
    assert RANGE in PROJECT["dependencies"]
    for name in ("modeling_mblip/configuration_mblip.py", "processing_mblip/supported_releases.py"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert set(re.findall(r"transformers>=[\d.]+,<[\d.]+", text)) == {RANGE}
        assert re.findall(r"[<>] \((\d+), (\d+)\)", text) == [("5", "23"), ("5", "24")]


def test_the_cards_name_the_range_of_pyproject():
    for needs in (NEEDS, NEEDS_WITH_CODE):
        assert f"`{RANGE}`" in needs


def test_ci_runs_the_oldest_and_the_newest_transformers_of_the_range():
    (newest,) = re.findall(r"^newest_transformers=(.*)$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    assert pins()["transformers"] == ["5.23.0"]
    assert newest.startswith("5.24.")


@pytest.mark.parametrize("package", ["modeling_mblip", "processing_mblip"])
@pytest.mark.parametrize("release", ["4.57.0", "5.22.2"])
def test_a_release_below_the_range_is_refused_in_one_sentence_before_anything_is_imported_from_it(package, release):
    done = import_with(release, package, "type(transformers).__getattr__ = None")
    expected = f"ImportError: mBLIP needs {RANGE}, but {release} is installed: `pip install '{RANGE}'`."
    assert done.stderr.splitlines()[-1] == expected


def test_a_release_above_the_range_is_met_with_one_warning():
    done = import_with("5.25.0", "modeling_mblip, processing_mblip", "")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("mBLIP was tested with") == 1
    assert f"tested with {RANGE}, but 5.25.0 is installed" in done.stderr


def import_with(release, packages, preparation):
    """Import packages in a process where transformers says it is of another release."""
    code = f"import transformers\ntransformers.__version__ = {release!r}\n{preparation}\nimport {packages}"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.skipif(find_spec("ruff") is None, reason="needs ruff, of the extra dev")
def test_the_folder_that_building_a_wheel_leaves_does_not_change_what_lint_says(tmp_path):
    (tmp_path / "build").mkdir()
    copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "imports.py").write_text("import build\nimport pytest\n\nprint(build, pytest)\n")
    subprocess.run([sys.executable, "-m", "ruff", "check", "-q", "--no-cache", "."], cwd=tmp_path, check=True)
