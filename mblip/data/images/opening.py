"""Images of training rows: what forms they come in, how they are opened and how they are stored.

An image is a PIL image, the bytes of an encoded file, a place (a path, a member of an archive, a row of a parquet
file: places.py), or the record {"bytes", "path"} that `datasets` stores. One that cannot be read is an error
that names it: the original replaced it by a black picture in silence.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image as PILImage

from .decoding import decode
from .places import SCHEME, is_url, open_bytes, place_name
from .refusal import RefusedImageError

Image = PILImage.Image | bytes | str | Path
StoredImage = Mapping[str, Any]  # {"bytes": bytes | None, "path": str | None}, the storage of `datasets.Image`


def open_image(image: Image | StoredImage, *, name: str) -> PILImage.Image:
    """Decode an image completely, so that a damaged one is found here.

    Args:
        name: what the error calls the image, such as its row.

    Raises:
        ValueError: there is no such file, or it cannot be decoded.
    """
    if isinstance(image, PILImage.Image):
        return image
    place, encoded = _place_and_bytes(image, name)
    return _decoded(encoded, place, name)


def store_image(image: Image | StoredImage, *, name: str) -> dict[str, Any]:
    """The record {"bytes", "path"} of an image for parquet, with the encoded file inside: bytes and files as they are,
    PIL images as PNG.

    Raises:
        ValueError: the image cannot be decoded, so that no broken one is ever stored.
    """
    if isinstance(image, PILImage.Image):
        buffer = io.BytesIO()
        image.save(buffer, format="PNG")
        return {"bytes": buffer.getvalue(), "path": None}
    place, encoded = _place_and_bytes(image, name)
    _decoded(encoded, place, name)
    if isinstance(image, bytes):
        return {"bytes": encoded, "path": None}
    if isinstance(image, Mapping) and image.get("bytes") is not None:
        return {"bytes": encoded, "path": image.get("path")}
    return {"bytes": encoded, "path": place_name(image["path"] if isinstance(image, Mapping) else image)}


def place_image(image: Image | StoredImage, *, name: str) -> dict[str, Any]:
    """The record {"bytes", "path"} of an image that stays where it lies, to be read when it is wanted: without bytes
    for one on disk; for any other as `store_image` gives it.

    Raises:
        ValueError: there is no such file, or the image is elsewhere and cannot be stored.
    """
    if not isinstance(image, str | Path) or is_url(image):
        return store_image(image, name=name)
    if not SCHEME.match(str(image)) and not Path(image).is_file():
        raise ValueError(f"{name}: there is no file {image}. Put the image there, or take the row out of the data.")
    return {"bytes": None, "path": str(image)}


def _place_and_bytes(image: Any, name: str) -> tuple[str, bytes]:
    """What an error calls the image, and the encoded file."""
    if isinstance(image, bytes):
        return f"the image ({len(image)} bytes)", image
    if isinstance(image, Mapping) and image.get("bytes") is not None:
        encoded = image["bytes"]
        return image.get("path") or f"the image ({len(encoded)} bytes)", encoded
    place = image.get("path") if isinstance(image, Mapping) else image
    if not isinstance(place, str | Path):
        raise ValueError(
            f"{name}: found an image of type {type(image).__name__}, "
            "expected a PIL image, bytes, a path or {'bytes', 'path'}."
        )
    try:
        return str(place), open_bytes(place)
    except RefusedImageError as error:
        raise ValueError(
            f"{name}: {error.refused.detail} ({error.refused.reason}). "
            "Put the image there, or take the row out of the data."
        ) from error


def _decoded(encoded: bytes, place: str, name: str) -> PILImage.Image:
    try:
        return decode(encoded)
    except RefusedImageError as error:
        raise ValueError(
            f"{name}: {place} cannot be read as an image ({error}). "
            "Fetch the file again, or take the row out of the data."
        ) from error
