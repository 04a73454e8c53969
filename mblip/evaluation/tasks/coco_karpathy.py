"""COCO captions in English, on Karpathy's split, the usual split for captioning results on COCO.

dataset_coco.json is a JSON object with "images", a list of {"filepath": "val2014", "filename":
"COCO_val2014_000000391895.jpg", "cocoid": 391895, "split": "test", "sentences": [{"raw": "A man with a ...", "sentid":
770337, ...}], ...}. This is its author's description; we could not test with the file itself.
(mblip/data/sources/coco_captions.py reads it for training.) The splits val and test have 5,000 photos each, with about
five captions per photo.

Karpathy and Fei-Fei, 2015. Licences: captions CC BY 4.0 (COCO's terms), photos by their licences on Flickr.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from mblip.data.languages import ENGLISH
from mblip.data.skipped import SkipReport
from mblip.data.sources.coco_captions import karpathy_photo, read_karpathy_records
from mblip.data.sources.coco_files import CocoLocations
from mblip.data.sources.image_names import Images, coco_image_id

from ..captioning import ask_for_caption, captioning_task
from ..metrics.caption_tokens import Tokenization
from ..protocol import Setup
from ..read_files import Published, ReadFiles
from ..records import DatasetLocation, check_one_location, image_of, records_of
from ..task import EvaluationExample, EvaluationTask, Origin

NAME = "coco_karpathy"
ORIGIN = Origin(
    "https://cs.stanford.edu/people/karpathy/deepimagesent",
    "captions CC BY 4.0, photos by their licences on Flickr",
    size="photos 6 GB",
    layout="dataset_coco.json, and val2014/<name>.jpg of val2014.zip from https://cocodataset.org/#download",
)
# https://www.tensorflow.org/datasets/catalog/coco_captions, after Karpathy and Fei-Fei.
PUBLISHED = Published({"test": 5000, "val": 5000})


def coco_karpathy(
    setup: Setup,
    *,
    captions: Path | None = None,
    images: Images | None = None,
    dataset: DatasetLocation | None = None,
    split: Literal["val", "test"] | None = None,
    tokenization: Tokenization = "ptb",
) -> EvaluationTask:
    """The photos of the split.

    Args:
        captions: the published file; or `dataset` has the fields of its "images".
        split: None: that of the protocol.
        images: the folder, URL or archive of COCO's photos, unless the dataset holds them.
    """
    check_one_location(captions, dataset)
    rules, skipped, files = setup.rules(NAME, split=split), SkipReport(), ReadFiles(PUBLISHED)
    prompts, chosen = setup.prompts_of(rules), rules.arguments["split"]
    locations = None if images is None else CocoLocations(images)

    def examples() -> Iterator[EvaluationExample]:
        records = records_of(captions, dataset, read=read_karpathy_records)
        read = ((karpathy_photo(record, location=location), location, record) for location, record in records)
        of_split = (found for found in read if found[0].split == chosen)
        path, commit = (str(captions), None) if dataset is None else (dataset.path, dataset.commit)
        for photo, location, record in files.counted(of_split, path, file=captions, revision=commit, split=chosen):
            file = (
                None
                if locations is None
                else locations.find(photo.number, location=location, file_name=photo.file_name)
            )
            yield from ask_for_caption(
                prompts,
                image_of(record, file, location=location, name=photo.file_name),
                [text for _, text in photo.sentences],
                image_id=coco_image_id(photo.number),
                language=ENGLISH,
                id=f"{photo.number:012d}",
                benchmark=NAME,
                skipped=skipped,
            )

    return captioning_task(
        NAME if chosen == "test" else f"{NAME}_{chosen}",
        examples(),
        setup=setup,
        tokenization=tokenization,
        origin=ORIGIN,
        skipped=skipped,
        files=files,
        rules=rules,
    )
