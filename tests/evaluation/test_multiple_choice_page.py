"""The files of docs/multiple_choice.md, as they stand there, on rows that we write in the layouts it names.

CVQA: dataset card of afaji/cvqa. M3Exam: tasks/m3exam/utils.py of Pangea's lmms-eval, for neulab/PangeaBench-m3exam.
xMMMU: dataset card of neulab/PangeaBench-xmmmu. No row is a real record.
"""

import base64
import io
import re
from pathlib import Path

import datasets
import pytest
from PIL import Image

from mblip.evaluation.command_line import parse_command_line

PAGE = (Path(__file__).parents[2] / "docs" / "multiple_choice.md").read_text(encoding="utf-8")
DIRECTLY = "Answer with the option's letter from the given choices directly."


def png(color):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), color).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def task_of(tmp_path, monkeypatch):
    """The task that a file of the page makes of rows, by split."""
    monkeypatch.chdir(tmp_path)

    def build(name, rows, *, images=(), split=None):
        (code,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if f"def {name}(" in block]
        Path(f"{name}.py").write_text(code, encoding="utf-8")
        parts = {key: datasets.Dataset.from_list(of_split) for key, of_split in rows.items()}
        for column in images:
            parts = {key: part.cast_column(column, datasets.Image()) for key, part in parts.items()}
        datasets.DatasetDict(parts).save_to_disk("rows")
        command = [
            "outputs/model",
            "--task",
            f"{name}:{name}",
            "--protocol",
            "centurio",
            "--task.rows.path",
            str(tmp_path / "rows"),
        ]
        if split:
            command += ["--task.rows.split", "'{language}'", "--task.languages", f"[{', '.join(split)}]"]
        (task,) = parse_command_line(command).evaluation.build_tasks()
        return task

    return build


def test_cvqa(task_of):
    row = {"image": {"bytes": png("red"), "path": None}, "Category": "Food", "Image Type": "Self", "License": "CC BY"}
    rows = [
        {
            **row,
            "ID": "1",
            "Subset": "('Spanish', 'Mexico')",
            "Question": "¿Qué es?",
            "Options": ["sol", "luna"],
            "Label": 1,
        },
        {
            **row,
            "ID": "2",
            "Subset": "('Urdu', 'Pakistan')",
            "Question": "یہ کیا ہے؟",
            "Options": ["چائے", "دودھ"],
            "Label": 0,
        },
        {
            **row,
            "ID": "3",
            "Subset": "('Breton', 'France')",
            "Question": "Petra?",
            "Options": ["heol", "loar"],
            "Label": 0,
        },
    ]
    task = task_of("my_cvqa", {"test": rows}, images=["image"])
    assert [(example.prompt, *example.references, example.language) for example in task.examples] == [
        (f"¿Qué es?\nThere are several options:\nA. sol\nB. luna\n{DIRECTLY}", "B", "es"),
        (f"یہ کیا ہے؟\nThere are several options:\nA. چائے\nB. دودھ\n{DIRECTLY}", "A", "ur"),
    ]
    assert task.skipped.counts == {"language that is none of the 96": 1}
    assert task.examples[0].images == (png("red"),)


def test_m3exam(task_of):
    images = {f"image_{i}": "None" for i in range(10)}
    shown = images | {"image_0": base64.b64encode(png("blue")).decode()}
    row = {"background_description": [], "language": "thai", "subject_category": "math"}
    thai = [
        {
            **row,
            **shown,
            "question_text": "(image)[image-1.jpg] รูปนี้คืออะไร",
            "options": ["(1) วงกลม", "(2) 3.5 ซม."],
            "answer_text": "(2)",
        },
        {**row, **images, "question_text": "1+1", "options": ["(1) 2", "(2) 3"], "answer_text": "1"},
        {
            **row,
            **shown,
            "question_text": "ใด",
            "options": ["(1) (image)[a.jpg]", "(2) (image)[b.jpg]"],
            "answer_text": "1",
        },
    ]
    chinese = {
        **row,
        **shown,
        "background_description": ["看图。"],
        "question_text": "多长？",
        "options": ["3.5厘米", "4.5厘米"],
    }
    task = task_of("my_m3exam", {"thai": thai, "chinese": [{**chinese, "answer_text": "B"}]}, split=["th", "zh"])
    assert [(example.prompt, *example.references, example.id) for example in task.examples] == [
        (f"รูปนี้คืออะไร\nOptions:\nA. วงกลม\nB. 3.5 ซม.\n{DIRECTLY}", "B", "th/0"),
        (f"看图。\n多长？\nOptions:\nA. 3.5厘米\nB. 4.5厘米\n{DIRECTLY}", "B", "zh/0"),
    ]
    assert task.skipped.counts == {"no image, or options are images": 2}
    assert task.examples[0].images == (png("blue"),)


def test_xmmmu(task_of):
    images = {f"image_{i}": None for i in range(1, 8)}
    images |= {"image_1": {"bytes": png("red"), "path": "a.png"}, "image_2": {"bytes": png("blue"), "path": "b.png"}}
    row = {**images, "question_type": "multiple-choice", "answer": "B"}
    rows = [
        {**row, "id": "validation_Art_1", "question": "ما هذا؟ <image 2> <image 1>", "options": "['شمس', \n'قمر']"},
        {**row, "id": "validation_Art_2", "question": "<image 1>", "options": "['<image 1>', '<image 2>']"},
        {**row, "id": "validation_Art_3", "question": "<image 1>", "options": "[]", "question_type": "open"},
    ]
    task = task_of("my_xmmmu", {"ar": rows}, images=list(images), split=["ar"])
    (example,) = task.examples
    assert example.prompt == f"ما هذا؟ <image 2> <image 1>\nThere are several options:\nA. شمس\nB. قمر\n{DIRECTLY}"
    assert (example.references, example.images) == (("B",), (png("blue"), png("red")))
    assert task.skipped.counts == {"open question, or options are images": 2}
    assert (task.protocol, task.metric.answer_by) == ("centurio", "letter")
