"""The recipes of benchmarks of short answers say what their fields mean, and ask under the protocol in their name."""

from pathlib import Path

import pytest

from data_mblip.recipes.strict_loading import convert
from data_mblip.recipes.yaml_values import read_yaml
from evaluation_mblip import Setup
from evaluation_mblip.tasks.chair import ChairRecipe
from evaluation_mblip.tasks.marvl import MarvlRecipe
from evaluation_mblip.tasks.maxm import MaxmRecipe
from evaluation_mblip.tasks.nlvr2 import Nlvr2Recipe
from evaluation_mblip.tasks.pope import PopeRecipe
from evaluation_mblip.tasks.vqav2 import Vqav2Recipe
from evaluation_mblip.tasks.xgqa import XgqaRecipe
from evaluation_mblip.tasks.xvnli import XvnliRecipe

RECIPES = Path(__file__).parents[3] / "recipes"
KINDS = {
    "chair": ChairRecipe,
    "marvl": MarvlRecipe,
    "maxm": MaxmRecipe,
    "nlvr2": Nlvr2Recipe,
    "pope": PopeRecipe,
    "vqav2": Vqav2Recipe,
    "xgqa": XgqaRecipe,
    "xvnli": XvnliRecipe,
}
SUBSETS = {"vqav2": {"num_questions": 5000}, "chair": {"num_images": 1000}}


@pytest.mark.parametrize("protocol", ["paper", "centurio"])
@pytest.mark.parametrize("benchmark", KINDS)
def test_a_recipe_is_read_and_asks_under_its_protocol(benchmark, protocol):
    path = RECIPES / f"eval_{benchmark}_{protocol}.yaml"
    fields = read_yaml(path).value["evaluation"].value
    assert set(fields) == {"setup", benchmark}
    assert convert(fields["setup"], Setup, "", {}).protocol == protocol
    recipe = convert(fields[benchmark], KINDS[benchmark], "", {})
    assert recipe.images.startswith("data/")
    assert {name: getattr(recipe, name) for name in SUBSETS.get(benchmark, {})} == SUBSETS.get(benchmark, {})
    text = path.read_text(encoding="utf-8")
    assert f"python eval.py recipes/{path.name}" in text
    assert f"output_dir: outputs/{path.stem}" in text


@pytest.mark.parametrize("benchmark", KINDS)
def test_an_unknown_field_is_an_error(benchmark, tmp_path):
    (tmp_path / "recipe.yaml").write_text("image: data/images\n")
    with pytest.raises(ValueError, match="image"):
        convert(read_yaml(tmp_path / "recipe.yaml"), KINDS[benchmark], "", {})
