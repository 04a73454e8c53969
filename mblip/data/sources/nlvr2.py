"""NLVR2 and MaRVL: is a statement about two images, a left and a right one, true?

NLVR2 (lil-lab/nlvr, nlvr2/data/train.json, dev.json, test1.json; in IGLUE dev.jsonl and, machine-translated,
dev-sw_gmt.jsonl) is JSON lines of {"identifier": "dev-896-0-1", "sentence": "...", "label": "True", ...}. The images
of an identifier are dev-896-0-img0.png (left) and dev-896-0-img1.png (right). Records of the training set name their
`directory`. Images: those of the split, train, dev or test1, as NLVR2's authors distribute them.

MaRVL (marvl-challenge/marvl-code; in IGLUE marvl/zero_shot/annotations/marvl-sw.jsonl and
few_shot/annotations/marvl-tr_train10.jsonl) is JSON lines of {"concept": "39-Panci", "language": "id", "caption":
"...", "left_img": "39-0.jpg", "right_img": "39-4.jpg", "id": "id-0", "label": true, ...}. Few-shot files write the
concept before the image's name and number their records from 0 again, so our ids tell which kind of file they come
from. Images: <language>/images/<concept>/<name> in marvl-images.

MaRVL writes its concepts in composed or decomposed Unicode, depending on the record. The published image folders are
decomposed (gregor-ge/mBLIP, data/marvl/generate_marvl.py). `image_id` is always composed.

Licences: the texts of both CC BY 4.0; the images belong to their owners (research only).
"""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from ..example import Example
from ..languages import ENGLISH, LanguageCode, get_language
from ..skipped import SkipReport, has_usable_texts
from . import published
from .image_names import Images, image_location, join_image_ids
from .records import check_choice, check_record, read_json_lines

SOURCE = "nlvr2"
MARVL_SOURCE = "marvl"

NLVR2_FIELDS = {"identifier": str, "sentence": str, "label": str, "directory": int | str | None}
NLVR2_ANSWERS = {"True": "yes", "False": "no"}
IDENTIFIER = re.compile(r"(\w+-\d+-\d+)-\d+")  # split, set, pair, sentence; the first three name the images

MARVL_FIELDS = {
    "id": str,
    "language": str,
    "caption": str,
    "label": bool,
    "concept": str,
    "left_img": str,
    "right_img": str,
}
MARVL_LANGUAGES = ("id", "sw", "ta", "tr", "zh")

UnicodeForm = Literal["NFC", "NFD"]


@published("statements about two photos", "lil-lab/nlvr", "texts CC BY 4.0")
def nlvr2(
    seed: int, skipped: SkipReport | None = None, *, path: Path, images: Images, language: LanguageCode = ENGLISH
) -> Iterator[Example]:
    """The statements of a file of NLVR2.

    Args:
        images: the folder, URL or archive of the split's images (images/locations.py).
        language: the statements' language, for a machine-translated file.
    Raises:
        ValueError: the file is not as published. The message names the line and the field.
    """
    skipped = SkipReport() if skipped is None else skipped
    for location, record in read_json_lines(path):
        yield from nlvr2_example(record, location=location, language=language, images=images, skipped=skipped)


def nlvr2_example(
    record: Any, *, location: str, language: str, images: str | Path, skipped: SkipReport
) -> Iterator[Example]:
    """The example of a record of NLVR2. None, and counted, if the text is unusable.

    Raises:
        ValueError: the record is not as published. The message names the location and the field.
    """
    language = get_language(language).code
    fields = check_record(record, NLVR2_FIELDS, location=location)
    identifier, directory = fields["identifier"], fields["directory"]
    pair = IDENTIFIER.fullmatch(identifier)
    if pair is None:
        raise ValueError(f"{location}: `identifier` is {identifier!r}, expected one such as dev-896-0-1.")
    answer = check_choice(fields["label"], NLVR2_ANSWERS, location=location, field="label")
    names = [f"{pair[1]}-img{number}" for number in (0, 1)]
    folder = "" if directory is None else f"{directory}/"
    id = f"{language}/{identifier}"
    if has_usable_texts([fields["sentence"]], name=f"{SOURCE}/{id}", skipped=skipped):
        yield _example(
            images=tuple(image_location(images, f"{folder}{name}.png", location=location) for name in names),
            image_id=join_image_ids(*(f"{SOURCE}/{name}" for name in names)),
            source=SOURCE,
            id=id,
            language=language,
            statement=fields["sentence"],
            answer=answer,
        )


@published("statements about two photos, five languages", "marvl-challenge/marvl-code", "CC BY 4.0")
def marvl(
    seed: int, skipped: SkipReport | None = None, *, path: Path, images: Images, file_names: UnicodeForm = "NFD"
) -> Iterator[Example]:
    """The statements of a file of MaRVL, zero-shot or few-shot, in each record's language.

    Args:
        images: the folder, URL or archive with a folder per language (images/locations.py).
        file_names: the Unicode form of its file names: "NFD", as published, or "NFC", if unpacking or copying composed
            them.
    Raises:
        ValueError: the file is not as published. The message names the line and the field.
    """
    skipped = SkipReport() if skipped is None else skipped
    for location, record in read_json_lines(path):
        yield from marvl_example(record, location=location, images=images, file_names=file_names, skipped=skipped)


def marvl_example(
    record: Any, *, location: str, images: str | Path, file_names: UnicodeForm = "NFD", skipped: SkipReport
) -> Iterator[Example]:
    """The example of a record of MaRVL. None, and counted, if the text is unusable.

    Raises:
        ValueError: the record is not as published. The message names the location and the field.
    """
    fields = check_record(record, MARVL_FIELDS, location=location)
    languages = {code: code for code in MARVL_LANGUAGES}
    language = check_choice(fields["language"], languages, location=location, field="language")
    is_few_shot = "/" in fields["left_img"]
    sides = [fields["left_img"], fields["right_img"]]
    names = [side if is_few_shot else f"{fields['concept']}/{side}" for side in sides]
    id = f"{'few_shot' if is_few_shot else 'zero_shot'}/{fields['id']}"
    if has_usable_texts([fields["caption"]], name=f"{MARVL_SOURCE}/{id}", skipped=skipped):
        yield _example(
            images=tuple(_marvl_location(images, language, name, file_names, location) for name in names),
            image_id=join_image_ids(*(_marvl_image_id(language, name) for name in names)),
            source=MARVL_SOURCE,
            id=id,
            language=language,
            statement=fields["caption"],
            answer="yes" if fields["label"] else "no",
        )


def _example(*, statement: str, answer: str, **fields: Any) -> Example:
    """A statement about two images."""
    return Example(
        prompt="", target=answer, task="two_image_statement", inputs={"statement": statement.strip()}, **fields
    )


def _marvl_location(images: str | Path, language: str, name: str, form: UnicodeForm, location: str) -> Path | str:
    return image_location(images, f"{language}/images/{unicodedata.normalize(form, name)}", location=location)


def _marvl_image_id(language: str, name: str) -> str:
    stem, _, _ = unicodedata.normalize("NFC", name).rpartition(".")
    return f"{MARVL_SOURCE}/{language}/{stem}"
