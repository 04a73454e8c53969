"""Captions in the annotation layout of COCO, which most caption data sets use, and pycocoevalcap reads.

captions_val2014.json is a JSON object of "images", a list of {"id": 42, "file_name": "COCO_val2014_000000000042.jpg",
...}, and "annotations", a list of {"image_id": 42, "id": 770337, "caption": "A man with a ..."}. Ids of images are
numbers or texts. The original's files (xm3600_coco_de.json, flickr_de_coco_test.json, coco_coco_test.json) are in it,
too, without `file_name`. Their Chinese, Japanese and Thai is segmented: `tokenization: segmented`.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from mblip.data.json_stream import iter_json_array
from mblip.data.languages import ENGLISH
from mblip.data.skipped import SkipReport
from mblip.data.sources.image_names import Images, image_location
from mblip.data.sources.records import check_record

from ..captioning import ask_for_caption, caption_prompts, captioning_task
from ..languages import mix_code
from ..metrics.caption_tokens import Tokenization
from ..protocol import Setup
from ..read_files import ReadFiles
from ..records import LANGUAGE_MARK, check_codes, check_languages_of, image_of
from ..task import EvaluationExample, EvaluationTask, Origin

NAME = "coco_captions"
ORIGIN = Origin("https://cocodataset.org/#format-data", "that of the captions")

IMAGE_FIELDS = {"id": int | str, "file_name": str | None}
CAPTION_FIELDS = {"image_id": int | str, "caption": str}


def coco_captions(
    setup: Setup,
    *,
    annotations: Path,
    images: Images | None = None,
    languages: tuple[str, ...] = (ENGLISH,),
    tokenization: Tokenization = "ptb",
) -> EvaluationTask:
    """The images of the file, in its order, with all their captions.

    Args:
        annotations: the file, with `{language}` in place of the code if there are several languages.
        images: the folder, URL or archive of the images. They are named by `file_name`, or else by <id>.jpg.
    """
    check_codes(languages)
    if len(languages) > 1:
        check_languages_of(annotations, None, languages)
    prompts, skipped, files = caption_prompts(setup), SkipReport(), ReadFiles()

    def examples() -> Iterator[EvaluationExample]:
        for language in languages:
            file, code = Path(str(annotations).replace(LANGUAGE_MARK, language)), mix_code(language)
            captions: dict[str, list[str]] = defaultdict(list)
            for index, record in enumerate(iter_json_array(file, key="annotations")):
                fields = check_record(record, CAPTION_FIELDS, location=f"{file}, annotations[{index}]")
                captions[str(fields["image_id"])].append(fields["caption"])
            records = files.counted(iter_json_array(file, key="images"), str(file), file=file)
            for index, record in enumerate(records):
                location = f"{file}, images[{index}]"
                fields = check_record(record, IMAGE_FIELDS, location=location)
                name = fields["file_name"] or f"{str(fields['id']).removesuffix('.jpg')}.jpg"
                path = None if images is None else image_location(images, name, location=location)
                yield from ask_for_caption(
                    prompts,
                    image_of({}, path, location=location, name=name),
                    captions.pop(str(fields["id"]), []),
                    image_id=f"{NAME}/{fields['id']}",
                    language=code,
                    id=f"{code}/{fields['id']}",
                    benchmark=NAME,
                    skipped=skipped,
                )
            if captions:
                raise ValueError(
                    f"{file}: found captions of the image id {next(iter(captions))} ({len(captions)} such ids), which "
                    'is not among the "images". Download the file again.'
                )

    return captioning_task(
        NAME, examples(), setup=setup, tokenization=tokenization, origin=ORIGIN, skipped=skipped, files=files
    )
