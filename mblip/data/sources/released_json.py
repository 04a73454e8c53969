"""The training mix as the authors of mBLIP released it: finished prompts and targets in 96 languages.

task_mix_v2_mt.json (Gregor/mblip-train on the Hub, 963 MB) is one JSON array of {"context": "Caption in German: ",
"label": "Ein Hund am Strand", "image_id": ...}, read as a stream. `context` is the finished prompt, so `apply_prompt`
is not needed. The file does not give an example's task. It gives the language only if the prompt names it. The images
must come from elsewhere. The file has the original's faults: most questions were generated from the answer of another
example. Licence: that of each source in it.

The id of an example is its position in the file. The file is published once and repeats some records.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from ..example import Example
from ..images import Image
from ..json_stream import iter_json_array
from ..language_check import identify_language
from ..languages import LANGUAGES, LanguageCode
from ..skipped import SkipReport, has_usable_texts
from . import published
from .coco_files import FILE_NAME
from .image_names import Images, coco_image_id, image_location
from .records import check_record

SOURCE = "mblip_train"
TASK = "as_released"
FIELDS = {"context": str, "label": str, "image_id": str | int}

OTHER_NAMES = {"Bengali": "bn", "Farsi": "fa", "Portugese": "pt", "Ukranian": "uk"}  # spellings of the original
CODES = {language.name: code for code, language in LANGUAGES.items()} | OTHER_NAMES
WANTED = r"(?:answer|(?:image )?(?:caption|description))"
NAMED = rf"(?:\b[Ii]n (?:former )?({'|'.join(CODES)})\b|\b({'|'.join(CODES)}) {WANTED}\b)"
ANYWHERE, AT_THE_END = re.compile(NAMED), re.compile(rf"{NAMED}[\s.:)]*\Z")
# These name the language of a given answer and ask for a question in an unnamed language.
ASKS_FOR_A_QUESTION = re.compile(
    rf"\bquestion \(?in (?:former )?(?:{'|'.join(CODES)})\b|\b(?:{'|'.join(CODES)}) question\b"
)


def named_language(context: str, label: str) -> str | None:
    """The language that a prompt asks for by its English name: "in German", "Short German answer".

    None if the prompt names no language, or asks for a question. Of several names, the one at the end of the prompt
    counts, or else the first, because a question in the prompt may name others. A prompt for an English yes or no
    counts as English, whatever its caption's language.
    """
    if ASKS_FOR_A_QUESTION.search(context):
        return None
    found = AT_THE_END.search(context) or ANYWHERE.search(context)
    return CODES[found[1] or found[2]] if found else None


def named_or_identified_language(context: str, label: str) -> str | None:
    """The language that a prompt names, or else the target's (language_check.py, which needs py3langid)."""
    return named_language(context, label) or identify_language(label)


@published("the mix as released", "Gregor/mblip-train", "that of each source in it")
def released_json(
    seed: int,
    skipped: SkipReport | None = None,
    *,
    path: Path,
    images: Images,
    identify: bool = False,
    other_language: LanguageCode | None = None,
) -> Iterator[Example]:
    """The original's training mix with its own prompts.

    If a prompt names no language, the language is the target's with `identify`, or else `other_language`. An example
    without a language is skipped.
    """

    def language_of(context: str, label: str) -> str | None:
        found = named_or_identified_language if identify else named_language
        return found(context, label) or other_language

    return read_released_json(path, images=images, language_of=language_of, skipped=skipped)


def read_released_json(
    path: str | Path,
    *,
    images: str | Path | Callable[[str], Image],
    language_of: Callable[[str, str], str | None] = named_language,
    skipped: SkipReport | None = None,
) -> Iterator[Example]:
    """The examples of the file, one after another in constant memory, with unchanged prompts and targets.

    Args:
        images: the folder, URL or archive in which `image_id` is a file name (images/locations.py), or a function from
            `image_id` to image.
        language_of: gives the language of a prompt and its target. An example without one is skipped and counted. Many
            prompts name no language: those of reasoning, dialogues and matching, and translated caption prompts.
            `named_or_identified_language` keeps most of them.
    Raises:
        ValueError: the file is not as published. The message names the record and the field.
    """
    skipped = SkipReport() if skipped is None else skipped
    for index, record in enumerate(iter_json_array(path)):
        location = f"{path}, record {index}"
        fields = check_record(record, FIELDS, location=location)
        context, label, image_id = fields["context"], fields["label"], str(fields["image_id"])
        name = f"{SOURCE}/{index}"
        if not has_usable_texts([context, label], name=name, skipped=skipped):
            continue
        language = language_of(context, label)
        if language is None:
            skipped.add("no language named by the prompt", name)
            continue
        image = images(image_id) if callable(images) else image_location(images, image_id, location=location)
        yield Example(
            images=(image,),
            prompt=context,
            target=label,
            language=language,
            task=TASK,
            source=SOURCE,
            id=str(index),
            image_id=_shared_image_id(image_id),
        )


def _shared_image_id(image_id: str) -> str:
    """The `image_id` that all sources use. It differs from the file's for photos of COCO."""
    found = FILE_NAME.fullmatch(image_id.rpartition("/")[2])
    return f"{SOURCE}/{image_id}" if found is None else coco_image_id(int(found[1]))
