"""xFlickrCO: photos of Flickr30k and of COCO, captioned by people in eight languages.

<language>/test.jsonl, as published by IGLUE (e-bug/iglue, datasets/xFlickrCO/annotations), is JSON lines of
{"sentences": ["Ein Mann ..."], "id": "101362133", "img_path": "101362133.jpg"}. Half of the photos are from COCO, with
an `img_path` like COCO_val2014_000000391895.jpg (mblip/data/sources/flickr30k.py). Every photo has one caption per
language.

Bugliarello et al., 2022. Licences: the captions' repository is MIT; photos and English captions are under Flickr30k's
terms (research only) and COCO's (captions CC BY 4.0).

mBLIP's evaluation asks about every photo in every language, but takes English from another file: Flickr30k's own
test_ann.jsonl, 1,000 photos with five captions each (`english`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mblip.data.images import Image
from mblip.data.languages import ENGLISH
from mblip.data.skipped import SkipReport
from mblip.data.sources.coco_files import CocoLocations
from mblip.data.sources.flickr30k import XFLICKRCO_LANGUAGES, CaptionedPhoto, captioned_photo
from mblip.data.sources.image_names import Images, image_location

from ..captioning import ask_for_caption, captioning_task
from ..metrics.caption_tokens import Tokenization
from ..protocol import Setup
from ..read_files import Published, ReadFiles
from ..records import DatasetLocation, check_languages_of, image_of, records_in
from ..task import EvaluationExample, EvaluationTask, Origin

NAME = "xflickrco"
ORIGIN = Origin(
    "https://github.com/e-bug/iglue/tree/main/datasets/xFlickrCO",
    "captions MIT (repository), photos by the terms of Flickr30k (research only) and COCO",
    size="photos 4.4 GB and 6 GB",
    layout="annotations/<language>/test.jsonl, "
    "<id>.jpg of Flickr30k from https://shannon.cs.illinois.edu/DenotationGraph, and "
    "<name>.jpg of val2014.zip from https://cocodataset.org/#download",
)
# Lines of annotations/<language>/test.jsonl in e-bug/iglue at 43cbac9, and of Flickr30k's test_ann.jsonl there.
PUBLISHED = Published({"test": 2000, "train": None}, reported=("test",), num_languages=8)
WITH_FLICKR30K = Published({"test": dict.fromkeys(XFLICKRCO_LANGUAGES, 2000) | {ENGLISH: 1000}}, num_languages=8)


def xflickrco(
    setup: Setup,
    *,
    captions: Path | None = None,
    images: Images | None = None,
    coco_images: Images | None = None,
    dataset: DatasetLocation | None = None,
    languages: tuple[str, ...] = XFLICKRCO_LANGUAGES,
    english: Path | None = None,
    tokenization: Tokenization = "ptb",
) -> EvaluationTask:
    """The photos in each language.

    Args:
        captions: the published files, with `{language}` in place of the code. Or give a `dataset` with their fields,
            and `{language}` in its `path`, `config` or `split`.
        images: the folder, URL or archive of Flickr30k's photos, unless the dataset holds them.
        coco_images: the folder, URL or archive of COCO's photos.
        english: Flickr30k's test_ann.jsonl. Without it, English is that of `captions`, which is a change of protocol.
    """
    check_languages_of(captions, dataset, languages)
    rules, skipped = setup.rules(NAME, english=english), SkipReport()
    prompts, is_own = setup.prompts_of(rules), english is None and ENGLISH in languages
    files = ReadFiles(PUBLISHED if english is None else WITH_FLICKR30K)
    coco = None if coco_images is None else CocoLocations(coco_images)

    def examples() -> Iterator[EvaluationExample]:
        for language in languages:
            is_other_file = language == ENGLISH and english is not None
            paths, rows = (english, None) if is_other_file else (captions, dataset)
            records = records_in(language, paths, rows, files=files)
            for location, record in records:
                photo = captioned_photo(record, location=location)
                yield from ask_for_caption(
                    prompts,
                    _image(record, photo, images, coco, location),
                    photo.sentences,
                    image_id=photo.image_id,
                    language=language,
                    id=f"{language}/{photo.stem}",
                    benchmark=NAME,
                    skipped=skipped,
                )

    return captioning_task(
        NAME,
        examples(),
        setup=setup,
        tokenization=tokenization,
        origin=ORIGIN,
        skipped=skipped,
        files=files,
        rules=rules,
        changes=("xFlickrCO's own English, not Flickr30k's",) if is_own else (),
    )


def _image(record: Any, photo: CaptionedPhoto, images: str | None, coco: CocoLocations | None, location: str) -> Image:
    """The image of a record, from the dataset, Flickr30k or COCO."""
    name, number = photo.name, photo.coco_number
    if number is None:
        file = None if images is None else image_location(images, name, location=location)
        return image_of(record, file, location=location, name=name)
    file = None if coco is None else coco.find(number, location=location, file_name=name)
    return image_of(record, file, location=location, name=name, field="coco_images")
