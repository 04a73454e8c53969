"""The tasks that `mblip lmms-eval` writes, without lmms-eval. tests/evaluation/test_lmms_eval_runs.py runs it."""

import importlib
import io
import json
from collections import defaultdict
from dataclasses import replace

import pytest
import yaml
from PIL import Image

from mblip.evaluation import (
    CaptionMetric,
    ChoiceAccuracy,
    EvaluationExample,
    EvaluationTask,
    ExactMatch,
    GenerationSettings,
    GqaAccuracy,
    RunSettings,
)
from mblip.lmms_eval.tasks import answer, figure, images, main, write_tasks
from tests.evaluation.tasks.small_benchmarks import scores_of

DECODING = GenerationSettings(10, num_beams=5, length_penalty=-1.0, min_new_tokens=1)


class Loader(yaml.SafeLoader):
    """Imports the functions that a task names, as lmms-eval does."""


def import_function(loader, node):
    module, _, name = loader.construct_scalar(node).rpartition(".")
    return getattr(importlib.import_module(module), name)


Loader.add_constructor("!function", import_function)


def example(number, language="de", condition="as_is", **fields):
    fields = {"images": (f"photos/{number}.jpg",), "references": (f"answer {number}",)} | fields
    names = {"image_id": str(number), "prompt": f"{number}?", "language": language, "condition": condition}
    return EvaluationExample(**fields, **names, id=f"{language}/{number}")


def task_of(examples, metric, **changes):
    return EvaluationTask("numbers", examples, metric, DECODING, "paper", **changes)


def written(folder, name):
    """A task with what it includes, and its documents."""
    text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
    found = yaml.load(text, Loader)
    with open(found.pop("include"), encoding="utf-8") as common:
        found = yaml.load(common, Loader) | found
    with open(found["dataset_kwargs"]["data_files"][found["test_split"]], encoding="utf-8") as rows:
        return found, list(map(json.loads, rows))


def aggregated(folder, name, outputs):
    """The figures of a task for outputs by example id, as lmms-eval aggregates them."""
    config, documents = written(folder, name)
    items = defaultdict(list)
    for document in documents:
        for key, item in config["process_results"](document, [outputs[document["id"]]]).items():
            items[key].append(item)
    return {each["metric"]: each["aggregation"](items[each["metric"]]) for each in config["metric_list"]}


@pytest.mark.parametrize(
    "metric",
    [
        GqaAccuracy(),
        ExactMatch(),
        ChoiceAccuracy(tuple(f"answer {n}" for n in range(12))),
        CaptionMetric(("de", "sw")),
    ],
)
def test_every_figure_of_a_task_is_that_of_mblip_eval(metric, tmp_path):
    examples = [example(number, language) for number in range(12) for language in ("sw", "de")]
    outputs = [f"answer {number % 3}" for number in range(24)]
    task = task_of(examples, metric)
    write_tasks(tmp_path, task, RunSettings())
    by_id = {each.id: output for each, output in zip(examples, outputs, strict=True)}
    for score in scores_of(task, outputs)[0]:
        found = aggregated(tmp_path, f"mblip_numbers_{score.language}", by_id)
        assert {name: found[name] for name in score.figures} == score.figures


def test_a_task_has_the_protocols_decoding_and_a_group_the_mean_over_its_languages(tmp_path):
    task = task_of([example(0, "de"), example(0, "sw")], GqaAccuracy(), marks=("trial of 1 images",))
    write_tasks(tmp_path, task, RunSettings())
    config, (document,) = written(tmp_path, "mblip_numbers_sw")
    assert config["generation_kwargs"] == DECODING.arguments() | {"until": []}
    assert (config["metadata"]["protocol"], config["metadata"]["marks"]) == ("paper", ["trial of 1 images"])
    assert (document[config["doc_to_text"]], document[config["doc_to_target"]]) == ("0?", ["answer 0"])
    assert {each["metric"]: each["higher_is_better"] for each in config["metric_list"]}["accuracy"] is True
    group = yaml.safe_load((tmp_path / "mblip_numbers.yaml").read_text(encoding="utf-8"))
    assert group["task"] == ["mblip_numbers_de", "mblip_numbers_sw"]
    assert group["aggregate_metric_list"] == [{"metric": "accuracy", "aggregation": "mean", "weight_by_size": False}]


