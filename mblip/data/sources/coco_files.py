"""The photos of COCO, found by number, whichever release they come from.

The 2014 and 2017 releases hold the same photos under the same numbers: as COCO_val2014_000000000139.jpg and as
000000000139.jpg, in folders train2014, val2014, train2017 and val2017. Sources on COCO name a photo by one of these
names, or by its number alone. Photos: Flickr licences, stated for each in COCO's annotation files.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from ..example import Example
from ..images.locations import check_inside
from ..skipped import SkipReport, has_usable_texts
from .image_names import coco_image_id, image_location

Missing = Literal["error", "count"]

FILE_NAME = re.compile(r"(?:COCO_(?:train|val|test)201[45]_)?(\d{12})\.jpg")
RELEASE_FOLDER = re.compile(r"(train|val|test)(2014|2015|2017)")


class CocoPhotos:
    """Where COCO's photos are.

    Args:
        images: a folder, or a URL or archive (images/locations.py). A folder is listed once with its subfolders, so a
            photo may be in any of them under either name. Nothing can be looked up in a URL or archive. If it ends in
            the folder of a release, such as https://images.cocodataset.org/train2017 or
            zip://val2014::/data/val2014.zip, we assume that it holds all photos, under the names of that release.
            Otherwise it is joined with the name in the record.
        missing: what to do about a number without a file: raise, or count it in `skipped` and go on.
    Raises:
        ValueError: the folder is missing or holds no photos of COCO.
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
        """The English example about a photo. None, and counted, if the photo is missing or a text is unusable.

        Args:
            number: the photo's number.
            location: the record's location, for the error.
            file_name: the photo's name in the record, with a folder if the record gives one.
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
        """The photo of a number. None, and counted, if it is missing and `missing` is "count".

        Args:
            location: the record's location, for the error.
            example: the example's name in `skipped`.
            file_name: the photo's name in the record, with a folder if the record gives one.
        Raises:
            ValueError: the photo is missing and `missing` is "error"; or nothing can be looked up, and the record does
                not name the photo.
        """
        if self._locations.holds(number):
            return self._locations.find(number, location=location, file_name=file_name)
        if self.missing == "error":
            raise ValueError(
                f"{location}: there is no photo of the image id {number} in {self._locations.images}, such as "
                f"{number:012d}.jpg or COCO_train2014_{number:012d}.jpg. Put it there, or skip such records with "
                'missing="count".'
            )
        self.skipped.add("no photo of the image id", example)
        return None


class CocoLocations:
    """Where photos of COCO are, or would be. The caller checks whether they exist.

    Args:
        images: as in `CocoPhotos`. A folder may be empty or missing.
    """

    def __init__(self, images: str | Path) -> None:
        self.images = images
        self._paths = None if _is_remote(images) else _list_photos(Path(images))

    def holds(self, number: int) -> bool:
        """Whether the folder has the photo of a number. A URL or archive is assumed to have all photos."""
        return self._paths is None or number in self._paths

    def check_not_empty(self) -> None:
        """Raise ValueError for a folder that is missing or holds no photos of COCO."""
        if self._paths is not None and not self._paths:
            raise ValueError(
                f"{self.images} is not a folder with photos of COCO, expected files such as 000000000139.jpg or "
                "COCO_val2014_000000000139.jpg in it or in folders in it."
            )

    def find(self, number: int, *, location: str, file_name: str | None = None) -> Path | str:
        """The photo of a number. If a folder lacks it, its path there under the record's name for it.

        Raises:
            ValueError: nothing can be looked up, and the record does not name the photo.
        """
        if self._paths is None:
            return self._remote_photo(number, location, file_name)
        if found := self._paths.get(number):
            check_inside(found, [self.images], row=location)
            return found
        return image_location(self.images, file_name or f"{number:012d}.jpg", location=location)

    def _remote_photo(self, number: int, location: str, file_name: str | None) -> Path | str:
        folder = str(self.images).partition("::")[0].rstrip("/").rpartition("/")[2]
        release = RELEASE_FOLDER.fullmatch(folder)
        if release is not None:
            is_numbered_only = release[2] == "2017"
            file_name = f"{number:012d}.jpg" if is_numbered_only else f"COCO_{folder}_{number:012d}.jpg"
        if file_name is None:
            raise ValueError(
                f"{location} names a photo by the image id {number} alone, and {self.images} does not end in the "
                "folder of a release, such as train2017 or val2014. Give that folder, or a folder on disk."
            )
        return image_location(self.images, file_name, location=location)


def photo_number(file_name: str, *, location: str) -> int:
    """The number of a photo from its file name, which may include folders and lack `.jpg`.

    Raises:
        ValueError: it is not a COCO file name.
    """
    name = file_name.rpartition("/")[2]
    match = FILE_NAME.fullmatch(name if "." in name else f"{name}.jpg")
    if match is None:
        raise ValueError(
            f"{location}: found the image {file_name!r}, expected a photo of COCO such as 000000000139.jpg or "
            "COCO_val2014_000000000139.jpg."
        )
    return int(match[1])


def _is_remote(images: str | Path) -> bool:
    return not isinstance(images, Path) and "://" in images


def _list_photos(folder: Path) -> dict[int, Path]:
    """The photos in a folder and its subfolders by number. Of several, the first by name counts."""
    paths: dict[int, Path] = {}
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            match = FILE_NAME.fullmatch(name)
            if match is not None:
                paths.setdefault(int(match[1]), Path(parent, name))
    return paths
