"""`mblip reproduce` in full, as a stranger runs it: a checkpoint and PangeaBench's data from a Hub, at tiny size.

A random model answers nothing right, so the data's right answers are what the model said. "Published" figures are
those of the checkpoint `tester/agrees`; `tester/differs` has other weights.
"""

import io
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import datasets
import pytest
from PIL import Image

from mblip.atomic_write import PARTIAL
from mblip.evaluation import read_predictions
from tests.evaluation.tasks.other_layouts import pangea_marvl, pangea_maxm, pangea_xgqa, pangea_xm100
from tests.hub.client import ROOT, environment, run_python
from tests.hub.published import upload
from tests.hub.server import LoopbackHub
from tests.tiny import tiny_model, tiny_processor

pytestmark = pytest.mark.slow

NUM_ROWS = 24
LANGUAGES = {"xm100": ("en", "de", "he"), "xgqa": ("en", "de"), "maxm": ("en", "fr"), "marvl": ("en", "sw", "ta")}
FIGURES = [
    ("nlvr2", "en"), ("marvl", "all"), ("xgqa", "en"), ("xgqa", "all but English"), ("maxm", "en"),
    ("maxm", "all but English"), ("xm3600", "en"), ("xm3600", "all but English"),
]  # fmt: skip
NOT_OURS = dict.fromkeys(FIGURES, 50.0)


def photo(number):
    stored = io.BytesIO()
    Image.new("RGB", (8, 8), (10 * number, 90, 250 - 10 * number)).save(stored, "PNG")
    return {"bytes": stored.getvalue(), "path": None}


def rows_of(name, language, answers):
    """The rows of a split, with the model's answers by task, language and number of the row as right ones."""
    said = [answers.get((name, language, number)) or f"answer {number}" for number in range(NUM_ROWS)]
    if name == "xm100":
        rows = pangea_xm100({f"{number:02}": said[number] for number in range(NUM_ROWS)})
    elif name == "xgqa":
        records = enumerate(said)
        rows = pangea_xgqa({n: {"question": f"{n} ?", "answer": text, "imageId": f"n{n}"} for n, text in records})
    elif name == "maxm":
        pairs = [{"question": f"{language} {n} ?", "processed_answers": [text]} for n, text in enumerate(said)]
        rows = pangea_maxm([{"image_id": f"{n:02}", "qa_pairs": [pair]} for n, pair in enumerate(pairs)])
    else:
        rows = pangea_marvl([(f"{language} {number}", number % 2 == 0) for number in range(NUM_ROWS)])
    return [row | {"image": photo(number)} for number, row in enumerate(rows)]


def publish(hub: LoopbackHub, folder: Path, answers):
    """PangeaBench's four data sets; their commits by name."""
    commits = {}
    for name, languages in LANGUAGES.items():
        splits = []
        for code in languages:
            path = folder / name / "data" / f"{code}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = datasets.Dataset.from_list(rows_of(name, code, answers))
            rows.cast_column("image", datasets.Image()).to_parquet(path)
            splits.append(f"  - split: {code}\n    path: data/{code}-*\n")
        header = "".join(["---\nconfigs:\n- config_name: default\n  data_files:\n", *splits, "---\n"])
        (folder / name / "README.md").write_text(header, encoding="utf-8")
        commits[name] = upload(hub, f"datasets/neulab/PangeaBench-{name}", folder / name).head
    return commits


