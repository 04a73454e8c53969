"""Writes published records in two other layouts: as rows of PangeaBench (by the columns that Pangea's tasks read) and
as the original's inputs (by gregor-ge/mBLIP's data/*). No real rows of either were at hand."""

import io
from pathlib import Path

import datasets
from PIL import Image

from tests.data.sources.sample_data import write_json

QUESTION = "Does the content of the image support the given text? Text: {}\nOptions: (a) false (b) true"


def cell(red=0):
    """An image as `datasets.Image` stores it."""
    stored = io.BytesIO()
    Image.new("RGB", (8, 8), (red, 90, 90)).save(stored, "PNG")
    return {"bytes": stored.getvalue(), "path": None}


def pangea_xgqa(records):
    return [
        {"question": record["question"], "answer": record["answer"], "image_id": record["imageId"], "image": cell()}
        for record in records.values()
    ]


def pangea_maxm(annotations):
    return [
        {"image_id": each["image_id"], "question": pair["question"], "answers": pair["processed_answers"]}
        | {"image": cell()}
        for each in annotations
        for pair in each["qa_pairs"]
    ]


def pangea_marvl(statements):
    """Statements and whether they are true."""
    return [
        {
            "id": f"row-{number}",
            "image": cell(number),
            "conversations": [
                {"from": "human", "value": f"<image>\n{QUESTION.format(statement)}"},
                {"from": "gpt", "value": "(b) true" if is_true else "(a) false"},
            ],
        }
        for number, (statement, is_true) in enumerate(statements)
    ]


def pangea_xm100(captions):
    """Key -> caption, in one language."""
    return [{"image_id": key, "caption": caption, "image": cell()} for key, caption in captions.items()]


def store(folder: Path, rows_by_language) -> str:
    """A dataset with a split for each language, images as `datasets.Image`."""
    parts = {}
    for language, rows in rows_by_language.items():
        parts[language] = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    datasets.DatasetDict(parts).save_to_disk(folder)
    return str(folder)


def write_inputs(path: Path, rows) -> Path:
    """An input of the original: rows of (context, image_id, text_label) or of whole records."""
    fields = ("context", "image_id", "text_label")
    records = [row if isinstance(row, dict) else dict(zip(fields, row, strict=True)) | {"label": ""} for row in rows]
    return write_json(path, records)
