"""LLaVA's dialogues and descriptions of COCO photos, written by GPT-4.

conversation_58k.json, detail_23k.json and llava_instruct_150k.json (liuhaotian/LLaVA-Instruct-150K) are each one JSON
array of {"id": "000000033471", "image": "000000033471.jpg", "conversations": [{"from": "human", "value":
"<image>\\nWhat are the colors of the bus?"}, {"from": "gpt", "value": "The bus is white and red."}, ...]}, with human
and gpt taking turns. We remove the `<image>` of the first question, because the processor places images. An example
with `<image>` anywhere else is skipped and counted.

Dialogues are split into single turns: each question with its answer, without the earlier turns. Descriptions are kept
whole, and our templates replace their question. Licence: CC BY-NC 4.0. OpenAI's terms of use apply too, because GPT-4
wrote the texts.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..example import IMAGE_TOKEN, Example
from ..json_stream import iter_json_array
from ..protected_text import split_sentences
from ..recipes.ranges import Count
from ..skipped import SkipReport
from . import published
from .coco_files import CocoPhotos, Missing, photo_number
from .image_names import Images
from .records import check_choice, check_record

SOURCE = "llava"
FIELDS = {"id": str, "image": str, "conversations": list[dict]}
TURN_FIELDS = {"from": str, "value": str}
SPEAKERS = {"human": "human", "gpt": "gpt"}


@published("dialogues by GPT-4 about photos of COCO", "liuhaotian/LLaVA-Instruct-150K", "CC BY-NC 4.0")
def llava_conversations(
    seed: int,
    skipped: SkipReport | None = None,
    *,
    path: Path,
    images: Images,
    max_sentences: Count | None = 3,
    missing: Missing = "error",
) -> Iterator[Example]:
    """The single turns of a file of dialogues, in its order.

    Args:
        images: the folder, URL or archive of the photos (coco_files.py).
        max_sentences: a turn whose answer has more sentences (`split_sentences`) is skipped and counted. None
            keeps all.
        missing: what to do about a photo that is not in the folder.
    Raises:
        ValueError: the file is not as published, turns are out of order, or a photo is missing. The message names the
            record and the turn.
    """
    photos = CocoPhotos(images, missing=missing, skipped=skipped)
    for location, number, turns in _read_dialogues(path):
        for turn in turns:
            if max_sentences is not None and len(split_sentences(turn.answer)) > max_sentences:
                photos.skipped.add(f"answer of more than {max_sentences} sentences", f"{SOURCE}/{turn.id}")
                continue
            yield from photos.example(
                number,
                location=location,
                source=SOURCE,
                id=turn.id,
                task="conversation",
                target=turn.answer,
                inputs={"question": turn.question},
            )


@published("descriptions by GPT-4 of photos of COCO", "liuhaotian/LLaVA-Instruct-150K", "CC BY-NC 4.0")
def llava_details(
    seed: int,
    skipped: SkipReport | None = None,
    *,
    path: Path,
    images: Images,
    missing: Missing = "error",
) -> Iterator[Example]:
    """The descriptions of a file such as detail_23k.json, in its order.

    Args:
        images: the folder, URL or archive of the photos (coco_files.py).
        missing: what to do about a photo that is not in the folder.
    Raises:
        ValueError: the file is not as published, a record is a dialogue of several turns, or a photo is missing. The
            message names the record.
    """
    photos = CocoPhotos(images, missing=missing, skipped=skipped)
    for location, number, turns in _read_dialogues(path):
        if len(turns) != 1:
            raise ValueError(
                f"{location}: found a dialogue of {len(turns)} questions, expected one question and a description. "
                "Read files of dialogues with the source `llava_conversations`."
            )
        yield from photos.example(
            number,
            location=location,
            source=SOURCE,
            id=turns[0].id,
            task="detailed_captioning",
            target=turns[0].answer,
        )


@dataclass(frozen=True)
class _Turn:
    """A question and its answer. `id` is unique in the file and does not depend on the other dialogues."""

    id: str
    question: str
    answer: str


def _read_dialogues(path: str | Path) -> Iterator[tuple[str, int, list[_Turn]]]:
    """The location, photo number and turns of each record."""
    for index, record in enumerate(iter_json_array(path)):
        location = f"{path}, record {index}"
        fields = check_record(record, FIELDS, location=location)
        yield location, photo_number(fields["image"], location=location), _turns(fields, location)


def _turns(record: dict[str, Any], location: str) -> list[_Turn]:
    """The questions of a dialogue with their answers."""
    values: list[str] = []
    for position, turn in enumerate(record["conversations"]):
        turn_location = f"{location}, conversations[{position}]"
        fields = check_record(turn, TURN_FIELDS, location=turn_location)
        speaker = check_choice(fields["from"], SPEAKERS, location=turn_location, field="from")
        expected = "gpt" if position % 2 else "human"
        if speaker != expected:
            raise ValueError(
                f"{turn_location}: found a turn of {speaker!r}, expected one of {expected!r}. Correct the record."
            )
        values.append(fields["value"])
    if not values or len(values) % 2:
        raise ValueError(
            f"{location}: found {len(values)} turns, expected questions of 'human', each with an answer of 'gpt'. "
            "Correct the record."
        )
    values[0] = values[0].replace(IMAGE_TOKEN, "", 1)
    pairs = zip(values[::2], values[1::2], strict=True)
    return [_turn(record["id"], number, *pair) for number, pair in enumerate(pairs)]


def _turn(record_id: str, number: int, question: str, answer: str) -> _Turn:
    """A turn with a unique id. Several dialogues share a record id (the photo's), so the text distinguishes them."""
    digest = hashlib.blake2b(f"{question}\n{answer}".encode(errors="surrogatepass"), digest_size=4).hexdigest()
    return _Turn(f"{record_id}/{number}/{digest}", question.strip(), answer.strip())
