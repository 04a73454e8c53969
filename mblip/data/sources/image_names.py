"""Locations of a record's images, and the names of images across sources.

A source gets the location of its images: a folder, a URL or an archive. It joins the names in its records to that and
never opens an image. Archives are in fsspec's chained notation, with the folder inside before the `::`:

    /data/coco/val2014             val2014/COCO_val2014_000000000139.jpg
    https://example.org/coco       https://example.org/coco/000000000139.jpg
    zip://::/data/coco.zip         zip://000000000139.jpg::/data/coco.zip
    tar://images::/data/coco.tar   tar://images/000000000139.jpg::/data/coco.tar

All sources give a photo the same `image_id`, whichever release its file comes from. All prompts about it then share
one pass through the image encoder.
"""

import hashlib
from pathlib import Path, PurePosixPath
from typing import Annotated
from urllib.parse import quote

from ..images.locations import check_inside, is_url


def folder_of(images: str | Path) -> Path | None:
    """The folder of `images` on this machine, or None for a URL or archive."""
    if isinstance(images, Path):
        return images
    folder = images.removeprefix("file://")
    return None if "://" in folder else Path(folder)


def on_disk(images: str) -> Path | None:
    """The folder or archive of `images` on this machine, or None for a URL."""
    return None if is_url(images) else Path(images.rpartition("::")[2].removeprefix("file://"))


# Not `Path`, which would turn https:// into https:/. `Source.check_paths` looks where `on_disk` says.
Images = Annotated[str, on_disk]


def image_location(images: str | Path, name: str, *, location: str) -> Path | str:
    """The location of the image `name` in the folder, URL or archive `images`.

    Args:
        location: the record's location, for the error.
    Raises:
        ValueError: the name is empty or leads out of the folder, by a link or otherwise.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        raise ValueError(f"{location}: found the image name {name!r}, expected the name of a file below {images}.")
    if (folder := folder_of(images)) is not None:
        path = folder / name
        check_inside(path, [folder], row=location)
        return path
    inner, separator, archive = str(images).partition("::")
    if not separator and inner.startswith(("http://", "https://")):
        name = quote(name)
    joined = f"{inner}{name}" if inner.endswith("://") else f"{inner.rstrip('/')}/{name}"
    return joined + separator + archive


def coco_image_id(number: int) -> str:
    """The `image_id` of a COCO photo. The 2014 and 2017 releases use the same numbers."""
    return f"coco/{number:012d}"


def flickr30k_image_id(number: str) -> str:
    """The `image_id` of a Flickr30k photo, from its number on Flickr."""
    return f"flickr30k/{number}"


def xm3600_image_id(key: str) -> str:
    """The `image_id` of a photo of Crossmodal-3600. MaXM uses these photos too."""
    return f"xm3600/{key}"


def url_image_id(url: str) -> str:
    """The `image_id` of an image known only by its URL."""
    return f"url/{hashlib.sha1(url.encode(errors='surrogatepass')).hexdigest()}"


def join_image_ids(*image_ids: str) -> str:
    """The `image_id` of several images shown together, in their order."""
    return "+".join(image_ids)
