"""The photos of COCO, found by their number whichever release they come from.

The releases of 2014 and 2017 hold the same photos under the same numbers, as COCO_val2014_000000000139.jpg and as
000000000139.jpg, in folders train2014, val2014, train2017, val2017. Sources on COCO name a photo by one of these, or
by its number alone. Photos: Flickr licences, stated for each in COCO's annotation files.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from ..example import Example
from ..skipped import SkipReport, has_usable_texts
from .image_names import coco_image_id, image_location

Missing = Literal["error", "count"]

FILE_NAME = re.compile(r"(?:COCO_(?:train|val|test)201[45]_)?(\d{12})\.jpg")
RELEASE_FOLDER = re.compile(r"(train|val|test)(2014|2015|2017)")


class CocoPhotos:
    """Where COCO's photos are.

    Args:
        images: a folder, which is listed once with all folders in it, so that a photo may lie in any of them and have
            either name. Or a URL or archive (images/locations.py), in which nothing can be looked up: one that ends in
            the folder of a release, such as https://images.cocodataset.org/train2017 or zip://val2014::/data/val2014.zip,
            is taken to hold all photos asked for, by the names of that release; any other is joined with the name that
            the record gives.
        missing: what to do about a number without a file: raise, or count it in `skipped` and go on.

    Raises:
        ValueError: the folder is not there or holds no photos of COCO.
    """

    def __init__(self, images: str | Path, *, missing: Missing, skipped: SkipReport | None) -> None:
        if missing not in ("error", "count"):
            raise ValueError(f"Found missing={missing!r}, expected 'error' or 'count'.")
        self.missing = missing
        self.skipped = SkipReport() if skipped is None else skipped
        self._locations = CocoLocations(images)
        self._locations.check_not_empty()

    def example(
        self,
        number: int,
        *,
        location: str,
        source: str,
        id: str,
        task: str,
        target: str,
        inputs: Mapping[str, str] = MappingProxyType({}),
        file_name: str | None = None,
    ) -> Iterator[Example]:
        """The English example about a photo; none where the photo is missing or a text cannot be used, and that is
        counted.

        Args:
            number: of the photo.
            location: of the record, for the error.
            file_name: what the record calls the photo, with a folder where it names one.

        Raises:
            ValueError: the photo cannot be found; see `find`.
        """
        name = f"{source}/{id}"
        photo = self.find(number, location=location, example=name, file_name=file_name)
        if photo is not None and has_usable_texts([*inputs.values(), target], name=name, skipped=self.skipped):
            yield Example(
                images=(photo,),
                prompt="",
                target=target,
                language="en",
                task=task,
                source=source,
                id=id,
                image_id=coco_image_id(number),
                inputs=inputs,
            )

    def find(self, number: int, *, location: str, example: str, file_name: str | None = None) -> Path | str | None:
        """The photo of a number, or None where it is missing and that is counted.

        Args:
            location: of the record, for the error.
            example: what `skipped` calls the example.
            file_name: what the record calls the photo, with a folder where it names one.

        Raises:
            ValueError: the photo is missing and `missing` is "error", or the record does not say what it is called
                where nothing can be looked up.
        """
        if self._locations.holds(number):
            return self._locations.find(number, location=location, file_name=file_name)
        if self.missing == "error":
            raise ValueError(
                f"{location}: there is no photo of the image id {number} in {self._locations.images}, such as "
                f"{number:012d}.jpg or COCO_train2014_{number:012d}.jpg. Put it there, or leave such records out with "
                'missing="count".'
            )
        self.skipped.add("no photo of the image id", example)
        return None


class CocoLocations:
    """Where the photos of COCO lie, or would lie; whether they are there is left to the caller.

    Args:
        images: as in `CocoPhotos`; a folder may be empty, or not be there.
    """

    def __init__(self, images: str | Path) -> None:
        self.images = images
        self._paths = None if _is_remote(images) else _list_photos(Path(images))

    def holds(self, number: int) -> bool:
        """Whether the folder has the photo of a number; a URL or archive is taken to have them all."""
        return self._paths is None or number in self._paths

    def check_not_empty(self) -> None:
        """Raises ValueError for a folder that is not there or holds no photos of COCO."""
        if self._paths is not None and not self._paths:
            raise ValueError(
                f"{self.images} is no folder with photos of COCO, expected files such as 000000000139.jpg or "
                "COCO_val2014_000000000139.jpg in it or in folders in it."
            )

    def find(self, number: int, *, location: str, file_name: str | None = None) -> Path | str:
        """The photo of a number; one that a folder lacks would lie in it, under the name that the record gives.

        Raises:
            ValueError: the record does not say what the photo is called where nothing can be looked up.
        """
        if self._paths is None:
            return self._remote_photo(number, location, file_name)
        name = f"{number:012d}.jpg" if file_name is None else file_name
        return self._paths.get(number) or image_location(self.images, name, location=location)

    def _remote_photo(self, number: int, location: str, file_name: str | None) -> Path | str:
        folder = str(self.images).partition("::")[0].rstrip("/").rpartition("/")[2]
        release = RELEASE_FOLDER.fullmatch(folder)
        if release is not None:
            is_numbered_only = release[2] == "2017"
            file_name = f"{number:012d}.jpg" if is_numbered_only else f"COCO_{folder}_{number:012d}.jpg"
        if file_name is None:
            raise ValueError(
                f"{location} names a photo by the image id {number} alone, and {self.images} does not end in the "
                "folder of a release, such as train2017 or val2014. Name that folder, or give a folder on disk."
            )
        return image_location(self.images, file_name, location=location)


def photo_number(file_name: str, *, location: str) -> int:
    """The number of a photo in the name of its file, which may stand in folders.

    Raises:
        ValueError: it is no name of COCO's.
    """
    match = FILE_NAME.fullmatch(file_name.rpartition("/")[2])
    if match is None:
        raise ValueError(
            f"{location}: found the image {file_name!r}, expected a photo of COCO such as 000000000139.jpg or "
            "COCO_val2014_000000000139.jpg."
        )
    return int(match[1])


def _is_remote(images: str | Path) -> bool:
    return not isinstance(images, Path) and "://" in images


def _list_photos(folder: Path) -> dict[int, Path]:
    """The photos in a folder and the folders in it by their numbers; of several, the first in the order of names."""
    paths: dict[int, Path] = {}
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            match = FILE_NAME.fullmatch(name)
            if match is not None:
                paths.setdefault(int(match[1]), Path(parent, name))
    return paths
