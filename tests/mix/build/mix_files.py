"""Small mixes to build: published layouts with made-up records and drawn photos, and the recipe for them."""

import hashlib
import json
from pathlib import Path
from typing import Any

from PIL import Image

from mblip.data.recipes.yaml_values import write_yaml

NUM_PHOTOS = 12
BROKEN = "000000000003.jpg"


def write_captions(folder: Path) -> Path:
    """Photos and captions in COCO's layout, two captions a photo; one photo is broken."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    numbers = range(1, NUM_PHOTOS + 1)
    for number in numbers:
        Image.new("RGB", (40 + number, 30), (20 * number, 100, 200 - 10 * number)).save(photos / f"{number:012d}.jpg")
    (photos / BROKEN).write_bytes(b"no image at all")
    images = [{"id": number, "file_name": f"{number:012d}.jpg"} for number in numbers]
    annotations = [
        {"image_id": number, "id": 10 * number + turn, "caption": f"a {word} thing of number {number}"}
        for number in numbers
        for turn, word in enumerate(("red", "small"))
    ]
    path = folder / "captions.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def captions_source(folder: Path, **keys: Any) -> dict[str, Any]:
    """The source of `write_captions`, as a recipe names it."""
    return {"source": "coco_captions", "path": str(folder / "captions.json"), "images": str(folder / "photos")} | keys


SCENES = {"source": "scenes.source:scenes", "num_images": 8, "num_prompts": 3, "languages": ["en", "sw", "zh"]}


def write_mix_recipe(folder: Path, *sources: dict[str, Any], **keys: Any) -> Path:
    """A recipe of two shards in `folder`."""
    path = folder / "mix.yaml"
    path.write_text(write_yaml({"sources": list(sources), "num_shards": 2} | keys), encoding="utf-8")
    return path


def contents(folder: Path) -> dict[str, str]:
    """The files of a dataset, without the work folder, by name with the SHA-256 of their bytes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".build" not in path.parts
    }
