"""POPE: is an object in a photo? Half of the questions are about absent objects.

coco_pope_random.json, coco_pope_popular.json and coco_pope_adversarial.json of RUCAIBox/POPE (output/coco) are JSON
lines of {"question_id": 7, "image": "COCO_val2014_000000210789.jpg", "text": "Is there a truck in the image?",
"label": "yes"}, with six questions on each of 500 photos of COCO. The absent objects are drawn at random, from the
most frequent objects, or from objects that often occur together with those in the photo. Each file is a condition.

Li et al., 2023. Licences: POPE MIT; photos: Flickr licences.

The prompt is the question alone. `templates` uses the templates of vqa_in_english. The answer is yes or no, as in
training: the model generates it freely or chooses one of the two. Besides mBLIP's accuracy there are POPE's five
figures (metrics/yes_no.py). We count an empty answer as wrong; POPE's script reads it as yes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from mblip.data.languages import ENGLISH
from mblip.data.skipped import SkipReport, has_usable_texts
from mblip.data.sources.coco_files import CocoLocations, photo_number
from mblip.data.sources.image_names import Images, coco_image_id
from mblip.data.sources.records import check_choice, check_record

from ..answer_scoring import YesNoAccuracy
from ..benchmark import ask, benchmark_task
from ..protocol import PromptForm, Setup
from ..read_files import Published, ReadFiles
from ..records import DatasetLocation, LocatedRecord, check_one_location, image_of, records_of
from ..task import Answering, EvaluationExample, EvaluationTask, Origin, RankBy

NAME = "pope"
ORIGIN = Origin(
    "https://github.com/RUCAIBox/POPE",
    "questions MIT, photos: Flickr licences",
    size="photos 6 GB",
    layout="output/coco/coco_pope_<split>.json, and <name>.jpg of val2014.zip from https://cocodataset.org/#download",
)
CANDIDATES = ("yes", "no")
PUBLISHED = Published({"test": 3000})  # lines of each file of output/coco in RUCAIBox/POPE at 3df3ba1
LABELS = {"yes": "yes", "no": "no"}

Split = Literal["random", "popular", "adversarial"]
SPLITS: tuple[Split, ...] = ("random", "popular", "adversarial")
SPLIT_MARK = "{split}"

FIELDS = {"question_id": int | str, "image": str, "text": str, "label": str}


def pope(
    setup: Setup,
    *,
    questions: Path | None = None,
    images: Images | None = None,
    dataset: DatasetLocation | None = None,
    splits: tuple[Split, ...] = SPLITS,
    answering: Answering = "generate",
    rank_by: RankBy = "sum",
) -> EvaluationTask:
    """The questions of each split, one split after another.

    Args:
        questions: the published files, with `{split}` in place of random, popular, adversarial. Or give a `dataset`
            with their fields, and `{split}` in its `path`, `config` or `split`. It may hold the images in a column
            `images`; its column `image` is the name of the file. Of lmms-lab/POPE, `columns` are {text: question,
            label: answer, image: image_source, images: image}.
        images: the folder, URL or archive of COCO's photos.
    """
    check_one_location(questions, dataset)
    if not splits or len(set(splits)) < len(splits):
        raise ValueError(f"found the splits {', '.join(splits) or 'none'}, expected each one once.")
    if SPLIT_MARK not in str(questions or dataset):
        raise ValueError(
            f"found {questions or dataset} for every split, expected one part per split. Write {SPLIT_MARK} "
            "in place of random, popular, adversarial."
        )
    rules, skipped, files = setup.rules(NAME), SkipReport(), ReadFiles(PUBLISHED)
    prompts = setup.prompts_of(rules)
    candidates = () if answering == "generate" else CANDIDATES
    locations = None if images is None else CocoLocations(images)
    examples = (
        example
        for split in splits
        for location, record in _records(questions, dataset, split, files)
        for example in pope_examples(
            record, prompts, candidates, location=location, split=split, locations=locations, skipped=skipped
        )
    )
    return benchmark_task(
        NAME,
        examples,
        metric=YesNoAccuracy(main=rules.main),
        setup=setup,
        kind=rules,
        origin=ORIGIN,
        skipped=skipped,
        files=files,
        answering=answering,
        rank_by=rank_by,
    )


def pope_examples(
    record: Any,
    prompts: Sequence[PromptForm],
    candidates: tuple[str, ...],
    *,
    location: str,
    split: str,
    locations: CocoLocations | None,
    skipped: SkipReport,
) -> Iterator[EvaluationExample]:
    """The question of a record. A question with unusable text is skipped and counted.

    Args:
        locations: finds COCO's photos; None if the record holds its photo.

    Raises:
        ValueError: the record is not as published, or its photo is missing; the message names the location.
    """
    fields = check_record(record, FIELDS, location=location)
    number = photo_number(fields["image"], location=location)
    label = check_choice(fields["label"], LABELS, location=location, field="label")
    file = None if locations is None else locations.find(number, location=location, file_name=fields["image"])
    id = str(fields["question_id"])
    if has_usable_texts([fields["text"]], name=f"{NAME}/{split}/{id}", skipped=skipped):
        yield from ask(
            prompts,
            images=(image_of(record, file, location=location, name=fields["image"]),),
            image_id=coco_image_id(number),
            inputs={"question": fields["text"]},
            references=(label,),
            language=ENGLISH,
            id=id,
            condition=split,
            candidates=candidates,
        )


def _records(
    questions: Path | None, dataset: DatasetLocation | None, split: Split, files: ReadFiles
) -> Iterator[LocatedRecord]:
    """The records of a split, from its file or its part of the dataset."""
    if dataset is None:
        return records_of(Path(str(questions).replace(SPLIT_MARK, split)), None, files=files)
    texts = {name: value for name, value in vars(dataset).items() if isinstance(value, str)}
    named: dict[str, Any] = {name: text.replace(SPLIT_MARK, split) for name, text in texts.items()}
    return records_of(None, replace(dataset, **named), files=files)
