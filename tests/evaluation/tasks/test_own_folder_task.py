"""`own_folder`: a folder of one's own is asked as it is trained on, and scored by the metric of its task."""

import json

import pytest
from PIL import Image

from mblip.evaluation import evaluate_task
from mblip.evaluation.command_line import parse_command_line
from mblip.evaluation.runner import RunSettings
from tests.tiny import tiny_model, tiny_processor

COLUMNS = {"target": "text", "language": "language"}


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Write a folder of two images with these rows, and build the task by the command line."""
    monkeypatch.chdir(tmp_path)

    def write_and_build(rows, task, columns, *options):
        (tmp_path / "mine").mkdir(exist_ok=True)
        for name in ("a.png", "b.png"):
            Image.new("RGB", (40, 40), "green").save(tmp_path / "mine" / name)
        text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (tmp_path / "mine" / "metadata.jsonl").write_text(text, encoding="utf-8")
        named = ["--task.path", "mine", "--task.task", task, "--task.columns", json.dumps(columns)]
        run = parse_command_line(["me/model", "--task", "own_folder", *named, *options])
        (built,) = run.evaluation.build_tasks()
        return built

    return write_and_build


def row(name, text, language, **rest):
    return {"file_name": name, "text": text, "language": language, **rest}


def figures(task, answers):
    scored = task.metric.score(task.examples, answers)
    return {name: round(value, 3) for name, value in scored.figures.items()}


def test_captions_of_an_image_in_a_language_are_references_of_one_another(build):
    rows = [row("a.png", "mbwa", "sw"), row("a.png", "mbwa mweusi", "sw"), row("b.png", "Hund", "de")]
    rows.append(row("b.png", "犬", "ja"))
    task = build(rows, "captioning", COLUMNS)
    assert [(one.language, one.references, one.prompt) for one in task.examples] == [
        ("sw", ("mbwa", "mbwa mweusi"), "Caption in Swahili: "),
        ("de", ("Hund",), "Caption in German: "),
        ("ja", ("犬",), "Caption in Japanese: "),
    ]
    assert task.metric.main == "CIDEr-D"
    assert "SudachiPy" in task.metric.description
    assert [(file.location, file.num_records) for file in task.files] == [("mine", 4)]


def test_short_answers_are_right_if_they_equal_one_of_the_answers(build):
    asked = {"question": "Wie viele?"}
    rows = [row("a.png", "zwei", "de", **asked), row("a.png", "2", "de", **asked)]
    rows += [row("a.png", "mbili", "sw", question="Ngapi?"), row("b.png", "dua", "id", question="Berapa?")]
    task = build(rows, "vqa", COLUMNS | {"question": "question"})
    assert [one.prompt for one in task.examples] == [
        "Question: Wie viele? Short answer in German:",
        "Question: Ngapi? Short answer in Swahili:",
        "Question: Berapa? Short answer in Indonesian:",
    ]
    assert figures(task, ["Zwei", "MBILI ", "tiga"]) == {"exact_match": 0.667}
    assert task.metric.description == "exact match of the whole answer, but for case"


def test_yes_or_no_is_a_choice_that_can_be_ranked(build):
    rows = [row("a.png", "yes", "sw", caption="mbwa"), row("b.png", "no", "de", caption="ein Hund")]
    rows.append(row("b.png", "no", "hi", caption="एक कुत्ता"))
    task = build(rows, "matching", COLUMNS | {"caption": "caption"}, "--task.answering", "rank")
    assert task.examples[2].prompt == 'Is it correct to say "एक कुत्ता"? Yes or no? Answer in English:'
    assert task.examples[0].candidates == ("yes", "no")
    scored = figures(task, ["yes", "yes", "no"])
    assert (scored["accuracy"], scored["recall_no"]) == (0.667, 0.5)


def test_letters_of_options_in_the_question_are_multiple_choice(build):
    rows = [
        row("a.png", "B", code, question=f"{text} A: 1, B: 2, C: 3")
        for code, text in (("de", "Wie viele?"), ("sw", "Ngapi?"), ("id", "Berapa?"))
    ]
    columns = COLUMNS | {"question": "question"}
    task = build(rows, "vqa", columns, "--task.choices", "[A, B, C]")
    scored = figures(task, ["B", "A", "many"])
    assert (scored["accuracy"], scored["share_invalid"]) == (0.333, 0.333)
    model, processor = tiny_model("mt5"), tiny_processor("mt5")
    settings = RunSettings(batch_size=4)
    assert len(evaluate_task(model, processor, task, settings=settings).scores) == 3


@pytest.mark.parametrize(
    ("rows", "task", "columns", "message"),
    [
        (
            [row("a.png", "ja", "de", caption="x")],
            "matching",
            {"caption": "caption"},
            r"is 'ja', expected one of yes, no",
        ),
        (
            [row("a.png", "yes", "de", caption="x"), row("a.png", "no", "de", caption="x")],
            "matching",
            {"caption": "caption"},
            r"'1' of 'own/mine': an earlier row answers the same by 'yes'",
        ),
        ([row("c.png", "x", "de")], "captioning", {}, r"images are missing in 1 of 1 rows.*c\.png"),
        ([row("a.png", "x", "xx")], "captioning", {}, r"metadata\.jsonl, line 1.*'xx'.*expected one of the 96 codes"),
        ([row("a.png", "x", "de")], "vqa", {}, r"takes the inputs \['question'\], but the columns map none"),
        ([row("a.png", "", "de")], "captioning", {}, r"own_folder has no examples \(skipped: empty text: 1\)"),
        ([{"file_name": "a.png"}], "captioning", {}, "there is no column `text`"),
    ],
)
def test_a_fault_in_the_folder_is_named_before_a_model_is_loaded(rows, task, columns, message, build):
    with pytest.raises(ValueError, match=message):
        build(rows, task, COLUMNS | columns)
