"""Captions of COCO, about five per photo, from the official files or from Karpathy's split.

Official (captions_train2014.json, captions_val2017.json and so on): a JSON object with "images", a list of {"id": 139,
"file_name": "000000000139.jpg", ...}, and "annotations", a list of {"image_id": 139, "id": 826151, "caption": "A
living area with ..."}. The releases share the ids of photos and captions.

Karpathy (dataset_coco.json, from "Deep Visual-Semantic Alignments"; COCO captioning results use this split): a JSON
object with "images", a list of {"filepath": "val2014", "filename": "COCO_val2014_000000391895.jpg", "cocoid": 391895,
"split": "test", "sentences": [{"raw": "A man with a ...", "sentid": 770337, ...}], ...}. The splits are train,
restval, val and test. The original mBLIP trained on train alone, 82,783 photos.

Licence of the captions: CC BY 4.0 (COCO's terms of use). Both files are read as streams.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..example import Example
from ..json_stream import iter_json_array
from ..skipped import SkipReport
from . import published
from .coco_files import CocoPhotos, Missing
from .image_names import Images
from .records import check_choice, check_record

SOURCE = "coco_captions"
KARPATHY_SPLITS = ("train", "restval", "val", "test")

IMAGE_FIELDS = {"id": int, "file_name": str}
CAPTION_FIELDS = {"image_id": int, "id": int, "caption": str}
KARPATHY_FIELDS = {"filename": str, "filepath": str, "cocoid": int, "split": str, "sentences": list[dict]}
SENTENCE_FIELDS = {"raw": str, "sentid": int}


@published("captions of photos", "COCO", "CC BY 4.0; photos: their Flickr licences")
def coco_captions(
    seed: int, skipped: SkipReport | None = None, *, path: Path, images: Images, missing: Missing = "error"
) -> Iterator[Example]:
    """The captions of an official file, in its order. Each run of white space becomes one space.

    Args:
        images: the folder, URL or archive of the photos (coco_files.py).
        missing: what to do about a photo that is not in the folder.
    Raises:
        ValueError: the file is not as published, a caption's image id is not among its images, or a photo's file is
            missing. The message names the record.
    """
    photos = CocoPhotos(images, missing=missing, skipped=skipped)
    file_names = _file_names(path)
    for index, record in enumerate(iter_json_array(path, key="annotations")):
        location = f"{path}, annotations[{index}]"
        fields = check_record(record, CAPTION_FIELDS, location=location)
        number = fields["image_id"]
        if number not in file_names:
            raise ValueError(
                f'{location}: found the image id {number}, which is not among the {len(file_names)} "images". '
                "Fetch the file again."
            )
        yield from photos.example(
            number,
            location=location,
            source=SOURCE,
            id=f"{number:012d}/{fields['id']}",
            task="captioning",
            target=" ".join(fields["caption"].split()),
            file_name=file_names[number],
        )


@published("captions of photos", "COCO, Karpathy's split", "CC BY 4.0; photos: Flickr's")
def karpathy_captions(
    seed: int,
    skipped: SkipReport | None = None,
    *,
    path: Path,
    images: Images,
    splits: tuple[Literal["train", "restval", "val", "test"], ...] = ("train",),
    missing: Missing = "error",
) -> Iterator[Example]:
    """The captions of some splits of Karpathy's file, in its order. Each run of white space becomes one space.

    Args:
        images: the folder, URL or archive of the photos (coco_files.py).
        missing: what to do about a photo that is not in the folder.
    Raises:
        ValueError: a split is unknown, the file is not as published, or a photo's file is missing. The message names
            the record.
    """
    check_karpathy_splits(splits)
    photos = CocoPhotos(images, missing=missing, skipped=skipped)
    for location, record in read_karpathy_records(path):
        photo = karpathy_photo(record, location=location)
        if photo.split in splits:
            for sentid, text in photo.sentences:
                yield from photos.example(
                    photo.number,
                    location=location,
                    source=SOURCE,
                    id=f"{photo.number:012d}/karpathy-{sentid}",
                    task="captioning",
                    target=text,
                    file_name=photo.file_name,
                )


@dataclass(frozen=True)
class KarpathyPhoto:
    """A record of Karpathy's file. `sentences` are (id, text), with each run of white space as one space."""

    number: int
    file_name: str
    split: str
    sentences: tuple[tuple[int, str], ...]


def read_karpathy_records(path: str | Path) -> Iterator[tuple[str, Any]]:
    """The locations and records of the photos of Karpathy's file, one by one."""
    for index, record in enumerate(iter_json_array(path, key="images")):
        yield f"{path}, images[{index}]", record


def karpathy_photo(record: Any, *, location: str) -> KarpathyPhoto:
    """Check and convert a record.

    Raises:
        ValueError: the record is not as published. The message names the location and the field.
    """
    fields = check_record(record, KARPATHY_FIELDS, location=location)
    sentences = []
    for position, sentence in enumerate(fields["sentences"]):
        found = check_record(sentence, SENTENCE_FIELDS, location=f"{location}, sentences[{position}]")
        sentences.append((found["sentid"], " ".join(found["raw"].split())))
    return KarpathyPhoto(
        number=fields["cocoid"],
        file_name=f"{fields['filepath']}/{fields['filename']}",
        split=check_choice(
            fields["split"], {split: split for split in KARPATHY_SPLITS}, location=location, field="split"
        ),
        sentences=tuple(sentences),
    )


def check_karpathy_splits(splits: Collection[str]) -> None:
    """Raise ValueError for a split that Karpathy's file does not have."""
    unknown = [split for split in splits if split not in KARPATHY_SPLITS]
    if unknown:
        raise ValueError(f"Found the splits {unknown}, expected some of {', '.join(KARPATHY_SPLITS)}.")


def _file_names(path: str | Path) -> dict[int, str]:
    """The file names of an official file's photos, by their ids."""
    file_names = {}
    for index, record in enumerate(iter_json_array(path, key="images")):
        fields = check_record(record, IMAGE_FIELDS, location=f"{path}, images[{index}]")
        file_names[fields["id"]] = fields["file_name"]
    return file_names
