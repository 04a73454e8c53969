"""The files that each source of a recipe reads, at their smallest, and what a recipe says to read them."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

URL = "https://example.org/train2017"
COCO_CAPTIONS = {
    "images": [{"id": 139, "file_name": "000000000139.jpg"}],
    "annotations": [{"image_id": 139, "id": 826151, "caption": "A room."}],
}
TWO_CAPTIONS = {
    "images": [{"id": number, "file_name": f"{number:012d}.jpg"} for number in (1, 2)],
    "annotations": [{"image_id": number, "id": number, "caption": f"Caption {number}."} for number in (1, 2)],
}
KARPATHY_IMAGE = {"filepath": "val2014", "filename": "COCO_val2014_000000000139.jpg", "cocoid": 139}
NLVR2 = {"identifier": "dev-896-0-1", "sentence": "Kuna chupa.", "label": "True"}
MARVL = {"id": "id-0", "language": "id", "concept": "39-Panci", "left_img": "39-0.jpg", "right_img": "39-4.jpg"}
PAIR = {"gold_label": "neutral", "sentence2": "Il lit.", "pairID": "1.jpg#2r1c"}
TURNS = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A bus."}]

# source: (files that it reads, what a recipe says besides, (task, language, target) of the first example)
READ: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, str, str]]] = {
    "own_folder": (
        {"metadata.jsonl": [{"file_name": "a.png", "text": "ein Hund"}], "a.png": None},
        {"path": ".", "task": "captioning", "language": "de", "columns": {"target": "text"}},
        ("captioning", "de", "ein Hund"),
    ),
    "own_dataset": (
        {"rows.jsonl": [{"photo": "a.png", "q": "Ist es rot?", "a": "ja", "lang": "de"}]},
        {
            "path": "rows.jsonl",
            "task": "vqa",
            "columns": {"image": "photo", "target": "a", "question": "q", "language": "lang"},
            "streaming": True,
        },
        ("vqa", "de", "ja"),
    ),
    "gqa": (
        {"train.json": [{"img_id": "n1", "label": {"red": 1.0}, "question_id": "7", "sent": "What colour?"}]},
        {"path": "train.json", "images": URL},
        ("vqa_in_english", "en", "red"),
    ),
    "xgqa": (
        {"de/dev.json": {"7": {"imageId": "n1", "question": "Rot?", "answer": "no"}}, "ko/dev.json": {}},
        {"annotations": ".", "languages": ["ko", "de"], "split": "dev", "images": URL},
        ("vqa_in_english", "de", "no"),
    ),
    "snli_ve": (
        {"train.jsonl": [PAIR | {"Flickr30K_ID": "1"}]},
        {"path": "train.jsonl", "images": URL},
        ("entailment", "en", "maybe"),
    ),
    "xvnli": (
        {"fr/test.jsonl": [PAIR | {"Flikr30kID": "1"}]},
        {"annotations": ".", "languages": ["fr"], "split": "test", "images": URL},
        ("entailment", "fr", "maybe"),
    ),
    "nlvr2": (
        {"dev-sw_gmt.jsonl": [NLVR2]},
        {"path": "dev-sw_gmt.jsonl", "images": URL, "language": "sw"},
        ("two_image_statement", "sw", "yes"),
    ),
    "marvl": (
        {"marvl-id.jsonl": [MARVL | {"caption": "Ada panci.", "label": True}]},
        {"path": "marvl-id.jsonl", "images": "tar://::marvl.tar", "file_names": "NFC"},
        ("two_image_statement", "id", "yes"),
    ),
    "flickr30k": (
        {"train.jsonl": [{"sentences": ["A man."], "img_path": "1.jpg"}]},
        {"path": "train.jsonl", "images": URL},
        ("captioning", "en", "A man."),
    ),
    "xflickrco": (
        {"tr/test.jsonl": [{"sentences": ["Bir oda."], "img_path": "COCO_val2014_000000000139.jpg"}]},
        {"annotations": ".", "languages": ["tr"], "split": "test", "images": "flickr", "coco_images": URL},
        ("captioning", "tr", "Bir oda."),
    ),
    "capfilt": (
        {"ccs.json": [{"url": "https://example.org/a.jpg", "caption": "a dog"}]},
        {"path": "ccs.json"},
        ("captioning", "en", "a dog"),
    ),
    "coco_captions": (
        {"captions.json": COCO_CAPTIONS},
        {"path": "captions.json", "images": URL},
        ("captioning", "en", "A room."),
    ),
    "karpathy_captions": (
        {"coco.json": {"images": [KARPATHY_IMAGE | {"split": "test", "sentences": [{"raw": "A.", "sentid": 5}]}]}},
        {"path": "coco.json", "images": URL, "splits": ["test"]},
        ("captioning", "en", "A."),
    ),
    "vqav2": (
        {
            "questions.json": {"questions": [{"question_id": 1, "image_id": 139, "question": "What?"}]},
            "annotations.json": {
                "annotations": [{"question_id": 1, "image_id": 139, "multiple_choice_answer": "net", "answers": []}]
            },
        },
        {
            "questions": "questions.json",
            "annotations": "annotations.json",
            "images": URL,
            "tasks": ["question_generation"],
        },
        ("question_generation", "en", "What?"),
    ),
    "aokvqa": (
        {
            "train.json": [
                {
                    "image_id": 139,
                    "question_id": "x",
                    "question": "What?",
                    "choices": ["a", "b"],
                    "correct_choice_idx": 1,
                    "rationales": ["It is."],
                }
            ]
        },
        {"path": "train.json", "images": URL, "tasks": ["explaining"]},
        ("explaining", "en", "It is."),
    ),
    "llava_conversations": (
        {"llava.json": [{"id": "1", "image": "000000000139.jpg", "conversations": TURNS}]},
        {"path": "llava.json", "images": URL, "max_sentences": 1},
        ("conversation", "en", "A bus."),
    ),
    "llava_details": (
        {"llava.json": [{"id": "1", "image": "000000000139.jpg", "conversations": TURNS}]},
        {"path": "llava.json", "images": URL},
        ("detailed_captioning", "en", "A bus."),
    ),
    "released_json": (
        {"mix.json": [{"context": "Is it a dog?", "label": "yes", "image_id": "a.jpg"}]},
        {"path": "mix.json", "images": URL, "other_language": "en"},
        ("as_released", "en", "yes"),
    ),
    "matching": (
        {"captions.json": TWO_CAPTIONS},
        {"captions": {"source": "coco_captions", "path": "captions.json", "images": URL}},
        ("matching", "en", "no"),
    ),
}


def write_files(folder: Path, files: dict[str, Any]) -> None:
    """Lists under .jsonl as lines, other values as JSON, None as a photo."""
    for name, value in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if value is None:
            Image.new("RGB", (40, 40), "red").save(path)
        else:
            lines = [json.dumps(entry) for entry in value] if path.suffix == ".jsonl" else [json.dumps(value)]
            path.write_text("\n".join(lines), encoding="utf-8")
