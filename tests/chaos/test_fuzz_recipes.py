"""Mutated recipes are read, or refused by a ValueError that names the file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mblip.evaluation.recipe import read_evaluation_run
from mblip.mix.build.recipe import read_mix_recipe
from mblip.training.recipe_reading import read_recipe
from tests.chaos.mutations import mutated, mutated_text
from tests.chaos.outcomes import attempted

ROOT = Path(__file__).parents[2]
READERS: dict[str, Callable[[Path], Any]] = {"eval_": read_evaluation_run, "mix_": read_mix_recipe}
RECIPES = [
    path
    for folder in ("mblip/recipes", "quickstart")
    for path in sorted((ROOT / folder).glob("*.yaml"))
    if not path.name.startswith(("cluster", "photos"))
]


@st.composite
def recipes(draw: st.DrawFn) -> tuple[str, str]:
    """The name and the text of a recipe."""
    path = draw(st.sampled_from(RECIPES))
    text = path.read_text(encoding="utf-8")
    if draw(st.booleans()):
        return path.name, draw(mutated_text(text))
    return path.name, yaml.safe_dump(draw(mutated(yaml.safe_load(text))), allow_unicode=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recipes")


@given(recipe=recipes())
def test_a_mutated_recipe_is_read_or_refused_with_its_file(folder: Path, recipe: tuple[str, str]) -> None:
    name, text = recipe
    path = folder / name
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    reader = next((reader for prefix, reader in READERS.items() if name.startswith(prefix)), read_recipe)
    result = attempted(f"recipes, {reader.__name__}", lambda: reader(path))
    if isinstance(result, Exception):
        assert isinstance(result, ValueError), repr(result)
        assert name in str(result), repr(result)
