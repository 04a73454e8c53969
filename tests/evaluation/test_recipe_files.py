"""The recipes of `mblip eval` that lie in mblip/recipes/."""

from pathlib import Path

import pytest

from mblip.evaluation.protocol import CENTURIO, PANGEA, PAPER, Setup
from mblip.evaluation.recipe import BUILT_IN, read_evaluation_run

RECIPES = Path(__file__).parents[2] / "mblip" / "recipes"
WITHOUT = (
    "scenes",
    "scene_counts",
    "babel_imagenet",
    "babel_imagenet_mc",
    "coco_captions",
    "own_folder",
)  # the last two are layouts, not benchmarks
PUBLISHED = [name for name in BUILT_IN if name not in WITHOUT]


def benchmarks_of(name):
    evaluation = read_evaluation_run(RECIPES / f"{name}.yaml").evaluation
    return {task.name: task.arguments for task in evaluation.tasks}


@pytest.mark.parametrize("benchmark", PUBLISHED)
def test_there_is_a_recipe_for_each_benchmark(benchmark):
    run = read_evaluation_run(RECIPES / f"eval_{benchmark}.yaml")
    assert list(benchmarks_of(f"eval_{benchmark}")) == [benchmark]
    assert run.evaluation.setup == Setup()
    assert run.output_dir == Path("outputs", f"eval_{benchmark}")
    header = (RECIPES / f"eval_{benchmark}.yaml").read_text().partition("model:")[0]
    assert ("pangea" in header) == (benchmark in PANGEA.benchmarks)
    assert ("--protocol centurio" in header) == (benchmark in CENTURIO.benchmarks)


def test_the_papers_protocol_has_every_published_benchmark():
    assert sorted(PAPER.benchmarks) == sorted(PUBLISHED)


def test_the_recipe_of_all_benchmarks_is_what_their_own_recipes_say():
    parts = [benchmarks_of(f"eval_{benchmark}") for benchmark in PUBLISHED]
    assert benchmarks_of("eval_all") == {name: recipe for part in parts for name, recipe in part.items()}


def test_a_benchmark_whose_files_are_missing_says_where_to_get_them_how_large_they_are_and_how_they_lie(
    tmp_path, monkeypatch
):
    run = read_evaluation_run(RECIPES / "eval_all.yaml")
    monkeypatch.chdir(tmp_path)
    found = {}
    for task in run.evaluation.tasks:
        with pytest.raises(
            ValueError, match=r"data/.*\nGet the files from https://\S+ \(.+\)\. Expected .*\.$"
        ) as error:
            task.build(run.evaluation.setup)
        found[task.name] = str(error.value)
    assert found.keys() == benchmarks_of("eval_all").keys()
    assert found["xgqa"].endswith(
        "`evaluation.xgqa`: There is no file data/xgqa/few_shot/bn/test.json.\n"
        "Get the files from https://github.com/Adapter-Hub/xGQA (images 21.8 GB). Expected few_shot/<language>/"
        "test.json of IGLUE, or zero_shot/testdev_balanced_questions_<language>.json, and <imageId>.jpg of images.zip "
        "from https://cs.stanford.edu/people/dorarad/gqa/download.html."
    )
