"""The true lmms-eval on tasks of sample records: its figures are those of eval.py.

It needs an environment of its own (docs/evaluation.md), where some package of lmms-eval's is called `tests`, as ours.
So nothing here imports `tests`: pytest -m engine tests/evaluation/test_lmms_eval_runs.py
"""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiny
import torch

from benchmarks.stand_ins import draw_stand_ins, unchecked_tasks
from mblip.data.images import open_image
from mblip.evaluation.recipe import read_evaluation_run

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT.parent / "shared" / "data"
NAMES = ("xflickrco", "xgqa", "xvnli")
NUM_SCORES = {"xflickrco": 3, "xgqa": 2, "xvnli": 2}

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample data are not beside the project"),
    pytest.mark.skipif(find_spec("lmms_eval") is None, reason="lmms-eval is not installed: see docs/evaluation.md"),
]


def write_recipe(folder: Path) -> Path:
    """Captions of COCO's photos in three languages, xGQA and XVNLI in two, the latter ranked, on stand-ins."""
    tasks = {
        "xflickrco": {
            "captions": f"{SAMPLES}/xflickrco/annotations/{{language}}/test.jsonl",
            "images": str(folder / "flickr30k"),
            "coco_images": f"{SAMPLES}/coco/images",
            "languages": ["en", "de", "zh"],
        },
        "xgqa": {
            "questions": f"{SAMPLES}/xgqa/few_shot/{{language}}/dev.json",
            "images": str(folder / "gqa"),
            "languages": ["en", "bn"],
        },
        "xvnli": {
            "pairs": f"{SAMPLES}/xvnli/annotations/{{language}}/test.jsonl",
            "images": str(folder / "flickr30k"),
            "answering": "rank",
            "languages": ["ar", "fr"],
        },
    }
    own = {"setup": {"missing_images": "skip"}, "settings": {"batch_size": 64, "generation": {"max_new_tokens": 6}}}
    run = {"model": str(folder / "model"), "output_dir": str(folder / "out"), "load_in": "none"}
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(run | {"evaluation": own | tasks}))
    return path


def write_model(folder: Path, examples, monkeypatch) -> None:
    """A tiny model, whose tokens are the words of the answers, and which has learned some of them."""
    words = Counter(word for example in examples for word in example.references[0].split())
    common = [word for word, _ in words.most_common(120)]
    monkeypatch.setattr(tiny, "TOKENS", ("<pad>", "<bos>", "<eos>", "<unk>", *common))
    model, processor = tiny.tiny_model("mt5"), tiny.tiny_processor("mt5")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(120):
        batch = examples[step % 4 :: len(examples) // 16]
        images = [open_image(example.images[0], name=example.id) for example in batch]
        inputs = processor(images=images, text=[e.prompt for e in batch], return_tensors="pt", padding=True)
        answers = [[*processor.tokenizer(e.references[0]).input_ids[:5], 1] for e in batch]  # 1 ends an answer
        labels = torch.tensor([answer + [-100] * (6 - len(answer)) for answer in answers])
        model(**inputs, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def run(*arguments: str | Path, folder: Path) -> str:
    """Run Python in this environment, with our code, offline; returns what it prints."""
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'quickstart'}",
        "HF_HOME": str(folder / "home"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def run_lmms_eval(folder: Path, tasks: Path, *arguments: str) -> dict[str, dict[str, float]]:
    """Task or group -> figure -> value."""
    groups = ",".join(f"mblip_{name}" for name in NAMES)
    output = folder / "lmms_eval_output"
    run(
        *("-m", "lmms_eval", "--tasks", groups, "--include_path", tasks, "--output_path", output, *arguments),
        folder=folder,
    )
    (results,) = output.rglob("*_results.json")
    found = json.loads(results.read_text(encoding="utf-8"))
    results.unlink()
    return {
        task: {name.removesuffix(",none"): value for name, value in values.items()}
        for task, values in found["results"].items()
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lmms_eval")


@pytest.fixture(scope="module")
def tasks(folder):
    """The folder of tasks, beside our own results of their recipe."""
    recipe = write_recipe(folder)
    found = read_evaluation_run(recipe).evaluation
    draw_stand_ins(unchecked_tasks(replace(found, tasks=found.tasks[1:])))
    examples = [example for task in found.build_tasks() for example in task.examples]
    with pytest.MonkeyPatch.context() as monkeypatch:
        write_model(folder / "model", examples, monkeypatch)
    run(ROOT / "eval.py", recipe, folder=folder)
    return Path(run("-m", "mblip", "lmms-eval", recipe, folder=folder).strip())


def test_lmms_evals_figures_of_mblip_equal_those_of_eval_py_to_the_last_digit(folder, tasks):
    arguments = ("--model", "mblip", "--model_args", f"pretrained={folder / 'model'}", "--batch_size", "64")
    theirs = run_lmms_eval(folder, tasks, *arguments)
    ours = json.loads((folder / "out" / "results.json").read_text(encoding="utf-8"))
    assert {name: len(result["scores"]) for name, result in ours.items()} == NUM_SCORES
    for name, result in ours.items():
        values = [score["value"] for score in result["scores"]]
        assert max(values) > 0
        assert theirs[f"mblip_{name}"][result["metric"]] == pytest.approx(sum(values) / len(values), abs=1e-15)
        for score in result["scores"]:
            found = theirs[f"mblip_{name}_{score['language']}"]
            assert {figure: found[figure] for figure in score["figures"]} == score["figures"]


def test_another_model_answers_the_same_tasks(folder, tasks):
    found = run_lmms_eval(folder, tasks, "--model", "dummy", "--limit", "2")
    assert len(found) == len(NAMES) + sum(NUM_SCORES.values())
