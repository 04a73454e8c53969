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

from collections.abc import Mapping
from pathlib import Path

from mblip.data.images import Image
from mblip.data.languages import ENGLISH
from mblip.data.skipped import SkipReport
from mblip.data.sources.coco_captions import karpathy_photo, read_karpathy_records
from mblip.data.sources.coco_files import CocoLocations, photo_number
from mblip.data.sources.image_names import Images, coco_image_id
from mblip.data.sources.records import check_choice, check_record

from ..answer_scoring import ChairMetric, split_sentences
from ..benchmark import ask, benchmark_task
from ..metrics.chair import read_synonyms
from ..metrics.chair_objects import LIST_FIELDS, add_objects, read_captioned_objects, read_instances
from ..protocol import Setup
from ..records import DatasetLocation, image_of, records_of
from ..task import EvaluationTask, Origin

NAME = "chair"
ORIGIN = Origin(
    "https://github.com/LisaAnne/Hallucination",
    "synonyms BSD 2-Clause, POPE's objects MIT, COCO's annotations CC BY 4.0, photos: Flickr licences",
)
CAPTION, DESCRIPTION = "caption", "description"
# Condition -> the task of mblip/data/prompts whose templates ask for the same, and the paper's prompt.
PROMPTS = {
    CAPTION: ("captioning", "Caption in {language}:"),
    DESCRIPTION: ("detailed_captioning", "Describe the image in {language} with as much detail as possible."),
}
KARPATHY_SPLIT = "val"

Shown = tuple[dict[int, Image], dict[int, frozenset[str]]]  # by the photo's number: the photo, and what it shows


def chair(
    setup: Setup,
    *,
    synonyms: Path,
    objects: Path | None = None,
    dataset: DatasetLocation | None = None,
    instances: Path | None = None,
    captions: Path | None = None,
    images: Images | None = None,
    karpathy: Path | None = None,
    num_images: int | None = None,
) -> EvaluationTask:
    """Each photo, asked for a caption and for a description; references are the objects it shows.

    Args:
        objects, dataset, instances: one of three says what the photos show: a file in POPE's layout; a dataset with
            its fields, the image in a column `images`; or COCO's file.
        captions: adds what people named.
        images: the folder, URL or archive of COCO's photos.
        karpathy: takes the photos of Karpathy's validation split alone.
        num_images: takes the first ones.
    """
    if sum(source is not None for source in (objects, dataset, instances)) != 1:
        raise ValueError("expected just one of `objects`, `dataset` and `instances`, which say what photos show.")
    if num_images is not None and num_images < 1:
        raise ValueError(f"`num_images` is {num_images}, expected at least 1.")
    skipped, category_of = SkipReport(), read_synonyms(synonyms)
    locations = None if images is None else CocoLocations(images)
    pictures, shown = (
        read_listed(objects, dataset, category_of, locations)
        if instances is None
        else read_outlined(instances, category_of, locations)
    )
    if captions is not None:
        shown = add_objects(shown, read_captioned_objects(captions, category_of, split_sentences=split_sentences))
    numbers = list(pictures) if karpathy is None else _in_split(pictures, karpathy, skipped)
    for number in numbers[num_images:] if num_images else ():
        skipped.add(f"not among the first {num_images:,}", f"{NAME}/{number:012d}")
    examples = (
        example
        for condition, (task, prompt) in PROMPTS.items()
        for number in numbers[:num_images]
        for example in ask(
            setup.prompts(task, paper=prompt),
            images=(pictures[number],),
            image_id=coco_image_id(number),
            references=tuple(sorted(shown[number])),
            language=ENGLISH,
            id=f"{number:012d}",
            condition=condition,
        )
    )
    return benchmark_task(
        NAME,
        examples,
        metric=ChairMetric(category_of),
        setup=setup,
        kind="description",
        origin=ORIGIN,
        skipped=skipped,
    )


def read_listed(
    objects: Path | None,
    dataset: DatasetLocation | None,
    category_of: Mapping[str, str],
    locations: CocoLocations | None,
) -> Shown:
    """The photos of lists of objects, in their order.

    Args:
        category_of: the list of synonyms, whose categories are all that a photo can show.
        locations: of COCO's photos; None where the records hold them.

    Raises:
        ValueError: a record is not as published, or its photo is nowhere; the message names the location.
    """
    images: dict[int, Image] = {}
    shown: dict[int, frozenset[str]] = {}
    categories = dict.fromkeys(category_of.values(), None)
    for location, record in records_of(objects, dataset):
        fields = check_record(record, LIST_FIELDS, location=location)
        for found in fields["objects"]:
            check_choice(found, categories, location=location, field="objects")
        name = fields["image"]
        number = photo_number(name, location=location)
        if number in images:
            raise ValueError(f"{location}: the photo {name} stands there a second time. List it once.")
        file = None if locations is None else locations.find(number, location=location, file_name=name)
        images[number] = image_of(record, file, location=location, name=name)
        shown[number] = frozenset(fields["objects"])
    return images, shown


def read_outlined(instances: Path, category_of: Mapping[str, str], locations: CocoLocations | None) -> Shown:
    """The photos of COCO's annotations, in the order of the file; arguments as of `read_listed`."""
    shown = {number: frozenset(found) for number, found in read_instances(instances, category_of).items()}
    images: dict[int, Image] = {}
    for number in shown:
        file = None if locations is None else locations.find(number, location=str(instances))
        images[number] = image_of({}, file, location=str(instances), name=f"{number:012d}.jpg")
    return images, shown


def _in_split(images: Mapping[int, Image], karpathy: Path, skipped: SkipReport) -> list[int]:
    """The photos of Karpathy's validation split, in its order."""
    numbers = dict.fromkeys(images)
    found = []
    for location, record in read_karpathy_records(karpathy):
        listed = karpathy_photo(record, location=location)
        if listed.split == KARPATHY_SPLIT and listed.number in numbers:
            del numbers[listed.number]
            found.append(listed.number)
        elif listed.split == KARPATHY_SPLIT:
            skipped.add("photo of the split whose objects are not known", f"{NAME}/{listed.number:012d}")
    for number in numbers:
        skipped.add("photo outside Karpathy's validation split", f"{NAME}/{number:012d}")
    return found
