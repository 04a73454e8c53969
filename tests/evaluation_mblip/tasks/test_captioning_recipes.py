"""The recipes of captioning benchmarks say what their fields mean, and ask under the protocol in their name."""

from pathlib import Path

import pytest

from data_mblip.recipes.strict_loading import convert
from data_mblip.recipes.yaml_values import read_yaml
from evaluation_mblip import Setup
from evaluation_mblip.tasks.coco_karpathy import CocoKarpathyRecipe
from evaluation_mblip.tasks.xflickrco import XflickrcoRecipe
from evaluation_mblip.tasks.xm3600 import Xm3600Recipe

RECIPES = Path(__file__).parents[3] / "recipes"
KINDS = {"xm3600": Xm3600Recipe, "xflickrco": XflickrcoRecipe, "coco_karpathy": CocoKarpathyRecipe}


@pytest.mark.parametrize("protocol", ["paper", "centurio"])
@pytest.mark.parametrize("benchmark", KINDS)
def test_a_recipe_is_read_and_asks_under_its_protocol(benchmark, protocol):
    path = RECIPES / f"eval_{benchmark}_{protocol}.yaml"
    fields = read_yaml(path).value["evaluation"].value
    assert set(fields) == {"setup", benchmark}
    assert convert(fields["setup"], Setup, "", {}).protocol == protocol
    recipe = convert(fields[benchmark], KINDS[benchmark], "", {})
    assert str(recipe.captions).startswith("data/")
    assert f"python eval.py recipes/{path.name}" in path.read_text(encoding="utf-8")


def test_only_centurio_takes_a_subset_of_xm3600():
    found = {
        protocol: convert(
            read_yaml(RECIPES / f"eval_xm3600_{protocol}.yaml").value["evaluation"].value["xm3600"],
            Xm3600Recipe,
            "",
            {},
        ).name
        for protocol in ("paper", "centurio")
    }
    assert found == {"paper": "xm3600", "centurio": "xm3600_500_by_sha256"}
