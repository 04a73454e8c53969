"""The training mix as the authors of mBLIP released it: prompts with their templates, and targets, in 96 languages.

task_mix_v2_mt.json (Gregor/mblip-train on the Hub, 963 MB) is one JSON array of {"context": "Caption in German: ",
"label": "Ein Hund am Strand", "image_id": ...}, read as a stream. `context` is the prompt, worded already, so
`apply_prompt` has nothing to do. Nothing tells an example's task, and its language only the prompt, where it names
one; the images are to be had elsewhere. The defects of the original are in it: most questions were made from the
answer of another example. Licence: of each source that went into it.

The id of an example is its position in the file, which is published once and holds records more than once.
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

OTHER_NAMES = {"Bengali": "bn", "Farsi": "fa", "Portugese": "pt", "Ukranian": "uk"}  # spelt so in the original
CODES = {language.name: code for code, language in LANGUAGES.items()} | OTHER_NAMES
WANTED = r"(?:answer|(?:image )?(?:caption|description))"
NAMED = rf"(?:\b[Ii]n (?:former )?({'|'.join(CODES)})\b|\b({'|'.join(CODES)}) {WANTED}\b)"
ANYWHERE, AT_THE_END = re.compile(NAMED), re.compile(rf"{NAMED}[\s.:)]*\Z")
# These name the language of the answer that is given, for a question in a language that is not named.
ASKS_FOR_A_QUESTION = re.compile(
    rf"\bquestion \(?in (?:former )?(?:{'|'.join(CODES)})\b|\b(?:{'|'.join(CODES)}) question\b"
)


def named_language(context: str, label: str) -> str | None:
    """The language that a prompt asks for by its English name: "in German", "Short German answer"; None where it names
    none, and where it asks for a question.

    Of several, the one at the end of the prompt, or else the first: a question in the prompt may name others. What
    asks for a yes or no in English is taken as English, whatever language its caption is in.
    """
    if ASKS_FOR_A_QUESTION.search(context):
        return None
    found = AT_THE_END.search(context) or ANYWHERE.search(context)
    return CODES[found[1] or found[2]] if found else None


def named_or_identified_language(context: str, label: str) -> str | None:
    """The language that a prompt names or, without one, the target's (language_check.py, which needs py3langid)."""
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
    """The original's training mix with its own prompts. Where these name no language, it is the target's with
    `identify`, or else `other_language`; an example without any is skipped."""

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
    """The examples of the file, one after another in constant memory; prompt and target are as they stand there.

    Args:
        images: the folder, URL or archive in which the `image_id` is the name of a file (images/locations.py), or a
            function that gives the image of an `image_id`.
        language_of: gives the language of a prompt and its target; an example without one is skipped and counted.
            Many prompts name none: those of reasoning, dialogues and matching, and the captions' translated ones.
            `named_or_identified_language` keeps most of them.

    Raises:
        ValueError: the file is not as published; the message names the record and the field.
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
    """A photo of COCO is called as every source calls it."""
    found = FILE_NAME.fullmatch(image_id.rpartition("/")[2])
    return f"{SOURCE}/{image_id}" if found is None else coco_image_id(int(found[1]))
