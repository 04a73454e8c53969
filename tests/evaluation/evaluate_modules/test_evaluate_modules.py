"""Every folder is a module that `evaluate.load` finds, with a card that tells its name."""

import re
from pathlib import Path

import pytest
import yaml

MODULES = Path(__file__).parents[3] / "mblip" / "evaluation" / "evaluate_modules"
NAMES = sorted(path.parent.name for path in MODULES.glob("*/README.md"))


def test_there_are_modules():
    assert {"bleu", "chrf", "cider_d", "rouge_l"} <= set(NAMES)
    folders = {path.name for path in MODULES.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_loads_as_a_metric_of_its_name(name, load_module):
    module = load_module(name)
    assert (module.name, module.module_type) == (name, "metric")
    assert module.description
    assert module.inputs_description.startswith("\nArgs:\n    predictions (")
    assert "\nReturns:\n" in module.inputs_description
    assert "Example:" in module.inputs_description


@pytest.mark.parametrize("name", NAMES)
def test_the_card_shows_how_the_module_is_loaded(name):
    text = (MODULES / name / "README.md").read_text(encoding="utf-8")
    header, card = text.removeprefix("---\n").split("---\n", maxsplit=1)
    assert set(yaml.safe_load(header)) == {"title", "tags", "description"}
    assert f'evaluate.load("mblip/evaluation/evaluate_modules/{name}")' in card
    assert re.findall(r"^## (.*)$", card, flags=re.MULTILINE) == [
        "Metric description",
        "How to use",
        "Limitations",
        "Citation and source",
    ]
