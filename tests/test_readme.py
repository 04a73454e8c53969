"""The Python of README.md and docs/ runs as it stands there, on tiny models; its commands are single lines."""

import json
import re
import shlex
import statistics
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mblip.evaluation import evaluate_task
from mblip.evaluation.command_line import parse_command_line as evaluation_command_line
from mblip.mix.build.recipe import read_mix_recipe
from mblip.training.recipe_reading import parse_command_line
from mblip.training.rows import build_rows
from tests.tiny import VOCAB_SIZE, tiny_blip2, tiny_model, tiny_processor

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODEL_FOLDER = "outputs/quickstart/model"


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(name: str, heading: str) -> str:
    """A section of a page."""
    return page(name).split(f"\n## {heading}\n")[1].split("\n## ")[0]


def python_block(name: str, heading: str, number: int = 0) -> str:
    """A Python block of a section."""
    return re.findall(r"```python\n(.*?)```", section(name, heading), flags=re.DOTALL)[number]


def run(name: str, heading: str, number: int = 0, **replaced: str) -> dict[str, Any]:
    """What a block of a section leaves, run with some of its texts replaced."""
    block, names = python_block(name, heading, number), {}
    for old, new in replaced.items():
        assert old in block
        block = block.replace(old, new)
    exec(compile(block, name, "exec"), names)
    return names


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with the quickstart's model, tiny, and images."""
    monkeypatch.chdir(tmp_path)
    tiny_model("mt5").save_pretrained(MODEL_FOLDER)
    tiny_processor("mt5").save_pretrained(MODEL_FOLDER)
    for number, name in enumerate(["dog.jpg", "left.jpg", "right.jpg", "quickstart/results/image.png"]):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30 + number), "green").save(name)
    return tmp_path


@pytest.fixture
def checkpoint_of_2023(folder):
    """A local folder of the name: BLIP-2's layout, as in tests/hub/test_published_layouts.py."""
    tiny_blip2("mt5").save_pretrained("Gregor/mblip-mt0-xl")
    tiny_processor("mt5", image_token_id=VOCAB_SIZE - 1).save_pretrained("Gregor/mblip-mt0-xl")


PHOTOS = 'name, image = "Gregor/mblip-mt0-xl", "dog.jpg"'


def test_six_lines_and_a_name_caption_an_image_also_by_a_checkpoint_of_2023(checkpoint_of_2023, capsys):
    heading = "Caption your own image"
    named, *lines = sorted(
        filter(None, python_block("README.md", heading).splitlines()), key=lambda x: "name, " not in x
    )
    assert len(lines) == 6
    assert f"`{PHOTOS}`" in section("README.md", heading)
    names = run("README.md", heading)
    assert run("README.md", heading, **{named: PHOTOS})["model"].name_or_path != names["model"].name_or_path
    assert capsys.readouterr().out.count("\n") >= 2


def test_a_checkpoint_of_2023_is_loaded(checkpoint_of_2023):
    names = run("docs/models.md", "Load a checkpoint")
    assert names["processor"].num_query_tokens == names["model"].config.num_query_tokens


def test_a_prompt_has_no_image_one_or_two(folder):
    names = run("docs/models.md", "Prompts and images")
    assert [names[name]["pixel_values"].shape[0] for name in ("two", "mixed")] == [2, 2]
    assert names["mixed"]["image_indices"].tolist() == [0, 0, 1]
    assert "pixel_values" not in names["none"]
    assert names["features"].shape[:2] == (2, names["processor"].num_query_tokens)


def test_one_image_in_three_languages_is_encoded_once(folder, capsys):
    run("docs/speed.md", "Use it")
    assert capsys.readouterr().out.startswith("1\n[")


def test_a_language_model_is_held_in_4_bit(folder):
    assert run("docs/models.md", "In fewer bits")["model"].is_loaded_in_4bit


@pytest.mark.parametrize(
    ("name", "heading", "number"),
    [("README.md", "Fine-tune on your data", 1), ("docs/training.md", "With the plain Trainer", 0)],
)
def test_own_images_train_with_the_plain_trainer(folder, name, heading, number):
    tiny_model("mt5").half().save_pretrained(MODEL_FOLDER)  # as a model is composed from components in float16
    assert python_block("README.md", "Fine-tune on your data") == python_block("docs/data.md", "Rows by hand")
    run("README.md", "Fine-tune on your data")
    names = run(name, heading, number, **{"max_steps=100": "max_steps=2, use_cpu=True"})
    assert names["rows"][0]["languages"] == ["sw", "de"]
    assert names["model"].config.label_smoothing == (0.0 if name == "README.md" else 0.1)


@pytest.mark.parametrize("which", ["quickstart", "test"])
def test_each_command_is_one_line(which):
    (command,) = re.findall(rf"<!-- {which} command -->\n```bash\n(.*?)```", README, flags=re.DOTALL)
    assert command.count("\n") == 1


