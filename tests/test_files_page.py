"""docs/files.md and the headers of recipes: where every file is to be had that a task or a source reads."""

from importlib import import_module
from pathlib import Path

import pytest

from mblip.data.recipes.sources import find_source
from mblip.data.sources import SOURCES
from mblip.evaluation.recipe import BUILT_IN

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
OF_ONES_OWN = ("own_folder", "own_dataset", "matching", "coco_captions")
RECIPES = sorted((ROOT / "mblip" / "recipes").glob("*.yaml"))
READ_FILES = [path for path in RECIPES if path.name.startswith(("eval_", "fine_tune_", "mix_"))]


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name not in OF_ONES_OWN])
def test_the_page_has_publisher_files_size_and_licence_of_each_benchmark(name):
    origin = import_module(f"mblip.evaluation.tasks.{name}").ORIGIN
    assert f"| `{name}` | {origin.url} | {origin.layout} | {origin.size} | {origin.license} |" in PAGE


@pytest.mark.parametrize("name", [name for name in SOURCES if name not in OF_ONES_OWN])
def test_the_page_has_the_publisher_of_each_training_source(name):
    rows = [line for line in PAGE.partition("## Training sources")[2].splitlines() if line.startswith("| `")]
    (row,) = [row for row in rows if f"`{name}`" in row.split("|")[1]]
    assert find_source(name, Path()).origin.publisher in row


@pytest.mark.parametrize("path", READ_FILES, ids=lambda path: path.stem)
def test_the_header_of_a_recipe_says_where_its_files_come_from(path):
    header = path.read_text(encoding="utf-8").partition("\n\n")[0].partition("\noutput_dir")[0]
    assert path.stem in ("fine_tune_own", "eval_all") or "https://" in header or "docs/files.md" in header


def test_the_recipes_of_samples_point_to_the_page():
    found = [path for path in (ROOT / "quickstart").glob("*.yaml") if "../shared/data" in path.read_text("utf-8")]
    assert len(found) == 4
    for path in found:
        assert "docs/files.md" in path.read_text(encoding="utf-8").partition("\noutput_dir")[0].partition("\nname:")[0]
