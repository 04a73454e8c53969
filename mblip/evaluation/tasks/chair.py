"""CHAIR: objects that captions of COCO photos name although the photos do not show them.

The objects of a photo come from one of two files: POPE's segmentation/coco_ground_truth_segmentation.json (`objects`),
JSON lines of {"image": "COCO_val2014_000000210789.jpg", "objects": ["person", "truck"]}, or COCO's own
instances_val2014.json (`instances`). COCO's captions_val2014.json (`captions`) adds the objects that people named, as
in the CHAIR paper (metrics/chair_objects.py). data/synonyms.txt of LisaAnne/Hallucination (`synonyms`) maps words to
objects.

Rohrbach et al., 2018. Licences: synonyms BSD 2-Clause, POPE MIT, COCO's annotations CC BY 4.0; photos: Flickr
licences.

We ask for a caption and for a description of each photo: two conditions. mBLIP's evaluation takes the first 1,000
photos of Karpathy's val and restval (`karpathy`, `num_images`) and POPE's lists of objects only.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from mblip.data.images import Image
from mblip.data.languages import ENGLISH
from mblip.data.recipes.ranges import Count
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
from ..read_files import ReadFiles
from ..records import DatasetLocation, LocatedRecord, image_of, records_of
from ..task import EvaluationTask, Origin

NAME = "chair"
ORIGIN = Origin(
    "https://github.com/LisaAnne/Hallucination",
    "synonyms BSD 2-Clause, POPE's objects MIT, COCO's annotations CC BY 4.0, photos: Flickr licences",
    size="photos 6 GB",
    layout="data/synonyms.txt, coco_ground_truth_segmentation.json of https://github.com/RUCAIBox/POPE, and "
    "<name>.jpg of val2014.zip from https://cocodataset.org/#download",
)
CONDITIONS = {"captioning": "caption", "detailed_captioning": "description"}  # by the task of mblip/data/prompts
KARPATHY_SPLITS = ("val", "restval")  # gregor-ge/mBLIP, data/mscoco/generate_train.py:67-87, reads both as val

Shown = tuple[dict[int, Image], dict[int, frozenset[str]]]  # photo number -> photo, and photo number -> its objects


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
    num_images: Count | None = None,
) -> EvaluationTask:
    """A caption and a description of each photo. References are the objects that it shows.

    Args:
        objects, dataset, instances: the objects of the photos. Give one of them: a file in POPE's layout; a dataset
            with the same fields, and the image in a column `images`; or COCO's file.
        captions: adds the objects that people named.
        images: the folder, URL or archive of COCO's photos.
        karpathy: take only photos of Karpathy's val and restval.
        num_images: take only the first ones. None: as many as the protocol.
    """
    if sum(source is not None for source in (objects, dataset, instances)) != 1:
        found = sum(source is not None for source in (objects, dataset, instances))
        raise ValueError(f"found {found} of `objects`, `dataset` and `instances`, expected exactly one of them.")
    rules = setup.rules(NAME, num_images=num_images, instances=instances, captions=captions)
    num_images = rules.arguments["num_images"]
    skipped, files, category_of = SkipReport(), ReadFiles(), read_synonyms(synonyms)
    files.add(synonyms, len(category_of))
    locations = None if images is None else CocoLocations(images)
    photos, shown = (
        read_listed(records_of(objects, dataset, files=files), category_of, locations)
        if instances is None
        else read_outlined(instances, category_of, locations)
    )
    if captions is not None:
        named = read_captioned_objects(captions, category_of, split_sentences=split_sentences)
        shown = add_objects(shown, named)
        files.add(captions, len(named))
    files.add(instances, len(photos))
    numbers = list(photos) if karpathy is None else _in_split(photos, karpathy, skipped)
    files.add(karpathy, len(numbers))
    for number in numbers[num_images:]:
        skipped.add(f"not among the first {num_images:,}", f"{NAME}/{number:012d}")
    examples = (
        example
        for task, texts in rules.prompts.items()
        for number in numbers[:num_images]
        for example in ask(
            setup.prompts(task, *texts),
            images=(photos[number],),
            image_id=coco_image_id(number),
            references=tuple(sorted(shown[number])),
            language=ENGLISH,
            id=f"{number:012d}",
            condition=CONDITIONS[task],
        )
    )
    return benchmark_task(
        NAME,
        examples,
        metric=ChairMetric(category_of),
        setup=setup,
        kind=rules,
        origin=ORIGIN,
        skipped=skipped,
        files=files,
        changes=("photos of every split",) if karpathy is None else (),
    )


def read_listed(
    records: Iterable[LocatedRecord],
    category_of: Mapping[str, str],
    locations: CocoLocations | None,
) -> Shown:
    """The photos with lists of objects, in their order.

    Args:
        category_of: the list of synonyms. Objects must be among its categories.
        locations: finds COCO's photos; None if the records hold them.

    Raises:
        ValueError: a record is not as published, or its photo is missing; the message names the location.
    """
    images: dict[int, Image] = {}
    shown: dict[int, frozenset[str]] = {}
    categories = dict.fromkeys(category_of.values(), None)
    for location, record in records:
        fields = check_record(record, LIST_FIELDS, location=location)
        for found in fields["objects"]:
            check_choice(found, categories, location=location, field="objects")
        name = fields["image"]
        number = photo_number(name, location=location)
        if number in images:
            raise ValueError(f"{location}: found the photo {name} a second time. List it once.")
        file = None if locations is None else locations.find(number, location=location, file_name=name)
        images[number] = image_of(record, file, location=location, name=name)
        shown[number] = frozenset(fields["objects"])
    return images, shown


def read_outlined(instances: Path, category_of: Mapping[str, str], locations: CocoLocations | None) -> Shown:
    """The photos of COCO's annotations, in the order of the file. See `read_listed` for the arguments."""
    shown = {number: frozenset(found) for number, found in read_instances(instances, category_of).items()}
    images: dict[int, Image] = {}
    for number in shown:
        file = None if locations is None else locations.find(number, location=str(instances))
        images[number] = image_of({}, file, location=str(instances), name=f"{number:012d}.jpg")
    return images, shown


def _in_split(images: Mapping[int, Image], karpathy: Path, skipped: SkipReport) -> list[int]:
    """The photos of Karpathy's val and restval, in the order of his file."""
    numbers = dict.fromkeys(images)
    found = []
    for location, record in read_karpathy_records(karpathy):
        listed = karpathy_photo(record, location=location)
        if listed.split in KARPATHY_SPLITS and listed.number in numbers:
            del numbers[listed.number]
            found.append(listed.number)
        elif listed.split in KARPATHY_SPLITS:
            skipped.add("photo of these splits whose objects are not known", f"{NAME}/{listed.number:012d}")
    for number in numbers:
        skipped.add("photo outside Karpathy's val and restval", f"{NAME}/{number:012d}")
    return found