def test_the_cost_of_fewer_bits_is_the_record_s():
    evaluations = json.loads((ROOT / "quickstart" / "results" / "quickstart.json").read_text("utf-8"))["evaluations"]
    (results,) = [e["results"] for e in evaluations if "scenes_4bit" in e["results"]]
    for result in results.values():
        mean = 100 * statistics.mean(score["value"] for score in result["scores"])
        sizes = [f"{result[key] / 1e6:.2f}" for key in ("memory_bytes", "language_model_bytes")]
        row = rf"^\| {re.escape(result['model']['precision'])} \| {mean:.1f} \| [\d, ]*\| {sizes[0]} \| {sizes[1]} \|$"
        assert re.search(row, section("docs/models.md", "In fewer bits"), flags=re.MULTILINE), row


def write_blocks(name: str, heading: str, *files: str) -> None:
    """The fenced blocks of a section with the language of the files' suffix, one file each, in order."""
    text = section(name, heading)
    for file in files:
        language = {"py": "python", "yaml": "yaml"}[file.rpartition(".")[2]]
        found = re.search(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)
        Path(file).write_text(found.group(1), encoding="utf-8")
        text = text[: found.start()] + text[found.end() :]


def test_a_source_of_ones_own_is_one_file(folder):
    write_blocks(
        "docs/data.md", "A source of your own, in one file", "my_captions.py", "my_recipe.yaml", "my_mix.yaml"
    )
    Path("data/mine").mkdir(parents=True)
    Path("data/mine/captions.tsv").write_text("dog.jpg\tsw\tmbwa\ndog.jpg\tfr\tchien\ndog.jpg\tde\tHund\n")
    Path("dog.jpg").rename("data/mine/dog.jpg")
    (source,) = read_mix_recipe(Path("my_mix.yaml")).sources
    assert source.source == "my_captions:tsv_captions"
    recipe = parse_command_line(["my_recipe.yaml"])
    rows = build_rows(recipe.data, recipe.seed)
    assert len(rows) == 1
    assert {key: rows[0][key] for key in ("image_id", "targets", "languages", "tasks")} == {
        "image_id": "dog.jpg",
        "targets": ["mbwa", "Hund"],
        "languages": ["sw", "de"],
        "tasks": ["captioning", "captioning"],
    }
    text = Path("my_recipe.yaml").read_text(encoding="utf-8")
    Path("my_recipe.yaml").write_text(text.replace("images:", "imags:"), encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"my_recipe\.yaml, line \d+: .*`data\.sources\.0\.imags` is unknown\. Did you"
    ):
        parse_command_line(["my_recipe.yaml"])


def test_a_benchmark_of_ones_own_is_one_file(folder):
    heading = "A benchmark of your own, in one file"
    write_blocks("docs/evaluation.md", heading, "my_nli.py", "my_evaluation.yaml")
    Path("data/my_nli/images").mkdir(parents=True)
    Path("dog.jpg").rename("data/my_nli/images/dog.jpg")
    for language in ("sw", "de"):
        lines = [
            {"image": "dog.jpg", "sentence": f"{language} {label}", "label": label, "id": label}
            for label in ("entailment", "neutral", "contradiction")
        ]
        Path(f"data/my_nli/{language}.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    (command,) = re.findall(r"^mblip eval (outputs.*)$", section("docs/evaluation.md", heading), re.MULTILINE)
    for arguments in (["my_evaluation.yaml"], shlex.split(command)):
        run = evaluation_command_line(arguments)
        (task,) = run.evaluation.build_tasks()
        assert task.name == "my_nli"
        assert [(e.prompt, e.references, e.language) for e in task.examples[:2]] == [
            ('Is it guaranteed true that "sw entailment"? Yes, no, or maybe? Answer in English:', ("yes",), "sw"),
            ('Is it guaranteed true that "sw neutral"? Yes, no, or maybe? Answer in English:', ("maybe",), "sw"),
        ]
        assert len(task.examples) == 6
    model, processor = tiny_model("mt5"), tiny_processor("mt5")
    assert len(evaluate_task(model, processor, task, settings=run.evaluation.settings).scores) == 2


def cells(text: str, language: str) -> list[str]:
    """The cells behind a language's name in a table; in README.md two languages share a line."""
    row = re.search(rf"\| {language}(?: \([^|]*)? \|(.*)", text).group(1)
    return [cell.strip() for cell in row.split("|")]


def test_the_tables_of_the_quickstart_are_the_results_files():
    own, english_only = (page(f"quickstart/results/{name}.md") for name in ("quickstart", "english_only"))
    names = re.findall(r"^\| (\w+) \(`\w+`\)", own, re.MULTILINE)
    assert len(names) == 12
    for name in names:
        _, before, after, shuffled, _, ratio, *_ = cells(own, name)
        english = cells(english_only, name)[2]
        assert cells(page("docs/quickstart.md"), name)[1:7] == [before, after, shuffled, ratio, before, english]
        assert cells(section("README.md", "Results"), name)[:2] == [after, english]
