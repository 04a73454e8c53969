"""Flickr30k and xFlickrCO: captions of photos, five in English, one or five in seven other languages.

Both are JSON lines of {"sentences": ["A girl ...", ...], "id": "101362133", "img_path": "101362133.jpg"} in IGLUE's
layout (e-bug/iglue, datasets/flickr30k/annotations/train_ann.jsonl, valid_ann.jsonl, test_ann.jsonl and
datasets/xFlickrCO/annotations/<language>/train_1.jsonl ... train_100.jsonl, train_100x5.jsonl, test.jsonl). Half of
xFlickrCO's test photos come from COCO: their `img_path` is COCO_val2014_000000391895.jpg and their `id` a number.

Every sentence becomes an example. Empty sentences are skipped; xFlickrCO has at least one. Licences: photos and
captions under Flickr30k's terms (research only), COCO's captions CC BY 4.0; xFlickrCO's repository is MIT.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..example import Example
from ..languages import LanguageCode, get_language
from ..skipped import SkipReport, has_usable_texts
from . import published
from .coco_files import CocoPhotos, Missing
from .image_names import Images, coco_image_id, flickr30k_image_id, image_location
from .records import check_record, read_json_lines

SOURCE = "flickr30k"
XFLICKRCO_SOURCE = "xflickrco"
XFLICKRCO_LANGUAGES = ("de", "en", "es", "id", "ja", "ru", "tr", "zh")

FIELDS = {"sentences": list[str], "img_path": str}
FLICKR30K_NAME = re.compile(r"(\d+)\.jpg")
COCO_NAME = re.compile(r"COCO_(?:train|val)2014_(\d{12})\.jpg")


@dataclass(frozen=True)
class CaptionedPhoto:
    """A record of either corpus. `name` is the photo's file. `coco_number` is None for a Flickr30k photo."""

    name: str
    image_id: str
    coco_number: int | None
    sentences: tuple[str, ...]

    @property
    def stem(self) -> str:
        """The name without its extension."""
        return self.name.removesuffix(".jpg")


def captioned_photo(record: Any, *, location: str) -> CaptionedPhoto:
    """Check and convert a record.

    Raises:
        ValueError: the record is not as published. The message names the location and the field.
    """
    fields = check_record(record, FIELDS, location=location)
    name, sentences = fields["img_path"], tuple(fields["sentences"])
    if photo := COCO_NAME.fullmatch(name):
        return CaptionedPhoto(name, coco_image_id(int(photo[1])), int(photo[1]), sentences)
    if photo := FLICKR30K_NAME.fullmatch(name):
        return CaptionedPhoto(name, flickr30k_image_id(photo[1]), None, sentences)
    raise ValueError(
        f"{location}: `img_path` is {name!r}, expected a name such as 101362133.jpg or COCO_val2014_000000391895.jpg."
    )


@published("captions of photos", "Flickr30k", "Flickr30k's terms, research only")
def flickr30k(seed: int, skipped: SkipReport | None = None, *, path: Path, images: Images) -> Iterator[Example]:
    """The captions of a file of Flickr30k.

    Args:
        images: the folder, URL or archive of Flickr30k's images (images/locations.py).
    Raises:
        ValueError: the file is not as published. The message names the line and the field.
    """
    skipped = SkipReport() if skipped is None else skipped
    for location, record in read_json_lines(path):
        photo = captioned_photo(record, location=location)
        if photo.coco_number is not None:
            raise ValueError(f"{location}: `img_path` is {photo.name!r}, expected a name such as 101362133.jpg.")
        shown = image_location(images, photo.name, location=location)
        yield from _captions(photo, shown, source=SOURCE, id=photo.stem, language="en", skipped=skipped)


@published("captions in eight languages", "e-bug/iglue, xFlickrCO", "Flickr30k's terms; MIT")
def xflickrco(
    seed: int,
    skipped: SkipReport | None = None,
    *,
    annotations: Path,
    languages: tuple[LanguageCode, ...],
    split: str,
    images: Images,
    coco_images: Images | None = None,
    missing: Missing = "error",
) -> Iterator[Example]:
    """The captions of xFlickrCO in some languages. Files with photos of COCO need `coco_images`.

    Args:
        annotations: the parent folder of the languages' folders.
        split: the files' name without extension: train_100, test.
    """
    for language in languages:
        path = annotations / language / f"{split}.jsonl"
        yield from read_xflickrco(
            path, language=language, images=images, coco_images=coco_images, missing=missing, skipped=skipped
        )


def read_xflickrco(
    path: str | Path,
    *,
    language: str,
    images: str | Path,
    coco_images: str | Path | None = None,
    missing: Missing = "error",
    skipped: SkipReport | None = None,
) -> Iterator[Example]:
    """The captions of a file of xFlickrCO.

    Args:
        language: the captions' language, which the file does not give.
        images: the folder, URL or archive of Flickr30k's images (images/locations.py).
        coco_images: that of COCO's photos (coco_files.py). Only the test files need it.
        missing: what to do about a photo that is not in the folder `coco_images`. "count" skips its record.
    Raises:
        ValueError: the file is not as published. The message names the line and the field.
    """
    skipped = SkipReport() if skipped is None else skipped
    language = get_language(language).code
    photos = None if coco_images is None else CocoPhotos(coco_images, missing=missing, skipped=skipped)
    for location, record in read_json_lines(path):
        photo = captioned_photo(record, location=location)
        id = f"{language}/{photo.stem}"
        if photo.coco_number is None:
            shown: Path | str | None = image_location(images, photo.name, location=location)
        else:
            shown = _coco_location(photo.coco_number, photos, location=location, id=id, name=photo.name)
        if shown is not None:
            yield from _captions(photo, shown, source=XFLICKRCO_SOURCE, id=id, language=language, skipped=skipped)


def _coco_location(number: int, photos: CocoPhotos | None, *, location: str, id: str, name: str) -> Path | str | None:
    """The location of the photo with a COCO number. None, and counted, if it is missing."""
    if photos is None:
        raise ValueError(f"{location}: {name} is a photo of COCO. Give the location of those in `coco_images`.")
    return photos.find(number, location=location, example=f"{XFLICKRCO_SOURCE}/{id}", file_name=name)


def _captions(
    photo: CaptionedPhoto, shown: Path | str, *, source: str, id: str, language: str, skipped: SkipReport
) -> Iterator[Example]:
    """An example for each sentence about a photo, numbered from 0."""
    for number, sentence in enumerate(photo.sentences):
        if has_usable_texts([sentence], name=f"{source}/{id}/{number}", skipped=skipped):
            yield Example(
                images=(shown,),
                prompt="",
                target=sentence.strip(),
                language=language,
                task="captioning",
                source=source,
                id=f"{id}/{number}",
                image_id=photo.image_id,
            )
