"""Cards: what a record gives, what the command changes, and what is skipped."""

import dataclasses
import json
import subprocess

import pytest
from huggingface_hub import ModelCard

from mblip.data.recipes.yaml_values import without_folders
from mblip.evaluation import environment
from mblip.evaluation.environment import code_commit
from mblip.training.model_card import build_card, card_metadata, eval_results, main
from mblip.training.run_record import Component, Evaluation, RunRecord, StageFacts, StageRecord, read_license


def score(condition="as_is", language="iw", num_right=3):
    share = num_right / 4
    counts = {"num_prompts": 4, "num_empty": 0, "num_cut": 0, "figures": {"exact_match": share}}
    return {"condition": condition, "language": language, **counts} | {
        "value": share,
        "interval": {"low": share - 0.2511, "high": share + 0.1},
    }


def result(*scores, task="scenes"):
    prompts = {s["condition"]: {s["language"]: f"What in {s['language']}? "} for s in scores}
    metric = {"metric": "exact_match", "description": "exact match of the whole answer"}
    return {"task": task, "protocol": "own", **metric, "scores": scores, "prompts": prompts}


STAGE = StageRecord(
    stage="warm_up",
    num_steps=6,
    batch_size=4,
    learning_rates={"": 5e-3},
    minutes=1.5,
    sources=("photos.parquet",),
    facts=StageFacts({"projection": 1544}, 20, {"iw": 30, "de": 10}, "one GPU", 2, True, {"torch": "2.13.0"}),
)
RECORD = RunRecord(
    name="mine",
    license="mit",
    datasets=("me/pictures",),
    parents=(
        Component("image encoder and Q-Former", "org/blip2", True, "mit"),
        Component("language model", "text", False, None),
    ),
    projection="random",
    has_random_weights=False,
    commit="c0ffee",
    stages=(STAGE,),
    evaluations=(
        Evaluation(
            is_of_run=True,
            results={"scenes": result(score(), score("shuffled", num_right=1)), "scenes_before": result(score())},
            ratios={},
            table="## scenes\n\n| 75.0 |",
        ),
    ),
    recipe="seed: 1\n",
)


def test_the_metadata_are_the_hubs(tmp_path):
    card = ModelCard(build_card(RECORD))
    plain = card.data.to_dict()
    assert {key: plain[key] for key in plain if key != "model-index"} == {
        "language": ["de", "he"],
        "license": "mit",
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "base_model": ["org/blip2"],
        "datasets": ["me/pictures"],
        "tags": ["mblip", "multilingual"],
    }
    assert plain["model-index"] == [
        {
            "name": "mine",
            "results": [
                {
                    "task": {"type": "image-text-to-text"},
                    "dataset": {
                        "name": "scenes, as_is",
                        "type": "scenes",
                        "split": "as_is",
                    },
                    "metrics": [
                        {
                            "type": "exact_match",
                            "value": 75.0,
                            "name": "exact match of the whole answer, Hebrew",
                            "args": {"prompt": "What in iw? ", "protocol": "own"},
                        }
                    ],
                }
            ],
        }
    ]
    assert card.data.eval_results == card_metadata(RECORD).eval_results


def test_the_metadata_of_several_languages_are_the_mean_and_the_lowest():
    results = {"scenes": result(score("seen", "de", 4), score("seen", "iw", 1), score("seen", "sw", 1))}
    evaluation = Evaluation(is_of_run=False, results=results, ratios={}, table="")
    assert [(found.metric_name, found.metric_value) for found in eval_results(evaluation)] == [
        ("exact match of the whole answer, mean of 3 languages", 50.0),
        ("exact match of the whole answer, lowest of 3 languages (Hebrew)", 25.0),
    ]


def test_the_metadata_name_what_a_benchmark_lacks_what_was_changed_and_the_interval_of_the_mean():
    mean = {"condition": "seen", "languages": "all", "interval": {"low": 0.25, "high": 0.75}}
    more = {"means": [mean], "marks": ["3 of 9 records"], "changes": ["num_beams 1"]}
    results = {"scenes": result(score("seen", "de", 4), score("seen", "iw", 1)) | more}
    found = eval_results(Evaluation(is_of_run=False, results=results, ratios={}, table=""))[0]
    assert found.dataset_name == "scenes (3 of 9 records), seen"
    assert found.metric_name == "exact match of the whole answer, mean of 2 languages [25.0, 75.0]"
    assert found.metric_args["changed"] == "num_beams 1"


def test_the_text_tells_parts_stages_hardware_commit_and_data():
    card = build_card(RECORD)
    assert "# mine\n\nAn mBLIP model composed from two components (image encoder and Q-Former: `org/blip2`; " in card
    assert "| warm_up | 1,544 (projection 1,544) | 6 | 4 | 0.005 | 1.5 |" in card
    assert "one GPU, 2 process(es), bfloat16 mixed precision. torch 2.13.0. Commit: `c0ffee`." in card
    assert "- warm_up: `photos.parquet`: 20 images, 40 prompts. By language: iw 30, de 10." in card
    assert "| language model | `text` | not stated or not available |" in card
    assert "## Results\n\n### scenes\n\n| 75.0 |\n\nThe first prompts: as_is (`iw`): `What in iw?`; " in card
    assert "```yaml\nseed: 1\n```" in card
    assert "TODO: what this model is and is not meant for." in card


