"""Images of training rows: their forms and locations, and how to open and store them.

An image is a PIL image, the bytes of an encoded file, a location, or the record {"bytes", "path"} that `datasets`
stores. An unreadable image is an error that names it; the original silently replaced it by a black one.

A location is written in fsspec's chained notation, and read without unpacking anything to disk:

    /path/to/photo.jpg                          a file (a `Path`, or text, with or without file://)
    zip://folder/photo.jpg::/path/photos.zip    a member of an archive; `tar://` for a plain .tar, not .tar.gz
    parquet://17::/path/rows.parquet            row 17 of a parquet file, in its only image column;
    parquet://17/images/0::/path/rows.parquet   in the column `images`, the first image of a list
    https://host/photo.jpg                      a URL, whose bytes `fetched` gives (`FetchedImages`)

The last `::` separates member and archive. A member's name is taken literally: "../photo.jpg" is looked up in the
archive under that name. Any number of processes may read the same archive. Each keeps the archive's index in memory.

Data may come from strangers, so a location that data name is opened only if `check_inside` finds it in a folder of
theirs. Rows of a file name none that is opened: they hold the images (`check_trusted`).
"""

import functools
import io
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image as PILImage

from processing_mblip.image_decoding import MAX_BYTES, decode, load_opened
from processing_mblip.image_reading import open_regular, read_file
from processing_mblip.image_refusal import RefusedImageError

from .files import read_member
from .parquet import read_cell

Location = str | Path
Image = PILImage.Image | bytes | Location
StoredImage = Mapping[str, Any]  # {"bytes": bytes | None, "path": str | None}, the storage of `datasets.Image`
FetchedBytes = Callable[[str], bytes]

URL_PREFIXES = ("http://", "https://")
CHAINED = re.compile(r"(zip|tar|parquet)://(.+)::(.+)", re.DOTALL)
NESTED = re.compile(r"::\w+://")
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class TrustedLocation(str):
    """A location as text that your code gives, or that `check_inside` has seen. Text in a row of a file is not one."""


class MissingImageError(ValueError):
    """A row's image is not on disk. The message names both."""


def open_image(image: Image | StoredImage, *, name: str) -> PILImage.Image:
    """Decode an image completely, so that a damaged one is found here.

    Args:
        name: the image's name in errors, such as its row.
    Raises:
        ValueError: the file is missing, or cannot be decoded.
    """
    if isinstance(image, PILImage.Image):
        return _decoded(image, "the PIL image", name)
    location, encoded = _location_and_bytes(image, name)
    return _decoded(encoded, location, name)


def store_image(image: Image | StoredImage, *, name: str) -> dict[str, Any]:
    """The record {"bytes", "path"} of an image for parquet, with the encoded file inside.

    Bytes and files stay unchanged. PIL images become PNG.

    Raises:
        ValueError: the image cannot be decoded. Broken images are never stored.
    """
    if isinstance(image, PILImage.Image):
        buffer = io.BytesIO()
        _decoded(image, "the PIL image", name).save(buffer, format="PNG")
        return {"bytes": buffer.getvalue(), "path": None}
    location, encoded = _location_and_bytes(image, name)
    _decoded(encoded, location, name)
    if isinstance(image, bytes):
        return {"bytes": encoded, "path": None}
    if isinstance(image, Mapping) and image.get("bytes") is not None:
        return {"bytes": encoded, "path": image.get("path")}
    return {"bytes": encoded, "path": location_name(image["path"] if isinstance(image, Mapping) else image)}


def locate_image(image: Image | StoredImage, *, name: str) -> dict[str, Any]:
    """The record {"bytes", "path"} of an image that stays where it is, to be read when needed.

    An image on disk gives a record without bytes. Any other gives the record of `store_image`.

    Raises:
        MissingImageError: there is no such file.
        ValueError: the image is not on disk and cannot be stored.
    """
    if not isinstance(image, str | Path) or is_url(image):
        return store_image(image, name=name)
    if not SCHEME.match(str(image)) and not os.path.isfile(image):
        raise MissingImageError(f"{name}: there is no file {image}. Put the image there, or remove the row.")
    return {"bytes": None, "path": str(image)}


def open_bytes(location: Location, *, fetched: FetchedBytes | None = None, max_bytes: int = MAX_BYTES) -> bytes:
    """The encoded image at a location.

    Args:
        fetched: gives the bytes of a URL. Nothing is fetched here.
        max_bytes: a larger image is refused before it is read.
    Raises:
        RefusedImageError: there is nothing to read, or too much. A pipe or device is refused without waiting. The
            message names the location.
    """
    try:
        return _read(location, fetched, max_bytes)
    except RefusedImageError as error:
        if str(location) in error.refused.detail:
            raise
        raise RefusedImageError(error.refused.reason, f"{location}: {error.refused.detail}") from error


def trusted(image: Image) -> Image:
    """The image, with a location as text marked as a `TrustedLocation`."""
    return TrustedLocation(image) if isinstance(image, str) else image


