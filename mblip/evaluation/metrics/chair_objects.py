"""Which objects COCO's photos show, for CHAIR, by the photos' numbers.

- `read_object_lists`: JSON lines of {"image": "COCO_val2014_000000210789.jpg", "objects": ["person", "truck"]}, as
  segmentation/coco_ground_truth_segmentation.json of https://github.com/RUCAIBox/POPE, from which mBLIP scores.
- `read_instances`: COCO's own annotations (instances_val2014.json): every object that was outlined.
- `read_captioned_objects`: COCO's human captions (captions_val2014.json): every object that one of them names. The
  CHAIR paper takes both together, since annotators outline some things and mention others; `add_objects` joins them.
  Against outlines alone scores are higher, because right words are counted as hallucinated ("table", "laptop
  computer").

COCO's files are read as streams; all of them may describe more photos than have captions to score.
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
    """The objects of each photo of a file of lists.

    Raises:
        ValueError: the file is not laid out so, or a photo stands in it twice.
    """
    objects: Objects = {}
    for location, record in read_json_lines(path):
        fields = check_record(record, LIST_FIELDS, location=location)
        number = photo_number(fields["image"], location=location)
        if number in objects:
            raise ValueError(
                f"{location}: the photo {fields['image']} stands there a second time, expected one list each."
            )
        objects[number] = frozenset(fields["objects"])
    return objects


def read_instances(path: str | Path, category_of: Mapping[str, str]) -> Objects:
    """The objects outlined in each photo of COCO's file, also of photos in which there are none.

    Args:
        category_of: of `chair.read_synonyms`; COCO's names of categories are among its words.

    Raises:
        ValueError: the file is not as published, or a category is none of the list.
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
    """The objects that the human captions of each photo of COCO's file name.

    Args:
        category_of: of `chair.read_synonyms`.
        split_sentences: as in `chair.find_objects`.

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
    """For each photo the objects of all sources together."""
    numbers = dict.fromkeys(number for source in sources for number in source)
    return {number: frozenset().union(*(source.get(number, ()) for source in sources)) for number in numbers}


def objects_of(objects: Mapping[int, frozenset[str]], file_names: Sequence[str]) -> list[frozenset[str]]:
    """The objects of the photos of captions, in their order.

    Raises:
        ValueError: a name is none of COCO's, or nothing is known about that photo.
    """
    shown = []
    for position, name in enumerate(file_names):
        number = photo_number(name, location=f"caption {position}")
        if number not in objects:
            raise ValueError(
                f"caption {position}: nothing is known about the objects of {name}, among {len(objects)} photos. "
                "Captions and objects must be of the same split."
            )
        shown.append(objects[number])
    return shown


def _records(path: str | Path, key: str) -> Iterator[tuple[str, object]]:
    for index, record in enumerate(iter_json_array(path, key=key)):
        yield f"{path}, {key}[{index}]", record


def _photos(path: str | Path) -> defaultdict[int, set[str]]:
    """Every photo of a file of COCO, without objects yet."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    for location, record in _records(path, "images"):
        found[check_record(record, IMAGE_FIELDS, location=location)["id"]] = set()
    return found
