"""In a notebook, paths are written as text."""

import json

from table_model import example, knows_all

from mblip.evaluation import (
    EvaluationTask,
    ExactMatch,
    GenerationSettings,
    Setup,
    conditions_table,
    evaluate_task,
    predictions_path,
    read_predictions,
    write_report,
    write_results,
)
from mblip.evaluation.tasks.xgqa import xgqa
from mblip.evaluation.tasks.xm3600 import xm3600

UNCHECKED = Setup(missing_images="unchecked")


def test_answers_results_and_report_are_written_to_paths_given_as_text(tmp_path):
    examples = [example(number, language=code) for number in range(2) for code in ("en", "sw")]
    task = EvaluationTask("numbers", examples, ExactMatch(), GenerationSettings(max_new_tokens=4), "own")
    folder = str(tmp_path)
    path = str(predictions_path(folder, "numbers"))
    results = {"numbers": evaluate_task(*knows_all(examples), task, predictions_path=path)}
    assert tuple(read_predictions(path)) == results["numbers"].predictions
    write_results(folder, results, conditions_table(results["numbers"]))
    write_report(folder, results)
    written = ["charts", "predictions_numbers.jsonl", "report.md", "results.json", "table.md"]
    assert sorted(file.name for file in tmp_path.iterdir()) == written


def test_the_files_of_a_benchmark_are_named_by_text(tmp_path):
    (tmp_path / "captions.jsonl").write_text(json.dumps({"image/key": "a1", "sw": {"caption": ["mbwa"]}}))
    (tmp_path / "mine.txt").write_text("a1")
    captioning = xm3600(
        UNCHECKED,
        captions=f"{tmp_path}/captions.jsonl",
        images="photos",
        languages=["sw"],
        subset=f"{tmp_path}/mine.txt",
    )
    assert (captioning.name, [entry.id for entry in captioning.examples]) == ("xm3600_mine", ["sw/a1"])
    question = {"question": "Who?", "answer": "man", "imageId": "7", "fullAnswer": "A man."}
    (tmp_path / "de.json").write_text(json.dumps({"1": question}))
    (tmp_path / "label2ans.json").write_text('["man", "woman"]')
    questions = xgqa(
        UNCHECKED,
        questions=f"{tmp_path}/{{language}}.json",
        images="photos",
        languages=["de"],
        answering="rank",
        vocabulary=f"{tmp_path}/label2ans.json",
    )
    assert questions.examples[0].candidates == ("man", "woman")
