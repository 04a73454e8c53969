"""The recipes of `mblip eval` that lie in mblip/recipes/."""

from pathlib import Path

import pytest

from mblip.evaluation.protocol import Setup
from mblip.evaluation.recipe import BUILT_IN, read_evaluation_run

RECIPES = Path(__file__).parents[2] / "mblip" / "recipes"
WITHOUT = ("scenes", "scene_counts", "babel_imagenet", "coco_captions")  # the last one is a layout, not a benchmark
PUBLISHED = [name for name in BUILT_IN if name not in WITHOUT]


def benchmarks_of(name):
    evaluation = read_evaluation_run(RECIPES / f"{name}.yaml").evaluation
    return {task.name: task.arguments for task in evaluation.tasks}


@pytest.mark.parametrize("protocol", ["paper", "centurio"])
@pytest.mark.parametrize("benchmark", PUBLISHED)
def test_there_is_a_recipe_for_each_benchmark_and_protocol(benchmark, protocol):
    run = read_evaluation_run(RECIPES / f"eval_{benchmark}_{protocol}.yaml")
    assert list(benchmarks_of(f"eval_{benchmark}_{protocol}")) == [benchmark]
    assert run.evaluation.setup == Setup(protocol=protocol)
    assert run.output_dir == Path("outputs", f"eval_{benchmark}_{protocol}")


def test_the_recipe_of_all_benchmarks_is_what_their_own_recipes_say():
    parts = [benchmarks_of(f"eval_{benchmark}_paper") for benchmark in PUBLISHED]
    assert benchmarks_of("eval_all_paper") == {name: recipe for part in parts for name, recipe in part.items()}
