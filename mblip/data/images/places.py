"""Where an image lies, and its bytes from there.

A place is written as fsspec chains them, and read without unpacking anything to disk:

    /path/to/photo.jpg                          a file (a `Path`, or text, with or without file://)
    zip://folder/photo.jpg::/path/photos.zip    a member of an archive; `tar://` for a plain .tar, no .tar.gz
    parquet://17::/path/rows.parquet            row 17 of a parquet file, in its only column of images;
    parquet://17/images/0::/path/rows.parquet   in the column `images`, the first image of a list
    https://host/photo.jpg                      a URL, of which `fetched` gives the bytes (`FetchedImages`)

The last `::` parts member and archive. A member's name is a name and nothing else: "../photo.jpg" is looked up in the
archive as it stands. Any number of processes may read the same archive; each keeps the archive's index in memory.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

from .archives import read_member
from .files import open_regular
from .parquet import read_cell
from .refusal import RefusedImageError

Place = str | Path
FetchedBytes = Callable[[str], bytes]

MAX_BYTES = 50_000_000  # of one encoded image, unless told otherwise
URL_PREFIXES = ("http://", "https://")
CHAINED = re.compile(r"(zip|tar|parquet)://(.+)::(.+)", re.DOTALL)
NESTED = re.compile(r"::\w+://")
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def open_bytes(place: Place, *, fetched: FetchedBytes | None = None, max_bytes: int = MAX_BYTES) -> bytes:
    """The encoded image at a place.

    Args:
        fetched: gives the bytes of a URL. Nothing is fetched here.
        max_bytes: an image of more is refused before it is read.

    Raises:
        RefusedImageError: there is nothing to read, or too much; the message names the place. It is never waited for
            a pipe or a device.
    """
    try:
        return _read(place, fetched, max_bytes)
    except RefusedImageError as error:
        if str(place) in error.refused.detail:
            raise
        raise RefusedImageError(error.refused.reason, f"{place}: {error.refused.detail}") from error


def place_name(place: Place) -> str:
    """The last part of a place's name, such as "photo.jpg"."""
    chained = CHAINED.fullmatch(place) if isinstance(place, str) else None
    return Path(chained[2] if chained else place).name


def is_url(place: Place) -> bool:
    return isinstance(place, str) and place.lower().startswith(URL_PREFIXES)


def local_path(path: Place) -> Path:
    return Path(path.removeprefix("file://") if isinstance(path, str) else path)


def _read(place: Place, fetched: FetchedBytes | None, max_bytes: int) -> bytes:
    if isinstance(place, Path):
        return _read_file(place, max_bytes)
    if is_url(place):
        if fetched is None:
            raise RefusedImageError("missing", "it is a URL. Fetch it first: python -m mblip.mix.fetching --help")
        return fetched(place)
    if chained := CHAINED.fullmatch(place):
        return _read_chained(chained[1], chained[2], chained[3], max_bytes)
    if (scheme := SCHEME.match(place)) and scheme[0] != "file://":
        raise RefusedImageError(
            "unreadable",
            f"{scheme[0]} is not read. Expected a path, an http(s) URL, or zip://, tar:// or parquet:// with the "
            "archive behind `::`.",
        )
    return _read_file(local_path(place), max_bytes)


def _read_chained(kind: str, member: str, archive: str, max_bytes: int) -> bytes:
    if NESTED.search(member) or SCHEME.match(archive.removeprefix("file://")):
        raise RefusedImageError("unreadable", "archives are read from the disk, and none inside another. Unpack it.")
    path = local_path(archive)
    open_regular(path).close()
    if kind == "parquet":
        return read_cell(path, member, max_bytes=max_bytes)
    return read_member(path, member, is_zip=kind == "zip", max_bytes=max_bytes)


def _read_file(path: Path, max_bytes: int) -> bytes:
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise RefusedImageError("too large", f"{size:,} bytes, more than the {max_bytes:,} allowed")
        try:
            return file.read()
        except OSError as error:
            raise RefusedImageError("unreadable", f"reading failed: {error.strerror}") from error
