"""`mblip score`: predictions of other systems get the scores of the reference evaluators, whatever their format."""

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from mblip.cli import main
from mblip.evaluation import Setup, VqaAccuracy, read_results
from mblip.evaluation.tasks.chair import chair
from mblip.evaluation.tasks.coco_captions import coco_captions
from mblip.evaluation.tasks.vqav2 import vqav2
from mblip.score import score_files

DATA = Path(os.environ.get("MBLIP_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
SCORES = DATA / "caption_scores"
needs_data = pytest.mark.skipif(not SCORES.is_dir(), reason="no captions with expected scores: set MBLIP_DATA")
UNCHECKED = Setup(missing_images="unchecked")
THEIR_NAMES = {"CIDEr-D": "CIDEr", "ROUGE-L": "ROUGE_L"} | {f"BLEU-{n}": f"Bleu_{n}" for n in (1, 2, 3, 4)}
CAPTIONERS = [f"Instruction2_{name}" for name in ("instructblip", "minigpt-4", "mmgpt", "mplug")]


def read(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def task_of(folder, **arguments):
    return coco_captions(
        UNCHECKED, **{"annotations": SCORES / folder / "captions_val2014.json", "images": "no"} | arguments
    )


def assert_expected(score, expected):
    assert {ours: score.figures[ours] for ours in THEIR_NAMES} == pytest.approx(
        {ours: expected[theirs] for ours, theirs in THEIR_NAMES.items()}, rel=0, abs=1e-9
    )


@pytest.fixture(scope="module")
def captioned():
    """The photos that four captioners of POPE's authors captioned."""
    return task_of("pope_captions")


def as_lmms_eval(rows, references, path):
    """The samples of `--log_samples`, without documents, in the order in which processes finish."""
    samples = [
        {"doc_id": number, "target": str(references[row["image_id"]]), "filtered_resps": row["text"], "input": "..."}
        for number, row in enumerate(rows)
    ]
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples[1::2] + samples[::2]), encoding="utf-8")


def as_vlmevalkit(rows, references, path):
    """The table of predictions that VLMEvalKit writes with PRED_FORMAT=tsv."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL)
        writer.writerow(["index", "answer", "question", "prediction"])
        for number, row in enumerate(rows):
            answer = str(references[row["image_id"]])
            writer.writerow([number, answer, "Please describe this image in general.", row["text"]])


@needs_data
@pytest.mark.parametrize(
    ("name", "layout"),
    [
        pytest.param(name, layout, marks=() if number == place else pytest.mark.slow)
        for number, name in enumerate(CAPTIONERS)
        for place, layout in enumerate(("vlmevalkit", "lmms_eval", "coco", "jsonl"))
    ],
)
def test_four_captioners_have_the_expected_scores_in_every_format(captioned, tmp_path, name, layout):
    folder = SCORES / "pope_captions"
    path = {"jsonl": folder / f"{name}.jsonl", "coco": folder / f"{name}_results.json"}.get(layout, tmp_path / "p.tsv")
    if layout in ("lmms_eval", "vlmevalkit"):
        by_image = {
            row["image_id"]: row for row in map(json.loads, (folder / f"{name}.jsonl").read_text().splitlines())
        }
        annotations = read(folder / "captions_val2014.json")
        references = {image["id"]: [] for image in annotations["images"]}
        for caption in annotations["annotations"]:
            references[caption["image_id"]].append(caption["caption"])
        path = tmp_path / ("p.jsonl" if layout == "lmms_eval" else "p.tsv")
        write = as_lmms_eval if layout == "lmms_eval" else as_vlmevalkit
        write([by_image[image["id"]] for image in annotations["images"]], references, path)
    result = score_files(captioned, [str(path)], system=name)
    assert_expected(
        result.by_language("as_is")["en"], read(folder / "expected_scores.json")["models"][name]["overall"]
    )
    assert (result.system, result.model.precision, result.generation) == (name, "not known", None)


@needs_data
def test_the_command_writes_what_an_evaluation_writes_and_two_systems_are_compared(tmp_path, capsys, monkeypatch):
    folder = SCORES / "pope_captions"
    monkeypatch.chdir(tmp_path)
    for name in ("Instruction2_mmgpt", "Instruction2_instructblip"):
        main([
            "score", "coco_captions", str(folder / f"{name}_results.json"), "--system", name,
            "--task.annotations", str(folder / "captions_val2014.json"),
        ])  # fmt: skip
    capsys.readouterr()
    made = tmp_path / "outputs/evaluation/Instruction2_mmgpt"
    assert sorted(path.name for path in made.iterdir()) == [
        "predictions_coco_captions.jsonl",
        "report.md",
        "results.json",
        "table.md",
    ]
    result = read_results(made)["coco_captions"]
    assert (result.system, result.answering, result.generation, result.prompts) == (
        "Instruction2_mmgpt", "not known", None, {},
    )  # fmt: skip
    assert result.protocol_title == "paper, changed: prompts and decoding not known"
    assert "Predictions of Instruction2_mmgpt: its prompts, decoding" in (made / "report.md").read_text()
    main(["compare", *(f"outputs/evaluation/{name}/predictions_coco_captions.jsonl" for name in (
        "Instruction2_mmgpt", "Instruction2_instructblip")), "--num_resamples", "100"])  # fmt: skip
    expected = read(folder / "expected_scores.json")["models"]
    a, b = (100 * expected[f"Instruction2_{name}"]["overall"]["CIDEr"] for name in ("mmgpt", "instructblip"))
    assert f"| English (`en`) | 134 | {a:.1f} | {b:.1f} | {a - b:+.1f} [" in capsys.readouterr().out


@needs_data
def test_the_example_of_pycocoevalcap_has_its_scores():
    result = score_files(
        task_of("fakecap"), [str(SCORES / "fakecap/captions_val2014_fakecap_results.json")], system="fakecap"
    )
    assert_expected(result.by_language("as_is")["en"], read(SCORES / "fakecap/expected_scores.json")["overall"])


@needs_data
@pytest.mark.parametrize("languages", [("mi", "th"), pytest.param(None, marks=pytest.mark.slow)])
def test_captions_of_many_languages_have_the_expected_scores(languages):
    expected = read(SCORES / "xm3600/expected_scores.json")["languages"]
    files = SCORES / "xm3600/xm3600_coco_{language}.json"
    task = task_of("xm3600", annotations=files, languages=languages or tuple(expected), tokenization="segmented")
    scores = score_files(task, [str(SCORES / "xm3600/results_{language}.json")], system="a person").scores
    assert [score.language for score in scores] == list(languages or expected)
    for score in scores:
        assert_expected(score, expected[score.language]["overall"])


@needs_data
@pytest.mark.parametrize("split", ["valid", "test"])
def test_answers_of_vqav2_have_the_scores_of_the_official_evaluator(split):
    files = {f"{name}s": DATA / f"vqav2/vqa_{name}s_{split}.json" for name in ("question", "annotation")}
    task = replace(vqav2(UNCHECKED, **files, images="no"), metric=VqaAccuracy())  # the paper's main figure is another
    result = score_files(task, [str(DATA / f"vqav2/vqa_results_{split}.json")], system="annotator 1")
    figures, expected = (
        result.scores[0].figures,
        read(DATA / "vqav2/expected_scores.json")["splits"][split]["accuracy"],
    )
    assert round(100 * figures["vqa_accuracy"], 2) == expected["overall"]
    for name, value in expected["perAnswerType"].items():
        assert round(100 * figures[f"answer_type {name}"], 2) == value


@needs_data
def test_captions_of_one_condition_have_the_scores_of_chair(tmp_path):
    folder, captions = DATA / "chair", str(DATA / "chair/captions.jsonl")
    task = chair(UNCHECKED, synonyms=folder / "synonyms.txt", objects=folder / "objects.jsonl", images="no")
    answered = {json.loads(line)["image"] for line in Path(captions).read_text().splitlines()}
    kept = [example for example in task.examples if f"{example.id}.jpg" in answered]
    result = score_files(replace(task, examples=kept), [f"caption={captions}"], system="people")
    (score,), expected = result.scores, read(folder / "expected_scores.json")
    assert result.title == "chair (only caption)"
    assert (score.num_prompts, score.value) == (expected["n_captions"], pytest.approx(expected["chair_s"]))
    assert score.figures["chair_i"] == pytest.approx(expected["chair_i"])


def recipe_of(tmp_path, *tasks):
    path = tmp_path / "r.yaml"
    lines = [f"  {task}: {{captions: {tmp_path / 'captions.jsonl'}}}\n" for task in tasks]
    path.write_text("model: m\noutput_dir: o\nevaluation:\n" + "".join(lines), encoding="utf-8")
    (tmp_path / "captions.jsonl").write_text(json.dumps({"image/key": "0a", "en": {"caption": ["A cat."]}}) + "\n")
    (tmp_path / "p.jsonl").write_text('{"image_id": "0a", "caption": "A dog."}\n', encoding="utf-8")
    return str(path)


def test_a_task_of_a_recipe_is_chosen_and_goes_to_the_systems_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    recipe = recipe_of(tmp_path, "xm3600", "xflickrco")
    main(["score", recipe, "p.jsonl", "--system", "me/mine", "--task", "xm3600", "--protocol", "centurio"])
    result = read_results(tmp_path / "outputs/evaluation/me--mine")["xm3600"]
    assert (result.protocol, result.predictions[0].output, result.system) == ("centurio", "A dog.", "me/mine")
    assert "Answers, results and report are in outputs/evaluation/me--mine." in capsys.readouterr().out


def test_all_benchmarks_of_a_system_go_into_one_folder_and_no_other_systems(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    recipe = recipe_of(tmp_path, "xm3600", "xflickrco")
    (tmp_path / "de.jsonl").write_text('{"sentences": ["Hund"], "id": "1", "img_path": "1.jpg"}\n')
    (tmp_path / "q.jsonl").write_text('{"image_id": "1.jpg", "caption": "Hund"}\n')
    words = ["--task", "xflickrco", "--evaluation.xflickrco.captions", "{language}.jsonl"]
    main(["score", recipe, "p.jsonl", "--system", "x", "--task", "xm3600"])
    main(["score", recipe, "q.jsonl", "--system", "x", *words, "--evaluation.xflickrco.languages", "[de]"])
    made = tmp_path / "outputs/evaluation/x"
    results = read_results(made)
    assert {name: len(found.predictions) for name, found in results.items()} == {"xm3600": 1, "xflickrco": 1}
    assert results["xflickrco"].recipe["evaluation"]["xflickrco"] == {
        "captions": "{language}.jsonl",
        "languages": ["de"],
    }
    with pytest.raises(SystemExit, match="2"):
        main(["score", recipe, "p.jsonl", "--system", "y", "--task", "xm3600", "--output_dir", str(made)])
    assert "has results of x, expected those of y alone" in capsys.readouterr().err
    assert read_results(made) == results


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["r.yaml", "p.jsonl", "--system", "x"],
            "Found the tasks xm3600, xflickrco and --task None, expected one task",
        ),
        (["xm3600", "--system", "x"], "expected a task or a recipe, then files of predictions"),
        (["xm3600", "p.jsonl"], "the following arguments are required: --system"),
        (["xm3600", "p.jsonl", "--system", "x", "--load_in=4bit"], "--load_in=4bit is for a model that answers here"),
        (["xm360", "p.jsonl", "--system", "x"], "the task `xm360` is unknown. Did you mean `xm3600`?"),
        (["xm3600", "q.jsonl", "--system", "x", "--task.captions", "captions.jsonl"], "There is no file q.jsonl"),
    ],
)
def test_a_wrong_command_is_one_clear_error(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    recipe_of(tmp_path, "xm3600", "xflickrco")
    with pytest.raises(SystemExit, match="2"):
        main(["score", *words])
    assert message in capsys.readouterr().err
