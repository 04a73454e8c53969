"""Images of training rows: what forms they come in, how they are opened and how they are stored.

An image is a PIL image, the bytes of an encoded file, a path, or the record {"bytes", "path"} that `datasets` stores.
A file that cannot be read is an error that names it: the original replaced it by a black picture in silence.
"""

import io
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image as PILImage

Image = PILImage.Image | bytes | str | Path
StoredImage = Mapping[str, Any]  # {"bytes": bytes | None, "path": str | None}, the storage of `datasets.Image`

# What Pillow raises for files that are cut off, damaged or no images at all; a picture of more than 178 million pixels
# is refused too.
BROKEN_IMAGE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, PILImage.DecompressionBombError)


def open_image(image: Image | StoredImage, *, name: str) -> PILImage.Image:
    """Decode an image completely, so that a damaged one is found here.

    Args:
        name: what the error calls the image, such as its row.

    Raises:
        ValueError: there is no such file, or it cannot be decoded.
    """
    if isinstance(image, PILImage.Image):
        return image
    place, source = _place_and_source(image, name)
    try:
        opened = PILImage.open(source)
        opened.load()
    except FileNotFoundError as error:
        raise ValueError(
            f"{name}: there is no file {place}. Put the image there, or take the row out of the data."
        ) from error
    except BROKEN_IMAGE_ERRORS as error:
        raise ValueError(
            f"{name}: {place} cannot be read as an image ({error}). "
            "Fetch the file again, or take the row out of the data."
        ) from error
    return opened


def store_image(image: Image | StoredImage, *, name: str) -> dict[str, Any]:
    """The record {"bytes", "path"} of an image for parquet, with the encoded file inside: bytes and files as they are,
    PIL images as PNG.

    Raises:
        ValueError: the image cannot be decoded, so that no broken one is ever stored.
    """
    opened = open_image(image, name=name)
    if isinstance(image, PILImage.Image):
        buffer = io.BytesIO()
        opened.save(buffer, format="PNG")
        return {"bytes": buffer.getvalue(), "path": None}
    place, source = _place_and_source(image, name)
    if isinstance(source, Path):
        return {"bytes": source.read_bytes(), "path": source.name}
    return {"bytes": source.getvalue(), "path": place if isinstance(image, Mapping) and image.get("path") else None}


def _place_and_source(image: Any, name: str) -> tuple[str, Path | io.BytesIO]:
    """What an error calls the image, and what Pillow can open."""
    if isinstance(image, bytes):
        return f"the image ({len(image)} bytes)", io.BytesIO(image)
    if isinstance(image, str | Path):
        return str(image), Path(image)
    if isinstance(image, Mapping) and image.get("bytes") is not None:
        return image.get("path") or f"the image ({len(image['bytes'])} bytes)", io.BytesIO(image["bytes"])
    if isinstance(image, Mapping) and image.get("path") is not None:
        return image["path"], Path(image["path"])
    raise ValueError(
        f"{name}: found an image of type {type(image).__name__}, "
        "expected a PIL image, bytes, a path or {'bytes', 'path'}."
    )