def test_a_record_read_again_gives_the_same_card(tmp_path):
    RECORD.write(tmp_path / "card.json")
    read = RunRecord.read(tmp_path / "card.json")
    assert build_card(read) == build_card(RECORD)
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]


def test_what_nobody_evaluated_has_no_scores_and_says_so():
    card = ModelCard(build_card(dataclasses.replace(RECORD, evaluations=(), license=None)))
    assert "model-index" not in card.data.to_dict()
    assert "## Results\n\nTODO: not evaluated." in card.text
    assert "These weights: TODO: licence." in card.text


def write_evaluation(folder, table):
    folder.mkdir()
    (folder / "table.md").write_text(f"{table}\n")
    found = {"scenes": result(score("seen", num_right=4)) | {"model": {"name": "/home/me/out/model"}}}
    (folder / "results.json").write_text(json.dumps(found))
    return str(folder / "results.json")


def test_the_command_adds_evaluations_and_what_the_author_knows_and_keeps_the_rest(tmp_path, capsys):
    RECORD.write(tmp_path / "card.json")
    (tmp_path / "model").mkdir()
    results = [write_evaluation(tmp_path / name, f"| {name} |") for name in ("one", "two")]
    main([str(tmp_path), "--results", results[0]])
    main([str(tmp_path), "--results", results[1], "--name", "better", "--license", "apache-2.0", "--datasets", "a/b"])
    path = tmp_path / "model" / "README.md"
    assert capsys.readouterr().out == f"{path}\n{path}\n"
    card = ModelCard.load(path)
    assert (card.data.model_name, card.data.license, card.data.datasets) == ("better", "apache-2.0", ["a/b"])
    assert "| 75.0 |" in card.text
    assert "| two |" in card.text
    assert "| one |" not in card.text
    assert "Commit: `c0ffee`" in card.text
    assert [(r.dataset_split, r.metric_value) for r in card.data.eval_results] == [("as_is", 75.0), ("seen", 100.0)]
    assert "/home/me" not in (tmp_path / "card.json").read_text()
    main([str(tmp_path / "card.json"), "--output", str(tmp_path / "again.md")])
    assert (tmp_path / "again.md").read_text() == path.read_text()


def test_what_the_command_cannot_write_ends_with_one_message(tmp_path):
    RECORD.write(tmp_path / "card.json")
    with pytest.raises(ValueError, match=r"is a record without its run\. Give --output"):
        main([str(tmp_path / "card.json")])
    with pytest.raises(ValueError, match=r"nowhere lacks results\.json, table\.md"):
        main([str(tmp_path), "--results", str(tmp_path / "nowhere" / "results.json")])
    with pytest.raises(ValueError, match=r"elsewhere holds no card.json"):
        main([str(tmp_path / "elsewhere")])
    with pytest.raises(ValueError, match=r"has no `model/`, so the run is not finished"):
        main([str(tmp_path)])
    assert not (tmp_path / "model").exists()


def test_no_path_of_the_machine_is_shown():
    recipe = {
        "blip2": "/home/me/models/blip2",
        "rows": {"path": "../data/rows"},
        "sources": ["recipes/a.yaml", "org/b", 3],
    }
    shown = {"blip2": "blip2", "rows": {"path": "rows"}, "sources": ["recipes/a.yaml", "org/b", 3]}
    assert without_folders(recipe) == shown


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [("license: mit\n", "mit"), ("license:\n- mit\n- apache-2.0\n", "mit, apache-2.0"), ("tags: [a]\n", None)],
)
def test_a_components_licence_stands_in_its_card(tmp_path, metadata, expected):
    (tmp_path / "README.md").write_text(f"---\n{metadata}---\n\n# It\n")
    assert read_license(str(tmp_path)) == expected


def test_a_component_without_a_card_or_out_of_reach_has_no_known_licence(tmp_path):
    assert read_license(str(tmp_path)) is None
    assert read_license("org/not-in-the-cache") is None
    assert read_license("a folder that was moved/away/from here") is None
    (tmp_path / "README.md").write_text("# No metadata\n")
    assert read_license(str(tmp_path)) is None


def git(folder, *arguments):
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


def test_the_commit_is_that_of_a_checkout_and_says_what_is_not_committed(tmp_path, monkeypatch):
    file = tmp_path / "mblip" / "evaluation" / "environment.py"
    file.parent.mkdir(parents=True)
    file.write_text("one")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "__file__", str(file))
    assert code_commit() is None
    git(tmp_path, "init")
    assert code_commit() is None
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "-m", "one")
    commit = code_commit()
    assert commit is not None
    assert len(commit) == 40
    file.write_text("two")
    assert code_commit() == f"{commit} with changes that are not committed"


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert code_commit() is None
