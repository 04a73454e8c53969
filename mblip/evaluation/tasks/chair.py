"""CHAIR: captions of photos of COCO, and what they name that is not there.

What a photo shows is read from POPE's segmentation/coco_ground_truth_segmentation.json, JSON lines of {"image":
"COCO_val2014_000000210789.jpg", "objects": ["person", "truck"]} (`objects`), or from COCO's own instances_val2014.json
(`instances`); with COCO's captions_val2014.json (`captions`) also what people named, as in the CHAIR paper
(metrics/chair_objects.py). Words are found by data/synonyms.txt of LisaAnne/Hallucination (`synonyms`).

Rohrbach et al., 2018. Licences: synonyms BSD 2-Clause, POPE MIT, COCO's annotations CC BY 4.0; photos: Flickr
licences.

Each photo is asked for a caption and for a description, two conditions, in the paper's prompts under both protocols,
for Centurio's own are not among the facts at hand. The original takes the first 1,000 photos of Karpathy's validation
split (`karpathy`, `num_images`), with POPE's lists of objects alone.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mblip.data.images import Image
from mblip.data.languages import ENGLISH
from mblip.data.left_out import LeftOut
from mblip.data.sources.coco_captions import karpathy_photo, read_karpathy_records
from mblip.data.sources.coco_files import CocoPlaces, photo_number
from mblip.data.sources.image_names import Images, coco_image_id
from mblip.data.sources.records import check_choice, check_record

from ..answer_scoring import ChairMetric, split_sentences
from ..benchmark import benchmark_task
from ..metrics.chair import read_synonyms
from ..metrics.chair_objects import LIST_FIELDS, add_objects, read_captioned_objects, read_instances
from ..protocol import Setup
from ..questions import Question, ask
from ..records import DatasetPlace, image_of, records_of
from ..task import EvaluationExample, EvaluationTask, Origin

NAME = "chair"
ORIGIN = Origin(
    "https://github.com/LisaAnne/Hallucination",
    "synonyms BSD 2-Clause, POPE's objects MIT, COCO's annotations CC BY 4.0, photos: Flickr licences",
)
CAPTION, DESCRIPTION = "caption", "description"
# Condition -> the task of mblip/data/prompts whose wordings ask for the same, and the paper's prompt.
PROMPTS = {
    CAPTION: ("captioning", "Caption in {language}:"),
    DESCRIPTION: ("detailed_captioning", "Describe the image in {language} with as much detail as possible."),
}
KARPATHY_SPLIT = "val"


@dataclass(frozen=True)
class ChairRecipe:
    """What a recipe says of it.

    One of three says what the photos show: `objects`, a file in POPE's layout; `dataset` with its fields, the picture
    in a column `images`; or `instances`, COCO's file. `captions` adds what people named. `images` is the folder, URL
    or archive of COCO's photos. `karpathy` takes the photos of Karpathy's validation split alone, `num_images` the
    first ones.
    """

    synonyms: Path
    objects: Path | None = None
    dataset: DatasetPlace | None = None
    instances: Path | None = None
    captions: Path | None = None
    images: Images | None = None
    karpathy: Path | None = None
    num_images: int | None = None

    def __post_init__(self) -> None:
        if sum(source is not None for source in (self.objects, self.dataset, self.instances)) != 1:
            raise ValueError("expected just one of `objects`, `dataset` and `instances`, which say what photos show.")
        if self.num_images is not None and self.num_images < 1:
            raise ValueError(f"`num_images` is {self.num_images}, expected at least 1.")

    def build(self, setup: Setup) -> EvaluationTask:
        """The task, with the objects of its photos read."""
        left_out = LeftOut()
        category_of = read_synonyms(self.synonyms)
        return benchmark_task(
            NAME,
            chair_examples(self.photos(category_of, left_out), setup),
            metric=ChairMetric(category_of),
            setup=setup,
            kind="description",
            origin=ORIGIN,
            left_out=left_out,
        )

    def photos(self, category_of: Mapping[str, str], left_out: LeftOut) -> list["Photo"]:
        """The photos asked about, with all that they show."""
        photos = self._listed(category_of) if self.instances is None else self._outlined(self.instances, category_of)
        if self.captions is not None:
            named = read_captioned_objects(self.captions, category_of, split_sentences=split_sentences)
            photos = _with_named(photos, named)
        if self.karpathy is not None:
            photos = _in_split(photos, self.karpathy, left_out)
        taken = photos[: self.num_images]
        for photo in photos[len(taken) :]:
            left_out.add(f"not among the first {self.num_images:,}", f"{NAME}/{photo.number:012d}")
        return taken

    def _listed(self, category_of: Mapping[str, str]) -> list["Photo"]:
        """The photos of lists of objects, in their order."""
        places = None if self.images is None else CocoPlaces(self.images)
        categories = dict.fromkeys(category_of.values(), None)
        return [
            listed_photo(record, place=place, categories=categories, places=places)
            for place, record in records_of(self.objects, self.dataset)
        ]

    def _outlined(self, instances: Path, category_of: Mapping[str, str]) -> list["Photo"]:
        """The photos of COCO's annotations, in the order of the file."""
        places = None if self.images is None else CocoPlaces(self.images)
        photos = []
        for number, shown in read_instances(instances, category_of).items():
            file = None if places is None else places.find(number, place=str(instances))
            image = image_of({}, file, place=str(instances), name=f"{number:012d}.jpg")
            photos.append(Photo(number, image, frozenset(shown)))
        return photos


