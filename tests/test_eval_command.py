"""eval.py as a command, on a tiny random model."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image
from tiny import tiny_model, tiny_processor

from mblip import eval as evaluation
from mblip.data.recipes.yaml_values import parse_yaml
from mblip.evaluation import read_predictions
from mblip.evaluation.answering import Answerer
from mblip.evaluation.command_line import parse_command_line
from mblip.evaluation.recipe import read_evaluation_run
from mblip.evaluation.run_identity import digest_weights


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_model("mt5").save_pretrained(folder)
    tiny_processor("mt5").save_pretrained(folder)
    return folder


def run_eval(*arguments):
    evaluation.main([str(argument) for argument in arguments])


def test_a_recipe_writes_answers_results_and_table(model_folder, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"model: {model_folder}\n"
        f"output_dir: {tmp_path / 'out'}\n"
        "evaluation:\n"
        "  scenes.task:scenes: {languages: [sw, hi], num_images: 3, conditions: [as_is, shuffled]}\n"
        "  settings: {batch_size: 4, generation: {max_new_tokens: 5, num_beams: 2, length_penalty: -1.0}}\n"
    )
    run_eval(recipe)
    printed, out = capsys.readouterr().out, tmp_path / "out"
    written = ["charts", "predictions_scenes.jsonl", "recipe.yaml", "report.md", "results.json", "table.md"]
    assert sorted(file.name for file in out.iterdir()) == written
    assert len(read_predictions(out / "predictions_scenes.jsonl")) == 2 * 3 * 2
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))["scenes"]
    assert results["generation"]["num_beams"] == 2
    assert [(s["condition"], s["language"], s["num_prompts"]) for s in results["scores"]] == [
        ("as_is", "sw", 3),
        ("as_is", "hi", 3),
        ("shuffled", "sw", 3),
        ("shuffled", "hi", 3),
    ]
    assert read_evaluation_run(out / "recipe.yaml") == replace(read_evaluation_run(recipe), output_dir=out)
    assert results["recipe"] == parse_yaml((out / "recipe.yaml").read_text(encoding="utf-8"), "recipe.yaml")
    assert results["weights"] == digest_weights(tiny_model("mt5"))
    assert (results["batch_size"], results["image_batch_size"]) == (4, 64)
    assert (out / "table.md").read_text(encoding="utf-8") in printed
    assert "| Hindi (`hi`) | Deva | 0.0 [0.0, 56.1] | 0.0 [0.0, 56.1] |" in printed


def test_a_folder_with_results_of_another_recipe_is_warned_about_and_one_of_the_same_is_not(
    model_folder, tmp_path, caplog
):
    arguments = (model_folder, "--task", "scenes.task:scenes", "--task.languages", "[sw]", "--output_dir", tmp_path)
    run_eval(*arguments, "--task.num_images", 2)
    run_eval(*arguments, "--task.num_images", 2)
    assert caplog.messages == []
    run_eval(*arguments, "--task.num_images", 3)
    assert caplog.messages == [f"{tmp_path} has results of another run. To keep them, give another --output_dir."]


def test_the_weights_are_digested_once_for_all_tasks(model_folder, tmp_path, monkeypatch):
    recipe, digested = tmp_path / "recipe.yaml", []
    recipe.write_text(
        f"model: {model_folder}\noutput_dir: {tmp_path / 'out'}\nevaluation:\n"
        "  scenes.task:scenes: {languages: [sw], num_images: 2, conditions: [as_is]}\n"
        "  scenes.counts:scene_counts: {languages: [sw], num_images: 2}\n"
        "  settings: {generation: {max_new_tokens: 2}}\n"
    )
    for module in ("mblip.eval", "mblip.evaluation.evaluate", "mblip.evaluation.run_identity"):
        monkeypatch.setattr(f"{module}.digest_weights", lambda model: digested.append(model) or "digest")
    run_eval(recipe)
    assert len(digested) == 1
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert [result["weights"] for result in results.values()] == ["digest", "digest"]


def test_a_trial_of_a_recipe_goes_to_a_folder_of_its_own_and_is_marked(model_folder, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"model: {model_folder}\noutput_dir: {tmp_path / 'out'}\nevaluation:\n"
        "  scenes.task:scenes: {languages: [sw, hi, de], num_images: 4, conditions: [as_is]}\n"
        "  settings: {generation: {max_new_tokens: 2}}\n"
    )
    run_eval(recipe, "--languages", "hi,sw", "--num_images", 2)
    folder = tmp_path / "out_trial"
    result = json.loads((folder / "results.json").read_text(encoding="utf-8"))["scenes"]
    assert not (tmp_path / "out").exists()
    assert result["marks"] == ["trial in hi, sw", "trial of 2 images"]
    assert {score["language"]: score["num_prompts"] for score in result["scores"]} == {"sw": 2, "hi": 2}
    assert "## scenes (trial in hi, sw; trial of 2 images)" in capsys.readouterr().out
    assert result["num_new_tokens"] > 0
    assert result["peak_memory_gb"] > 0.05


def test_a_command_killed_in_its_second_task_asks_nothing_of_the_first_again(model_folder, tmp_path, monkeypatch):
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "out"
    recipe.write_text(
        f"model: {model_folder}\noutput_dir: {out}\n"
        "evaluation:\n"
        "  scenes.task:scenes: {languages: [sw], num_images: 3}\n"
        "  scenes.counts:scene_counts: {languages: [sw], num_images: 3}\n"
        "  settings: {batch_size: 4, generation: {max_new_tokens: 5}}\n"
    )
    asked = []
    answer = Answerer.answer

    def answer_or_die(answerer, *batch):
        asked.append(answerer.task.name)
        if asked.count("scene_counts") == 1:
            raise KeyboardInterrupt
        return answer(answerer, *batch)

    monkeypatch.setattr(Answerer, "answer", answer_or_die)
    with pytest.raises(KeyboardInterrupt):
        run_eval(recipe)
    num_asked = asked.count("scenes")
    run_eval(recipe)
    assert asked.count("scenes") == num_asked > 0
    assert list(json.loads((out / "results.json").read_text(encoding="utf-8"))) == ["scenes", "scene_counts"]
    assert not list(out.glob("*.partial"))


def test_an_unknown_key_of_a_recipe_is_an_error_that_names_its_line(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("model: m\noutput_dir: out\nevaluation:\n  scenes.task:scenes:\n    num_image: 3\n")
    message = r"recipe.yaml, line 5: the key `evaluation.scenes.task:scenes.num_image` is unknown. Did you mean `num_"
    with pytest.raises(ValueError, match=message):
        run_eval(recipe)


@pytest.mark.parametrize(("bits", "words"), [("8bit", "8 bit"), ("4bit", "4 bit (nf4)")])
def test_a_language_model_is_quantised_and_the_results_say_so(model_folder, bits, words, tmp_path):
    task = ["--task", "scenes.task:scenes", "--task.num_images", 2, "--task.languages", "[sw]"]
    run_eval(model_folder, *task, "--load_in", bits, "--output_dir", tmp_path)
    (result,) = json.loads((tmp_path / "results.json").read_text(encoding="utf-8")).values()
    assert result["model"]["precision"] == f"float32, language model in {words}"
    assert f"; float32, language model in {words}); greedy search" in (tmp_path / "table.md").read_text()


@pytest.fixture
def pope(tmp_path):
    """The arguments of a question of POPE."""
    Image.new("RGB", (8, 8)).save(tmp_path / "COCO_val2014_000000000071.jpg")
    asked = {"image": "COCO_val2014_000000000071.jpg", "text": "Is there a dog in the image?", "label": "yes"}
    (tmp_path / "random.json").write_text(json.dumps({"question_id": 1, **asked}))
    task = {"questions": f"{tmp_path}/{{split}}.json", "images": tmp_path, "splits": "[random]"}
    return ["--task", "pope", *(word for name, value in task.items() for word in (f"--task.{name}", value))]


@pytest.mark.parametrize(
    ("options", "precision", "protocol"),
    [
        ([], "float32, language model in 8 bit", "paper"),
        (["--load_in", "none"], "float32", "paper, changed: language model in float32"),
    ],
)
def test_the_papers_protocol_is_in_8_bit_unless_it_is_told_not_to(
    model_folder, pope, tmp_path, capsys, options, precision, protocol
):
    words = [model_folder, *pope, "--output_dir", tmp_path, *options]
    results = evaluation.evaluate(parse_command_line([str(word) for word in words]), torch.device("cpu"))
    assert f"Loaded {model_folder}: {precision}.\n" in capsys.readouterr().out
    assert results["pope"].protocol_title == protocol


def test_without_bitsandbytes_the_error_says_both_ways_out(model_folder, pope, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "is_bitsandbytes_available", lambda: False)
    with pytest.raises(
        ImportError, match=r'`pip install "mblip\[eval\]"`, or `--load_in none` \(in a recipe `load_in'
    ):
        run_eval(model_folder, *pope, "--output_dir", tmp_path / "out")


def test_tasks_with_their_own_protocol_are_not_quantised(tmp_path):
    words = ["--task", "scenes.task:scenes", "--task.num_images", "2", "--task.languages", "[sw]"]
    run = parse_command_line(["m", *words])
    assert run.quantisation(run.evaluation.build_tasks()) is None