def test_every_condition_is_a_group_of_its_own(tmp_path):
    examples = [example(0), example(0, condition="wording 2")]
    write_tasks(tmp_path, task_of(examples, ExactMatch()), RunSettings())
    assert {path.stem for path in tmp_path.glob("*.yaml")} == {
        *("mblip_numbers", "mblip_numbers_de", "mblip_numbers_wording_2", "mblip_numbers_de_wording_2")
    }


@pytest.mark.parametrize("write", [lambda pair: pair, str])
def test_the_candidate_of_the_lowest_loss_is_the_ranked_answer(write, tmp_path):
    examples = [example(0, candidates=("yes", "no", "maybe"), references=("no",))]
    task = task_of(examples, ChoiceAccuracy(("yes", "no", "maybe")), answering="rank")
    write_tasks(tmp_path, task, RunSettings())
    config, (document,) = written(tmp_path, "mblip_numbers_de")
    assert (config["output_type"], document[config["doc_to_choice"]]) == ("multiple_choice", ["yes", "no", "maybe"])
    item = answer(document, [write(pair) for pair in [(2.5, False), (0.25, False), (1e-05 + 3, False)]])["accuracy"]
    assert (item["output"], figure([item])) == ("no", 1.0)


@pytest.mark.parametrize("changes", [{"answering": "constrained"}, {"answering": "rank", "rank_by": "mean"}])
def test_answers_that_lmms_eval_cannot_give_are_refused(changes, tmp_path):
    task = task_of([example(0, candidates=("yes", "no"))], ExactMatch(), **changes)
    with pytest.raises(ValueError, match="which lmms-eval lacks"):
        write_tasks(tmp_path, task, RunSettings())


def test_an_image_in_memory_becomes_a_file_that_is_opened_for_other_models(tmp_path):
    encoded = io.BytesIO()
    Image.new("RGB", (9, 5), "red").save(encoded, "PNG")
    shown = (encoded.getvalue(), Image.new("RGB", (5, 9), "blue"))
    write_tasks(tmp_path, replace(task_of([example(0, images=shown)], ExactMatch())), RunSettings())
    (document,) = written(tmp_path, "mblip_numbers_de")[1]
    assert [(image.size, image.getpixel((0, 0))) for image in images(document)] == [
        ((9, 5), (255, 0, 0)),
        ((5, 9), (0, 0, 255)),
    ]


def test_the_command_writes_the_tasks_of_a_recipe_and_prints_their_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = {"image/key": "1", "sw": {"caption": ["mraba wa kijani"]}, "hr": {"caption": ["zeleni kvadrat"]}}
    (tmp_path / "captions.jsonl").write_text(json.dumps(record) + "\n")
    Image.new("RGB", (40, 40), "green").save(tmp_path / "1.jpg")
    recipe = {
        "model": "m",
        "output_dir": "out",
        "evaluation": {"xm3600": {"captions": "captions.jsonl", "images": "."}},
    }
    (tmp_path / "mine.yaml").write_text(json.dumps(recipe))
    main(["mine.yaml", "--evaluation.settings.generation.num_beams", "2"])
    assert capsys.readouterr().out == "out/lmms_eval\n"
    config, (document,) = written(tmp_path / "out" / "lmms_eval", "mblip_xm3600_hr")
    assert document["images"] == [str(tmp_path / "1.jpg")]
    assert (document["prompt"], config["generation_kwargs"]["num_beams"]) == ("Caption in Croatian: ", 2)