def check_trusted(
    image: Image | StoredImage, *, name: str, image_root: str | Path | None = None
) -> Image | StoredImage:
    """The image of a row, if its file may be opened.

    Args:
        image_root: the folder whose files a row may name, also relative to it.
    Raises:
        ValueError: only the row names the file, so anybody may have written it; or it is not in `image_root`.
    """
    location: Any = image
    if isinstance(image, Mapping):
        location = image.get("path") if image.get("bytes") is None else None
    if not isinstance(location, str) or isinstance(location, TrustedLocation):
        return image
    if image_root is None:
        raise ValueError(
            f"{name}: found {location!r} in place of an image. A file that a row names is not opened: rows hold their "
            "images, as `write_rows` stores them. For files of your own, give the collator their `image_root`."
        )
    file = location if CHAINED.fullmatch(location) else Path(image_root, location.removeprefix("file://"))
    check_inside(file, [image_root], row=name)
    return trusted(file)


def check_inside(location: Location, roots: Iterable[str | Path], *, row: str) -> None:
    """Check a location that data name: its file, or the archive around it, must be in one of the folders `roots`.

    Links are followed. Nothing is opened.

    Args:
        row: the record's location, for the error.
    Raises:
        ValueError: it leads elsewhere.
    """
    file = os.fspath(location)
    if isinstance(location, str):
        chained = CHAINED.fullmatch(location)
        file = (chained[3] if chained else location).removeprefix("file://")
    try:
        real = "" if SCHEME.match(file) else os.path.realpath(file) + os.sep
    except ValueError:  # a zero byte, or half a character
        real = ""
    folders = [folder for root in roots for folder in _real_folders(os.path.abspath(root))]
    if not any(real.startswith(folder) for folder in folders):
        goal = real.rstrip(os.sep)
        leads = f" It leads to {goal}." if goal not in ("", os.path.abspath(file)) else ""
        raise ValueError(
            f"{row}: found {str(location)!r}, expected a file in {folders[0] if folders else 'a folder of the data'} "
            "(links are followed). Copy it there, or name the folder that has it (`images`, or `path` of own_folder)."
            f"{leads}"
        )


@functools.lru_cache(maxsize=64)
def _real_folders(root: str) -> tuple[str, ...]:
    """A folder without links, ending in a slash. With a snapshot of the Hub's cache comes the one it links to."""
    real = Path(os.path.realpath(root))
    snapshots = (folder.parent for folder in (real, *real.parents) if folder.parent.name == "snapshots")
    return tuple(os.path.join(folder, "") for folder in (real, *(folder.parent / "blobs" for folder in snapshots)))


def location_name(location: Location) -> str:
    """The last part of a location, such as "photo.jpg"."""
    chained = CHAINED.fullmatch(location) if isinstance(location, str) else None
    return Path(chained[2] if chained else location).name


def is_url(location: Location) -> bool:
    return isinstance(location, str) and location.lower().startswith(URL_PREFIXES)


def read_encoded(image: Image | StoredImage, *, name: str) -> bytes:
    """The encoded file of an image that is not PIL's, without decoding it.

    Raises:
        ValueError: the file is missing, or cannot be read. The message begins with `name`.
    """
    return _location_and_bytes(image, name)[1]


def _location_and_bytes(image: Any, name: str) -> tuple[str, bytes]:
    """The image's name in errors, and the encoded file."""
    if isinstance(image, bytes):
        return f"the image ({len(image)} bytes)", image
    if isinstance(image, Mapping) and image.get("bytes") is not None:
        encoded = image["bytes"]
        return image.get("path") or f"the image ({len(encoded)} bytes)", encoded
    location = image.get("path") if isinstance(image, Mapping) else image
    if not isinstance(location, str | Path):
        raise ValueError(
            f"{name}: found an image of type {type(image).__name__}, "
            "expected a PIL image, bytes, a path or {'bytes', 'path'}."
        )
    try:
        return str(location), open_bytes(location)
    except RefusedImageError as error:
        raise ValueError(
            f"{name}: {error.refused.detail} ({error.refused.reason}). Put the image there, or remove the row."
        ) from error


def _decoded(image: bytes | PILImage.Image, location: str, name: str) -> PILImage.Image:
    try:
        if isinstance(image, bytes):
            return decode(image)
        load_opened(image)
        return image
    except RefusedImageError as error:
        raise ValueError(
            f"{name}: {location} cannot be read as an image ({error}). Fetch the file again, or remove the row."
        ) from error


def _read(location: Location, fetched: FetchedBytes | None, max_bytes: int) -> bytes:
    if isinstance(location, Path):
        return read_file(location, max_bytes=max_bytes)
    if is_url(location):
        if fetched is None:
            raise RefusedImageError("missing", "it is a URL. Fetch it first: mblip fetch --help")
        return fetched(location)
    if chained := CHAINED.fullmatch(location):
        return _read_chained(chained[1], chained[2], chained[3], max_bytes)
    if (scheme := SCHEME.match(location)) and scheme[0] != "file://":
        raise RefusedImageError(
            "unreadable",
            f"{scheme[0]} is not supported. Give a path, an http(s) URL, or zip://, tar:// or parquet:// with the "
            "archive after `::`.",
        )
    return read_file(_local_path(location), max_bytes=max_bytes)


def _read_chained(kind: str, member: str, archive: str, max_bytes: int) -> bytes:
    if NESTED.search(member) or SCHEME.match(archive.removeprefix("file://")):
        raise RefusedImageError("unreadable", "the archive is not a file on disk, or is inside another. Unpack it.")
    path = _local_path(archive)
    open_regular(path).close()
    if kind == "parquet":
        return read_cell(path, member, max_bytes=max_bytes)
    return read_member(path, member, is_zip=kind == "zip", max_bytes=max_bytes)


def _local_path(path: Location) -> Path:
    return Path(path.removeprefix("file://") if isinstance(path, str) else path)
