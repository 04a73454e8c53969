"""The command that asks a model its questions in every precision, on a tiny random model."""

import json

import pytest
from quantised_quality import main

from mblip.evaluation import read_predictions
from tests.tiny import tiny_model, tiny_processor

SCENES = ["--task", "scenes.task:scenes", "--task.num_images", "2", "--task.languages", "[sw, hi]"]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_model("mt5").save_pretrained(folder)
    tiny_processor("mt5").save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_model_is_measured_in_every_precision(model_folder, tmp_path, capsys):
    main([str(model_folder), *SCENES, "--output_dir", str(tmp_path)])
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert list(results) == ["scenes_float32", "scenes_bfloat16", "scenes_8bit", "scenes_4bit"]
    assert {len(read_predictions(tmp_path / f"predictions_{name}.jsonl")) for name in results} == {2 * 2 * 2}
    weights = sum(file.stat().st_size for file in model_folder.glob("*.safetensors"))
    assert results["scenes_float32"]["disk_bytes"] == weights
    sizes = [result["language_model_bytes"] for result in results.values()]
    assert sizes == sorted(sizes, reverse=True)
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert table in capsys.readouterr().out
    assert table.count("| bfloat16, language model in 4 bit (nf4) |") == 3  # as_is, shuffled, sizes


def test_a_precision_is_not_given_where_every_one_is_measured(model_folder):
    with pytest.raises(ValueError, match=r"Found `dtype` or `load_in`, but the model is measured in every precision"):
        main([str(model_folder), *SCENES, "--load_in", "8bit"])
