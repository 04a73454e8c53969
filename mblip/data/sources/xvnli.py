"""SNLI-VE and XVNLI: does a photo of Flickr30k make a sentence true, false, or neither?

Both are JSON lines of SNLI's pairs, with the photo in place of the premise: {"gold_label": "entailment", "sentence1":
premise, "sentence2": hypothesis, "pairID": "759822302.jpg#2r1c", ...}. SNLI-VE (necla-ml/SNLI-VE, snli_ve_train.jsonl)
names the photo in `Flickr30K_ID`. XVNLI (e-bug/iglue, datasets/XVNLI/annotations/<language>/train_1.jsonl ...
test.jsonl, and machine-translated dev-<language>_gmt.jsonl) names it in `Flikr30kID` (their spelling), and has the
same pair ids in every language. The label "-" means that the annotators found no majority; such pairs are skipped.

The answers are those of the mBLIP evaluation prompt "Is it guaranteed true that ...?": yes, no, maybe. Images are
<photo>.jpg of Flickr30k. Licences: SNLI's text CC BY-SA 4.0; the photos are under Flickr30k's terms (research only).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..example import Example
from ..languages import ENGLISH, LanguageCode, get_language
from ..skipped import SkipReport, has_usable_texts
from . import published
from .image_names import Images, flickr30k_image_id, image_location
from .records import check_choice, check_record, read_json_lines

SOURCE = "xvnli"
SNLI_VE_SOURCE = "snli_ve"
XVNLI_LANGUAGES = ("ar", "en", "es", "fr", "ru")

ANSWERS = {"entailment": "yes", "neutral": "maybe", "contradiction": "no", "-": None}


@published("SNLI-VE in five languages", "e-bug/iglue, XVNLI", "SNLI's text CC BY-SA 4.0")
def xvnli(
    seed: int,
    skipped: SkipReport | None = None,
    *,
    annotations: Path,
    languages: tuple[LanguageCode, ...],
    split: str,
    images: Images,
) -> Iterator[Example]:
    """The pairs of XVNLI in some languages.

    Args:
        annotations: the parent folder of the languages' folders.
        split: the files' name without extension: train_1, test.
    """
    for language in languages:
        path = annotations / language / f"{split}.jsonl"
        yield from read_xvnli(path, language=language, images=images, skipped=skipped)


def read_xvnli(
    path: str | Path, *, language: str, images: str | Path, skipped: SkipReport | None = None
) -> Iterator[Example]:
    """The pairs of a file of XVNLI.

    Args:
        language: the hypotheses' language, which the file does not give.
        images: the folder, URL or archive of Flickr30k's images (images/locations.py).
    Raises:
        ValueError: the file is not as published. The message names the line and the field.
    """
    skipped = SkipReport() if skipped is None else skipped
    for location, record in read_json_lines(path):
        yield from xvnli_example(record, location=location, language=language, images=images, skipped=skipped)


@published("entailment between photos and sentences", "necla-ml/SNLI-VE", "SNLI's text CC BY-SA 4.0")
def snli_ve(seed: int, skipped: SkipReport | None = None, *, path: Path, images: Images) -> Iterator[Example]:
    """The pairs of a file of SNLI-VE, in English. Arguments and errors are those of `read_xvnli`."""
    skipped = SkipReport() if skipped is None else skipped
    for location, record in read_json_lines(path):
        yield from _example(record, "Flickr30K_ID", SNLI_VE_SOURCE, location, ENGLISH, images, skipped)


def xvnli_example(
    record: Any, *, location: str, language: str, images: str | Path, skipped: SkipReport
) -> Iterator[Example]:
    """The example of a record. None, and counted, if the annotators disagree or the text is unusable.

    Raises:
        ValueError: the record is not as published. The message names the location and the field.
    """
    return _example(record, "Flikr30kID", SOURCE, location, get_language(language).code, images, skipped)


def _example(
    record: Any, photo_field: str, source: str, location: str, language: str, images: str | Path, skipped: SkipReport
) -> Iterator[Example]:
    expected = {"gold_label": str, "sentence2": str, "pairID": str, photo_field: str}
    fields = check_record(record, expected, location=location)
    answer = check_choice(fields["gold_label"], ANSWERS, location=location, field="gold_label")
    id, photo = f"{language}/{fields['pairID']}", fields[photo_field]
    if answer is None:
        skipped.add("annotators disagree (label `-`)", f"{source}/{id}")
    elif has_usable_texts([fields["sentence2"]], name=f"{source}/{id}", skipped=skipped):
        yield Example(
            images=(image_location(images, f"{photo}.jpg", location=location),),
            prompt="",
            target=answer,
            language=language,
            task="entailment",
            source=source,
            id=id,
            image_id=flickr30k_image_id(photo),
            inputs={"hypothesis": fields["sentence2"]},
        )
