"""Where a record's images lie, and what an image is called across sources.

A source is told where its images are, as a folder, a URL or an archive, and joins the names of its records to that; it
never opens them. Archives are in fsspec's chained notation, with the folder inside before the `::`:

    /data/coco/val2014             val2014/COCO_val2014_000000000139.jpg
    https://example.org/coco       https://example.org/coco/000000000139.jpg
    zip://::/data/coco.zip         zip://000000000139.jpg::/data/coco.zip
    tar://images::/data/coco.tar   tar://images/000000000139.jpg::/data/coco.tar

An `image_id` is the same in every source that shows the same photo, whichever release its file comes from, so that
all prompts about it share one pass through the image encoder.
"""

import hashlib
from pathlib import Path, PurePosixPath
from urllib.parse import quote

# No `Path`, which would make https:/ of https://.
Images = str


def image_location(images: str | Path, name: str, *, location: str) -> Path | str:
    """The location of the image `name` in the folder, URL or archive `images`.

    Args:
        location: of the record, for the error.

    Raises:
        ValueError: the name is empty or leads out of the folder.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        raise ValueError(f"{location}: found the image name {name!r}, expected the name of a file below {images}.")
    if isinstance(images, Path) or "://" not in images:
        return Path(images) / name
    inner, separator, archive = images.partition("::")
    if not separator and images.startswith(("http://", "https://")):
        name = quote(name)
    joined = f"{inner}{name}" if inner.endswith("://") else f"{inner.rstrip('/')}/{name}"
    return joined + separator + archive


def coco_image_id(number: int) -> str:
    """The `image_id` of a COCO photo: the releases of 2014 and 2017 number them alike."""
    return f"coco/{number:012d}"


def flickr30k_image_id(number: str) -> str:
    """The `image_id` of a Flickr30k photo, called by its number on Flickr."""
    return f"flickr30k/{number}"


def xm3600_image_id(key: str) -> str:
    """The `image_id` of a photo of Crossmodal-3600, which MaXM asks about too."""
    return f"xm3600/{key}"


def url_image_id(url: str) -> str:
    """The `image_id` of an image that has nothing but a URL."""
    return f"url/{hashlib.sha1(url.encode(errors='surrogatepass')).hexdigest()}"


def join_image_ids(*image_ids: str) -> str:
    """The `image_id` of several images shown together, in their order."""
    return "+".join(image_ids)
