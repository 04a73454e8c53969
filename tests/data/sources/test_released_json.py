"""The authors' released mix: prompts as they stand, the language by the prompt, constant memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mblip.data.example import to_rows
from mblip.data.languages import LANGUAGES
from mblip.data.skipped import SkipReport
from mblip.data.sources.released_json import (
    named_language,
    named_or_identified_language,
    read_released_json,
)

GERMAN = {"context": "Caption in German: ", "label": "Ein Hund am Strand ", "image_id": "a/1.jpg"}
ENGLISH = {"context": "Question: Is it in Chinese? Short answer in English:", "label": "no", "image_id": 42}


def write(folder, *records):
    path = folder / "task_mix_v2_mt.json"
    path.write_text(json.dumps(records))
    return path


def test_prompt_and_target_are_as_they_stand_in_the_file(tmp_path):
    german, english = read_released_json(write(tmp_path, GERMAN, ENGLISH), images="photos")
    assert (german.prompt, german.target, german.language) == ("Caption in German: ", "Ein Hund am Strand ", "de")
    assert (german.images, german.image_id, german.id) == ((Path("photos/a/1.jpg"),), "mblip_train/a/1.jpg", "0")
    assert (english.images, english.language, english.id) == ((Path("photos/42"),), "en", "1")
    assert {(example.task, example.source) for example in (german, english)} == {("as_released", "mblip_train")}
    assert [row["prompts"] for row in to_rows([german])] == [["Caption in German: "]]


def test_a_photo_of_coco_is_called_as_in_every_source(tmp_path):
    photo = GERMAN | {"image_id": "COCO_train2014_000000000139.jpg"}
    (example,) = read_released_json(write(tmp_path, photo), images="photos")
    assert example.image_id == "coco/000000000139"
    assert example.images == (Path("photos/COCO_train2014_000000000139.jpg"),)


def test_images_may_be_given_by_a_function(tmp_path):
    (example,) = read_released_json(write(tmp_path, GERMAN), images=lambda image_id: f"https://example.org/{image_id}")
    assert example.images == ("https://example.org/a/1.jpg",)


def test_a_record_that_stands_there_twice_gives_two_examples_of_their_own_ids(tmp_path):
    examples = read_released_json(write(tmp_path, GERMAN, GERMAN), images="photos")
    assert [example.id for example in examples] == ["0", "1"]


@pytest.mark.parametrize(
    ("context", "language"),
    [
        ("Caption in German: ", "de"),
        ("Caption the image in German.", "de"),
        ("Image caption (in German): ", "de"),
        ("Short German image caption: ", "de"),
        ("Write a short Scottish Gaelic image description.", "gd"),
        ("In Scottish Gaelic, what is this?", "gd"),
        ("Caption in former Hebrew: ", "iw"),
        ("Short former Hebrew image caption: ", "iw"),
        ("Caption in Farsi:", "fa"),
        ("Is this written in Chinese? Answer in English:", "en"),
        ("Is this written in Chinese? Short German answer:", "de"),
        ("Question: Is it in Chinese? Brief answer (in German):", "de"),
        ("Give a short answer in German to the following question. Is it in Chinese?", "de"),
        ("What is the German answer to this question? Is it in Chinese?", "de"),
        ("Caption in Malayalam:", "ml"),
        ("Beschrifte das Bild:", None),
        ("A cabin Germany:", None),
        ("Is it Polish?", None),
        ("Which Polish dish is this?", None),
        ("Given the image, generate a question in English whose answer is: yes. Question:", None),
        ('Based on the image, create a question (in English) for which the answer is "in German".', None),
        ('What is a English question for the image with the answer "yes"?', None),
    ],
)
def test_the_language_is_the_one_that_the_prompt_asks_for(context, language):
    assert named_language(context, "label") == language


@pytest.mark.parametrize(
    ("context", "label", "language"),
    [
        ("Beschrifte das Bild:", "Ein schwarzer Hund läuft am Strand entlang", "de"),
        ("Caption in English:", "Ein schwarzer Hund läuft am Strand entlang", "en"),
        ('What is a English question for the image with the answer "2"?', "Mbwa wangapi wako ufukweni leo?", "sw"),
        ("כתוב כיתוב לתמונה", "כלב שחור רץ לאורך החוף ביום שמש", "iw"),
        ("简短的图片说明", "一只黑狗在海滩上奔跑", "zh"),
        ("Beschrifte das Bild:", "ein Hund", None),
    ],
)
def test_where_a_prompt_names_no_language_it_is_the_target_s(context, label, language):
    assert named_or_identified_language(context, label) == language


def test_every_language_is_known_by_its_name():
    assert [named_language(f"Caption in {language.name}:", "") for language in LANGUAGES.values()] == list(LANGUAGES)


def test_a_prompt_that_names_no_language_is_counted_unless_the_caller_knows_it(tmp_path):
    path = write(tmp_path, GERMAN | {"context": "Beschrifte das Bild:"}, GERMAN)
    skipped = SkipReport()
    assert [example.id for example in read_released_json(path, images="photos", skipped=skipped)] == ["1"]
    assert skipped.names == {"no language named by the prompt": ["mblip_train/0"]}
    known = read_released_json(path, images="photos", language_of=lambda context, label: "de")
    assert [example.language for example in known] == ["de", "de"]


def test_an_empty_target_and_an_image_mark_are_counted(tmp_path):
    skipped = SkipReport()
    path = write(tmp_path, GERMAN | {"label": ""}, GERMAN | {"context": "<image> Caption in German:"})
    assert list(read_released_json(path, images="photos", skipped=skipped)) == []
    assert skipped.counts == {"empty text": 1, "`<image>` in the text": 1}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"context": "Caption in German:", "label": "Hund"}, "`image_id` is missing or null"),
        (GERMAN | {"label": 3}, "`label` is 3, a whole number, expected text"),
        (GERMAN | {"image_id": "../../secret.jpg"}, "found the image name '../../secret.jpg', expected"),
        ("Caption", "found 'Caption', text, expected an object with `context`, `label`, `image_id`"),
    ],
)
def test_a_record_that_is_not_as_published_is_named(tmp_path, record, message):
    with pytest.raises(ValueError, match=rf"task_mix_v2_mt\.json, record 1: {message}"):
        list(read_released_json(write(tmp_path, GERMAN, record), images="photos"))


MEASURE = """
import resource, sys
from mblip.data.sources.released_json import read_released_json
examples = read_released_json(sys.argv[1], images="photos")
next(examples)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = 1 + sum(1 for _ in examples)
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "large.json"
    with path.open("w", encoding="utf-8") as file:
        for number in range(1_000_000):
            record = {"context": "Caption in German: ", "label": "ein Hündchen " * 10, "image_id": f"{number}.jpg"}
            file.write(("[" if number == 0 else ", ") + json.dumps(record))
        file.write("]")
    assert path.stat().st_size > 200_000_000
    root = Path(__file__).parents[3]
    run = subprocess.run([sys.executable, "-c", MEASURE, path], cwd=root, capture_output=True, text=True, check=True)
    count, growth_kilobytes = map(int, run.stdout.split())
    assert count == 1_000_000
    assert growth_kilobytes < 50_000
