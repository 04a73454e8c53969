"""Examples as lines of JSON, between the reading of sources and the building of shards.

Images are places (images/places.py) wherever sources name them. Pictures that exist in memory alone, drawn ones and
those of datasets, are written beside the lines.
"""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

from PIL import Image as PILImage

from mblip.data.example import Example
from mblip.data.images import Image

IMAGES = "images"
IN_FOLDER = "example-image:"  # before the name of an image that lies beside the lines


def write_line(example: Example, folder: Path) -> str:
    """The example as a line; its pictures that are no places go into `folder`."""
    fields = {
        "images": [_image_to_text(image, folder) for image in example.images],
        "target": example.target,
        "language": example.language,
        "task": example.task,
        "source": example.source,
        "id": example.id,
        "image_id": example.image_id,
        "inputs": dict(example.inputs),
        "provenance": dict(example.provenance),
        "prompt": example.prompt,
    }
    return json.dumps(fields, ensure_ascii=False) + "\n"


def read_line(line: str, folder: Path) -> Example:
    """The example of a line that `write_line` wrote into `folder`."""
    fields: dict[str, Any] = json.loads(line)
    images = tuple(_image_from_text(text, folder) for text in fields.pop("images"))
    return Example(images=images, **fields)


def _image_to_text(image: Image, folder: Path) -> str:
    if isinstance(image, str | Path):
        return f"path:{image}" if isinstance(image, Path) else image
    encoded = _png(image) if isinstance(image, PILImage.Image) else image
    name = hashlib.sha256(encoded).hexdigest()
    path = folder / IMAGES / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded)
    return f"{IN_FOLDER}{name}"


def _image_from_text(text: str, folder: Path) -> Image:
    if text.startswith(IN_FOLDER):
        return folder / IMAGES / text.removeprefix(IN_FOLDER)
    return Path(text.removeprefix("path:")) if text.startswith("path:") else text


def _png(image: PILImage.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