def write_recipe(path: Path, commits, points):
    """The package's recipe for these data. MaXM has no commit."""
    tasks = {"xm3600": "xm100", "xgqa": "xgqa", "maxm": "maxm", "marvl": "marvl", "nlvr2": "marvl"}
    lines = ["source: a test", "protocols: [pangea, paper]", "evaluation:"]
    for task, name in tasks.items():
        revision = "" if name == "maxm" else f", revision: {commits[name]}"
        data = f'dataset: {{path: neulab/PangeaBench-{name}, split: "{{language}}"{revision}}}'
        codes = [code for code in LANGUAGES[name] if task != "marvl" or code != "en"]
        languages = "" if task == "nlvr2" else f", languages: [{', '.join(codes)}]"
        lines.append(f"  {task}: {{{data}{languages}}}")
    lines.append("published:")
    for task, languages in FIGURES:
        figure = f"task: {task}, languages: {languages}, points: {points[task, languages]:.1f}"
        lines.append(f"  - {{model: Gregor/mblip-mt0-xl, {figure}}}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def command(recipe, model, output, *options):
    names = ["--recipe", str(recipe), "--output_dir", str(output), "--figures_of", "Gregor/mblip-mt0-xl"]
    return ["-m", "mblip", "reproduce", model, *names, *options]


def reproduce(hub, home, *arguments):
    return run_python(hub, home, *command(*arguments))


def answered(folder):
    """What a run answered under `pangea`, by data set, language and number of the row."""
    answers = {}
    for task, name in (("xm3600", "xm100"), ("xgqa", "xgqa"), ("maxm", "maxm")):
        for each in read_predictions(folder / f"predictions_{task}_pangea.jsonl"):
            language = "he" if each.language == "iw" and name == "xm100" else each.language
            answers[name, language, int(each.id.rpartition("/")[2])] = each.output
    return answers


def points_of(folder):
    """The figures of a run under `pangea`, in points."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    points = {}
    for task, languages in FIGURES:
        result = results[f"{task}_pangea"]
        means = {mean["languages"]: mean["value"] for mean in result["means"]}
        scores = {score["language"]: score["value"] for score in result["scores"]}
        points[task, languages] = 100 * (means | scores)[languages]
    return points


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory):
    """A Hub with two checkpoints and the data, a recipe with the figures of the first one, and its run."""
    folder = tmp_path_factory.mktemp("reproduction")
    with LoopbackHub() as hub:
        for name, seed in (("agrees", 0), ("differs", 1)):
            model = tiny_model("mt5", seed=seed)
            model.generation_config.suppress_tokens = list(range(4))  # a random model would end at once
            model.save_pretrained(folder / name)
            tiny_processor("mt5").save_pretrained(folder / name)
            upload(hub, f"tester/{name}", folder / name)
        home = folder / "home"
        commits = publish(hub, folder / "blank", {})
        blank = write_recipe(folder / "blank.yaml", commits, NOT_OURS)
        done = reproduce(hub, home, blank, "tester/agrees", folder / "asked")
        assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-3000:]
        answers = {key: text for key, text in answered(folder / "asked").items() if key[2] % 4}
        assert sum(map(bool, answers.values())) > 0.9 * len(answers) > 80
        commits = publish(hub, folder / "data", answers)
        blank = write_recipe(folder / "blank.yaml", commits, NOT_OURS)
        assert reproduce(hub, home, blank, "tester/agrees", folder / "measured").returncode == 1
        yield hub, folder, write_recipe(folder / "recipe.yaml", commits, points_of(folder / "measured")), commits


def test_a_checkpoint_agrees_with_its_own_published_figures_and_the_files_say_how_it_was_measured(rehearsal):
    hub, folder, recipe, commits = rehearsal
    out = folder / "agrees-out"
    done = reproduce(hub, folder / "home", recipe, "tester/agrees", out)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert {"results.json", "report.md", "reproduce.md"} <= {path.name for path in out.iterdir()}
    text = (out / "reproduce.md").read_text(encoding="utf-8")
    assert text in done.stdout
    assert text.startswith("# tester/agrees beside a test\n\nAll figures agree.\n")
    assert text.count("| yes |") == len(FIGURES)
    assert hub.repositories["tester/agrees"].head in text
    for name, commit in commits.items():
        assert f"neulab/PangeaBench-{name}" in text
        assert commit in text
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert len(results) == 10
    assert min(points_of(out)["xgqa", "en"], points_of(out)["maxm", "en"]) > 60


def test_another_checkpoint_is_told_apart(rehearsal):
    hub, folder, recipe, _ = rehearsal
    done = reproduce(hub, folder / "home", recipe, "tester/differs", folder / "differs-out")
    assert done.returncode == 1, done.stderr[-3000:]
    text = (folder / "differs-out" / "reproduce.md").read_text(encoding="utf-8")
    for task in ("xgqa", "maxm", "xm3600"):
        assert any(f"| {task}" in line and "| no |" in line for line in text.splitlines())


def test_a_quick_trial_of_an_agreeing_checkpoint_is_not_called_agreement(rehearsal):
    hub, folder, recipe, _ = rehearsal
    done = reproduce(hub, folder / "home", recipe, "tester/agrees", folder / "quick-out", "--quick")
    assert done.returncode == 3, done.stderr[-3000:]
    text = (folder / "quick-out" / "reproduce.md").read_text(encoding="utf-8")
    assert "trial of 20 images" in text
    assert "agree." not in text.partition("| benchmark")[0]


def test_killed_and_run_again_it_goes_on_and_ends_with_the_same_answers(rehearsal):
    hub, folder, recipe, _ = rehearsal
    out = folder / "killed-out"
    with (folder / "log.txt").open("w") as log:
        arguments = [sys.executable, *command(recipe, "tester/agrees", out)]
        process = subprocess.Popen(arguments, cwd=ROOT, env=environment(hub, folder / "home"), stdout=log, stderr=log)
        while not (out / f"predictions_xgqa_paper.jsonl{PARTIAL}").is_dir():
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
        process.wait()
    kept = {path: path.stat().st_mtime_ns for path in out.glob(f"*_pangea.jsonl{PARTIAL}/chunk-*")}
    assert len(kept) >= 5
    shutil.copytree(out, folder / "killed-state")
    done = reproduce(hub, folder / "home", recipe, "tester/agrees", out)
    assert done.returncode == 0, done.stderr[-3000:]
    for path in sorted((folder / "measured").glob("predictions_*.jsonl")):
        assert (out / path.name).read_bytes() == path.read_bytes()


def test_a_hub_that_does_not_answer_is_an_error_and_no_verdict(rehearsal):
    _, folder, recipe, _ = rehearsal
    with LoopbackHub() as empty:
        done = reproduce(empty, folder / "other-home", recipe, "tester/agrees", folder / "lost-out")
    assert done.returncode == 2
    assert "error:" in done.stderr
