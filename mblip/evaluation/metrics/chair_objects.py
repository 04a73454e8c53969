"""Reads the objects of COCO's photos for CHAIR, by the photos' numbers.

- `read_object_lists`: JSON lines of {"image": "COCO_val2014_000000210789.jpg", "objects": ["person", "truck"]}, as in
  segmentation/coco_ground_truth_segmentation.json of https://github.com/RUCAIBox/POPE. mBLIP's evaluation uses them.
- `read_instances`: COCO's own annotations (instances_val2014.json), with every outlined object.
- `read_captioned_objects`: COCO's human captions (captions_val2014.json), with every object that a caption names.

The CHAIR paper uses outlines and captions together, because annotators outline some objects and mention others.
`add_objects` joins them. With outlines alone the scores are higher: correct words count as hallucinated ("table",
"laptop computer").

COCO's files are read as streams. All files may describe more photos than you have captions for.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from mblip.data.json_stream import iter_json_array
from mblip.data.sources.coco_files import photo_number
from mblip.data.sources.records import check_choice, check_record, read_json_lines

from .chair import Sentences, find_objects

LIST_FIELDS = {"image": str, "objects": list[str]}
CATEGORY_FIELDS = {"id": int, "name": str}
IMAGE_FIELDS = {"id": int}
INSTANCE_FIELDS = {"image_id": int, "category_id": int}
CAPTION_FIELDS = {"image_id": int, "caption": str}

Objects = dict[int, frozenset[str]]


def read_object_lists(path: str | Path) -> Objects:
    """Read the objects of each photo from a file of lists.

    Raises:
        ValueError: the file has another layout, or a photo is repeated.
    """
    objects: Objects = {}
    for location, record in read_json_lines(path):
        fields = check_record(record, LIST_FIELDS, location=location)
        number = photo_number(fields["image"], location=location)
        if number in objects:
            raise ValueError(
                f"{location}: found the photo {fields['image']} a second time, expected one list per photo."
            )
        objects[number] = frozenset(fields["objects"])
    return objects


def read_instances(path: str | Path, category_of: Mapping[str, str]) -> Objects:
    """Read the outlined objects of each photo from COCO's file, including photos without objects.

    Args:
        category_of: from `chair.read_synonyms`. Its words include COCO's category names.

    Raises:
        ValueError: the file is not as published, or a category is not in `category_of`.
    """
    names: dict[int, str] = {}
    for location, record in _records(path, "categories"):
        fields = check_record(record, CATEGORY_FIELDS, location=location)
        names[fields["id"]] = check_choice(fields["name"], category_of, location=location, field="name")
    found = _photos(path)
    for location, record in _records(path, "annotations"):
        fields = check_record(record, INSTANCE_FIELDS, location=location)
        name = check_choice(fields["category_id"], names, location=location, field="category_id")
        found[fields["image_id"]].add(name)
    return {number: frozenset(shown) for number, shown in found.items()}


def read_captioned_objects(
    path: str | Path, category_of: Mapping[str, str], *, split_sentences: Sentences | None = None
) -> Objects:
    """Read the objects that human captions name for each photo, from COCO's file.

    Args:
        category_of: from `chair.read_synonyms`.
        split_sentences: see `chair.find_objects`.

    Raises:
        ValueError: the file is not as published.
        ImportError: NLTK is not installed.
    """
    found = _photos(path)
    for location, record in _records(path, "annotations"):
        fields = check_record(record, CAPTION_FIELDS, location=location)
        named = find_objects(fields["caption"], category_of, split_sentences=split_sentences)
        found[fields["image_id"]].update(entry.category for entry in named)
    return {number: frozenset(shown) for number, shown in found.items()}


def add_objects(*sources: Mapping[int, Collection[str]]) -> Objects:
    """Join the objects of all sources for each photo."""
    numbers = dict.fromkeys(number for source in sources for number in source)
    return {number: frozenset().union(*(source.get(number, ()) for source in sources)) for number in numbers}


def objects_of(objects: Mapping[int, frozenset[str]], file_names: Sequence[str]) -> list[frozenset[str]]:
    """The objects of each caption's photo, in the order of the captions.

    Raises:
        ValueError: a file name is not COCO's, or the objects of a photo are unknown.
    """
    shown = []
    for position, name in enumerate(file_names):
        number = photo_number(name, location=f"caption {position}")
        if number not in objects:
            raise ValueError(
                f"caption {position}: found no objects of {name} among those of {len(objects)} photos. "
                "Use captions and objects of the same split."
            )
        shown.append(objects[number])
    return shown


def _records(path: str | Path, key: str) -> Iterator[tuple[str, object]]:
    for index, record in enumerate(iter_json_array(path, key=key)):
        yield f"{path}, {key}[{index}]", record


def _photos(path: str | Path) -> defaultdict[int, set[str]]:
    """Every photo of a COCO file, with an empty set of objects."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    for location, record in _records(path, "images"):
        found[check_record(record, IMAGE_FIELDS, location=location)["id"]] = set()
    return found
