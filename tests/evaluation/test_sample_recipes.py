"""Every benchmark with records in the sample data, from its published files to the report: every protocol, both kinds
of language model."""

import dataclasses
from pathlib import Path

import pytest

from benchmarks.stand_ins import draw_stand_ins, unchecked_tasks
from mblip.evaluation import GenerationChanges, RunSettings, evaluate_task
from mblip.evaluation.protocol import PROTOCOLS, Setup
from mblip.evaluation.recipe import EvaluationRecipe, read_evaluation_run
from mblip.evaluation.reports.full_report import report_text
from mblip.evaluation.trial import fixed_subset
from tests.tiny import tiny_model, tiny_processor

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT.parent / "shared" / "data"
NUM_LANGUAGES = {
    "xm3600": 33,
    "xflickrco": 8,
    "xgqa": 8,
    "vqav2": 1,
    "xvnli": 5,
    "marvl": 5,
    "nlvr2": 5,
    "pope": 1,
    "chair": 1,
}
QUICK = RunSettings(batch_size=64, generation=GenerationChanges(max_new_tokens=3))

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample data are not beside the project")


def recipe_of(name, folder, monkeypatch):
    """A sample recipe whose stand-ins lie in `folder`."""
    monkeypatch.chdir(ROOT)
    recipe = read_evaluation_run(Path("quickstart", name)).evaluation
    tasks = [
        dataclasses.replace(task, arguments=task.arguments | {"images": str(folder / task.name)})
        if task.arguments["images"].startswith("outputs/")
        else task
        for task in recipe.tasks
    ]
    return dataclasses.replace(recipe, tasks=tuple(tasks))


def tasks_of(name, folder, monkeypatch, protocol):
    """Two image sets of each language of its benchmarks."""
    recipe = recipe_of(name, folder, monkeypatch)
    tasks = tuple(task for task in recipe.tasks if task.name in PROTOCOLS[protocol].benchmarks)
    recipe = EvaluationRecipe(tasks, dataclasses.replace(recipe.setup, protocol=protocol), recipe.settings)
    if recipe.setup.missing_images == "skip":
        return [fixed_subset(task, 2) for task in recipe.build_tasks()]
    tasks = [fixed_subset(task, 2) for task in unchecked_tasks(recipe)]
    assert draw_stand_ins(tasks) > 10
    return tasks


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["paper", "centurio", "pangea"])
@pytest.mark.parametrize("family", ["mt5", "llama"])
def test_every_benchmark_with_records_runs_from_its_published_files_to_the_report(
    family, protocol, tmp_path, monkeypatch
):
    model, processor = tiny_model(family), tiny_processor(family)
    tasks = [
        task
        for name in ("eval_sample_photos.yaml", "eval_sample_stand_ins.yaml")
        if name != "eval_sample_photos.yaml" or protocol != "pangea"  # which has none of its benchmarks
        for task in tasks_of(name, tmp_path, monkeypatch, protocol)
    ]
    expected = {name: number for name, number in NUM_LANGUAGES.items() if name in PROTOCOLS[protocol].benchmarks}
    assert {task.name: len({e.language for e in task.examples}) for task in tasks} == expected
    results = {}
    for task in tasks:
        results[task.name] = found = evaluate_task(model, processor, task, settings=QUICK)
        assert found.protocol == protocol
        assert len(found.predictions) == len(task.examples)
        assert all(prediction.score is not None for prediction in found.predictions)
        assert all(found.metric in score.figures for score in found.scores)
        assert (found.generation.num_beams == 5) == (protocol == "paper")
    text = report_text(results)
    for name in expected:
        assert results[name].marks  # the sample data are a part of every benchmark
        assert f"\n| {results[name].title} | " in text
        assert f"\nProtocol `{results[name].protocol_title}`:" in text


def test_the_protocols_ask_xm3600_in_their_own_words(tmp_path, monkeypatch):
    recipe = recipe_of("eval_sample_stand_ins.yaml", tmp_path, monkeypatch)
    prompts = {}
    for protocol in ("paper", "centurio"):
        setup = Setup(protocol=protocol, missing_images="unchecked")
        (task,) = (task.build(setup) for task in recipe.tasks if task.name == "xm3600")
        prompts[protocol] = {e.prompt for e in task.examples if e.language in ("sw", "hr")}
    assert prompts == {
        "paper": {"Caption in Swahili: ", "Caption in Croatian: "},
        "centurio": {
            "Briefly describe the image in Swahili in one sentence.",
            "Briefly describe the image in Croatian in one sentence.",
        },
    }
