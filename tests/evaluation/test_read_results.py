"""results.json is read back as it was written."""

import json
from dataclasses import replace

import pytest
from table_model import example, knows_all

from mblip.evaluation import (
    ChairMetric,
    ChoiceAccuracy,
    EvaluationTask,
    ExactMatch,
    GenerationSettings,
    GqaAccuracy,
    MaxmAccuracy,
    MetricRecord,
    Origin,
    VqaAccuracy,
    YesNoAccuracy,
    evaluate_task,
    predictions_path,
    read_results,
    write_results,
)
from mblip.evaluation.answer_scoring import ANSWER_TYPE, QUESTION_TYPE
from mblip.evaluation.captioning import CaptionMetric
from mblip.evaluation.task import FileRead

METRICS = {
    "exact": ExactMatch(),
    "vqa": VqaAccuracy(),
    "gqa": GqaAccuracy(),
    "maxm": MaxmAccuracy(),
    "yes_no": YesNoAccuracy(),
    "choice": ChoiceAccuracy(("yes", "no")),
    "chair": ChairMetric({"dog": "dog", "puppy": "dog"}),
    "caption": CaptionMetric(("en", "zh")),
}


def task_of(name):
    metric, word = METRICS[name], "dog" if name == "chair" else "yes"
    facts = {ANSWER_TYPE: "yes/no", QUESTION_TYPE: "is the"}
    references = (word, word) if name == "vqa" else (word,)
    examples = [
        example(number, language=language, references=references, facts=facts)
        for language in ("en", "zh")
        for number in range(2)
    ]
    files = (FileRead("data/x.jsonl", "test", 2, 3, "ab", None), FileRead("me/mine", None, 2))
    marks = {"files": files, "changes": ("num_beams 1",), "marks": ("2 of 3 records",)}
    return EvaluationTask(
        name, examples, metric, GenerationSettings(4), "own", origin=Origin("https://x.org", "MIT"), **marks
    )


def results_of(name, folder=None):
    task = task_of(name)
    path = None if folder is None else predictions_path(folder, name)
    return evaluate_task(*knows_all(task.examples[:2]), task, predictions_path=path)


@pytest.mark.parametrize("name", METRICS)
def test_results_are_read_back_as_they_were_written(name, tmp_path):
    results = {name: results_of(name, tmp_path)}
    write_results(tmp_path, results, "table")
    assert read_results(tmp_path) == results
    assert read_results(tmp_path / "results.json") == results


def test_without_the_predictions_beside_it_a_file_of_results_is_read_without_them(tmp_path):
    results = results_of("exact")
    write_results(tmp_path, {"exact": results}, "table")
    assert read_results(tmp_path) == {"exact": replace(results, predictions=())}


@pytest.mark.parametrize("name", METRICS)
def test_the_metric_is_built_again_from_its_record(name):
    assert MetricRecord.of(METRICS[name]).build() == METRICS[name]


@pytest.mark.parametrize(
    "path", ["subprocess:Popen", "mblip.evaluation.results:MeanScore", "mblip.evaluation.answer_scoring:ACCURACY"]
)
def test_a_record_that_names_anything_but_a_metric_of_the_package_builds_nothing(path):
    with pytest.raises(ValueError, match=f"Found the metric {path}, expected one of this package"):
        MetricRecord(path, {}).build()


def change(plain, path, value):
    *keys, last = path
    for key in keys:
        plain = plain[key]
    if value is None:
        del plain[last]
    else:
        plain[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["weights"], None, "`exact`: found no `weights`"),
        (["scores", 0, "num_images"], None, "`exact`: `scores.0` lacks `num_images`"),
        (["beauty"], 1, "`exact`: the key `beauty` is unknown"),
        (["model", "age"], 3, "`exact`: the key `model.age` is unknown"),
        (["seconds"], "long", "`exact`: `seconds` is 'long', text, expected a number"),
        (["scores"], {}, "`exact`: `scores` is a mapping, expected a list"),
        (["model"], [], "`exact`: `model` is a list, expected a mapping"),
        (["prompts", "as_is"], 3, "`exact`: `prompts.as_is` is 3, a number, expected a mapping"),
    ],
)
def test_results_of_another_layout_are_an_error_that_names_the_key(path, value, message, tmp_path):
    plain = {"exact": results_of("exact").to_json()}
    change(plain["exact"], path, value)
    (tmp_path / "results.json").write_text(json.dumps(plain))
    with pytest.raises(ValueError, match="Expected the results of this version of mblip") as error:
        read_results(tmp_path)
    assert message in str(error.value)


def test_a_folder_without_results_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"Found no .*results.json, expected the results.json that an evaluation"):
        read_results(tmp_path)


def test_a_file_of_something_else_is_an_error(tmp_path):
    (tmp_path / "results.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"is damaged \(it holds a list\), expected a JSON object"):
        read_results(tmp_path)


def test_an_object_that_holds_no_results_is_an_error(tmp_path):
    (tmp_path / "results.json").write_text('{"exact": 1}')
    with pytest.raises(ValueError, match="`exact`: `recipe` is 1, a number, expected a mapping of keys"):
        read_results(tmp_path)
