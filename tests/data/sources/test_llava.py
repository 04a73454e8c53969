"""LLaVA's dialogues and descriptions: single turns, `<image>` taken out, long answers counted, disorder refused."""

import json
import os
from pathlib import Path

import pytest

from mblip.data.prompts import apply_prompt
from mblip.data.protected_text import split_sentences
from mblip.data.skipped import SkipReport
from mblip.data.sources.llava import llava_conversations, llava_details

REAL = Path(os.environ.get("MBLIP_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "llava"
needs_real_data = pytest.mark.skipif(
    not REAL.is_dir(), reason="no LLaVA sample: set MBLIP_DATA to a folder with llava/"
)

URL = "https://example.org/train2017"


def record(*values, image="000000033471.jpg", speakers=("human", "gpt")):
    turns = [{"from": speakers[index % len(speakers)], "value": value} for index, value in enumerate(values)]
    return {"id": "000000033471", "image": image, "conversations": turns}


BUS = record("<image>\nWhat color is the bus?", "It is red. ", "Where is it?", "It is parked.\nIn a street.")
DETAIL = record("Describe it.\n<image>", "The image shows a bus. It is red. It is parked. It rains.\n\nPeople wait.")


def write(folder, *records):
    path = folder / "dialogues.json"
    path.write_text(json.dumps(records))
    return path


def test_a_dialogue_is_split_into_single_turns(tmp_path):
    first, second = llava_conversations(0, path=write(tmp_path, BUS), images=URL)
    assert (dict(first.inputs), first.target) == ({"question": "What color is the bus?"}, "It is red.")
    assert (dict(second.inputs), second.target) == ({"question": "Where is it?"}, "It is parked.\nIn a street.")
    assert (first.task, first.language, first.image_id) == ("conversation", "en", "coco/000000033471")
    assert first.images == ("https://example.org/train2017/000000033471.jpg",)
    assert "What color is the bus?" in apply_prompt(first, seed=0).prompt


def test_a_description_is_taken_whole(tmp_path):
    (example,) = llava_details(0, path=write(tmp_path, DETAIL), images=URL)
    assert (example.task, dict(example.inputs)) == ("detailed_captioning", {})
    assert example.target == "The image shows a bus. It is red. It is parked. It rains.\n\nPeople wait."
    with pytest.raises(ValueError, match=r"record 1: found a dialogue of 2 questions.*llava_conversations"):
        list(llava_details(0, path=write(tmp_path, DETAIL, BUS), images=URL))


def test_ids_tell_dialogues_about_one_photo_apart_and_depend_on_no_other(tmp_path):
    other = record("<image>\nIs it raining?", "Yes.")
    ids = [example.id for example in llava_conversations(0, path=write(tmp_path, BUS, other), images=URL)]
    assert len(set(ids)) == 3
    assert [example.id for example in llava_conversations(0, path=write(tmp_path, other, BUS), images=URL)] == [
        ids[2],
        *ids[:2],
    ]


def test_long_answers_are_counted_unless_wanted(tmp_path):
    path = write(tmp_path, DETAIL, BUS)
    skipped = SkipReport()
    assert len(list(llava_conversations(0, skipped, path=path, images=URL))) == 2
    assert skipped.counts == {"answer of more than 3 sentences": 1}
    assert len(list(llava_conversations(0, path=path, images=URL, max_sentences=1))) == 1
    assert len(list(llava_conversations(0, path=path, images=URL, max_sentences=None))) == 3


def test_an_image_mark_elsewhere_is_counted_and_named(tmp_path):
    skipped = SkipReport()
    path = write(
        tmp_path,
        record("<image>\nWhat is it? <image>", "A bus.", "And this?", "A car."),
        record("What is it?", "A <image> bus.", "<image> And this?", "A car."),
    )
    examples = list(llava_conversations(0, skipped, path=path, images=URL))
    assert [example.inputs["question"] for example in examples] == ["And this?"]
    assert skipped.counts == {"`<image>` in the text": 3}
    assert skipped.names["`<image>` in the text"][0].startswith("llava/000000033471/0/")


@pytest.mark.parametrize(
    ("dialogue", "message"),
    [
        (record("A?", "B.", speakers=("gpt", "human")), r"conversations\[0\]: found a turn of 'gpt', expected one"),
        (record("A?", "B?", speakers=("human",)), r"conversations\[1\]: found a turn of 'human', expected"),
        (record("A?", "B.", speakers=("human", "bot")), r"conversations\[1\]: `from` is 'bot', text, expected one of"),
        (record("A?", "B.", "C?"), "record 1: found 3 turns, expected questions of 'human', each with an answer"),
        (record(), "record 1: found 0 turns"),
        (record("A?", "B.", image="ocr_vqa/1.jpg"), "record 1: found the image 'ocr_vqa/1.jpg', expected a photo"),
        (record("A?", None), r"record 1, conversations\[1\]: `value` is missing or null"),
    ],
)  # fmt: skip
def test_a_dialogue_that_is_not_as_published_is_named(tmp_path, dialogue, message):
    with pytest.raises(ValueError, match=rf"dialogues\.json, record 1.*{message.removeprefix('record 1')}"):
        list(llava_conversations(0, path=write(tmp_path, BUS, dialogue), images=URL))


@needs_real_data
def test_a_published_dialogue_is_split(tmp_path):
    """LLaVA's instruction files are not at hand; this is a dialogue that GPT-4 was shown, put into their layout."""
    published = (REAL / "prompts" / "conversation" / "001_conv.txt").read_text(encoding="utf-8")
    values = [turn.removeprefix("Question:\n").removeprefix("Answer:\n") for turn in published.split("\n===\n")]
    assert [len(split_sentences(answer)) for answer in values[1::2]] == [2, 1, 3, 21]
    skipped = SkipReport()
    path = write(tmp_path, record(*values))
    assert [example.inputs["question"] for example in llava_conversations(0, skipped, path=path, images=URL)] == [
        "What is the skier doing?",
        "Are there any other people or skiers visible in the image?",
        "What kind of skiing is the person doing? Cross-country or downhill?",
    ]
    assert skipped.counts == {"answer of more than 3 sentences": 1}