@dataclass(frozen=True)
class Photo:
    """A photo of COCO and the objects it shows."""

    number: int
    image: Image
    shown: frozenset[str]


def listed_photo(record: Any, *, place: str, categories: Mapping[str, None], places: CocoPlaces | None) -> Photo:
    """The photo of a record of POPE's lists.

    Args:
        categories: those of the synonyms, which are all that a photo can show.
        places: of COCO's photos; None where the record holds its photo.

    Raises:
        ValueError: the record is not as published, or its photo is nowhere; the message names the place.
    """
    fields = check_record(record, LIST_FIELDS, place=place)
    for shown in fields["objects"]:
        check_choice(shown, categories, place=place, field="objects")
    name = fields["image"]
    number = photo_number(name, place=place)
    file = None if places is None else places.find(number, place=place, file_name=name)
    return Photo(number, image_of(record, file, place=place, name=name), frozenset(fields["objects"]))


def chair_examples(photos: Iterable[Photo], setup: Setup) -> Iterator[EvaluationExample]:
    """Each photo, asked for a caption and for a description; references are the objects it shows."""
    questions = [
        Question(
            images=(photo.image,),
            image_id=coco_image_id(photo.number),
            inputs={},
            references=tuple(sorted(photo.shown)),
            language=ENGLISH,
            id=f"{photo.number:012d}",
        )
        for photo in photos
    ]
    for condition, (task, prompt) in PROMPTS.items():
        asked = (replace(question, condition=condition) for question in questions)
        yield from ask(asked, setup.prompts(task, paper=prompt))


def _with_named(photos: Iterable[Photo], named: Mapping[int, frozenset[str]]) -> list[Photo]:
    """The photos with what people named in them."""
    shown = {photo.number: photo.shown for photo in photos}
    both = add_objects(shown, named)
    return [replace(photo, shown=both[photo.number]) for photo in photos]


def _in_split(photos: Iterable[Photo], karpathy: Path, left_out: LeftOut) -> list[Photo]:
    """The photos of Karpathy's validation split, in its order."""
    by_number = {photo.number: photo for photo in photos}
    found = []
    for place, record in read_karpathy_records(karpathy):
        listed = karpathy_photo(record, place=place)
        if listed.split == KARPATHY_SPLIT and listed.number in by_number:
            found.append(by_number.pop(listed.number))
        elif listed.split == KARPATHY_SPLIT:
            left_out.add("photo of the split whose objects are not known", f"{NAME}/{listed.number:012d}")
    for number in by_number:
        left_out.add("photo outside Karpathy's validation split", f"{NAME}/{number:012d}")
    return found
