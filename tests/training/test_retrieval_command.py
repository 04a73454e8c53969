"""Retrieval as a command, on a tiny random model and the drawn world."""

import json

import pytest

from mblip.evaluation import read_predictions
from mblip.training.model_card import eval_results
from mblip.training.retrieval import main
from mblip.training.run_record import read_evaluation
from tests.tiny import tiny_model, tiny_processor

RECIPE = """
model: none
output_dir: {folder}
evaluation:
  scenes.task:scenes: {{languages: [sw, hi], num_images: 4, conditions: [{conditions}]}}
"""


@pytest.fixture
def run(tmp_path):
    """Runs the command on a recipe with these conditions."""
    for part in (tiny_model("mt5"), tiny_processor("mt5")):
        part.save_pretrained(tmp_path / "model")

    def command(conditions, *arguments):
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(RECIPE.format(folder=tmp_path / "out", conditions=conditions))
        main([str(recipe), "--model", str(tmp_path / "model"), *arguments])
        return tmp_path / "out/retrieval"

    return command


def test_the_command_writes_results_predictions_and_a_report(run, capsys):
    folder = run("as_is", "--num_candidates", "3")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))["scenes_retrieval_3"]
    assert {(s["condition"], s["language"], s["num_prompts"]) for s in results["scores"]} == {
        (condition, language, 3)
        for condition in ("image to text", "image to text, calibrated", "text to image")
        for language in ("sw", "hi")
    }
    assert results["protocol"] == "own"
    assert len(read_predictions(folder / "predictions_scenes_retrieval_3.jsonl")) == 3 * 2 * 3
    assert (folder / "table.md").read_text(encoding="utf-8") in capsys.readouterr().out
    assert "recall@1 among 3 images" in (folder / "report.md").read_text(encoding="utf-8")


def test_a_card_takes_the_results_of_every_direction(run):
    found = eval_results(read_evaluation(run("as_is", "--num_candidates", "3"), is_of_run=False))
    assert [(one.dataset_split, one.metric_type, one.metric_args) for one in found[::2]] == [
        (condition, "recall@1", {"prompt": "Caption in Swahili: ", "protocol": "own"})
        for condition in ("image to text", "image to text, calibrated", "text to image")
    ]
    assert len(found) == 6  # mean and lowest of two languages each


def test_more_photos_than_there_are_cannot_be_searched(run):
    with pytest.raises(ValueError, match="scenes: found 4 images with captions in 'sw', but `num_candidates` is 100"):
        run("as_is")
