"""Web captions of CapFilt: what an example is, what is skipped, what is refused."""

import hashlib
import json

import pytest

from mblip.data.prompts import apply_prompt
from mblip.data.skipped import SkipReport
from mblip.mix.sources.capfilt import read_capfilt

DOG = {"url": "https://example.org/1.jpg", "caption": "a  dog\n on a beach "}
CAT = {"url": "http://example.org/ä b.jpg", "caption": "a cat"}


def write(folder, records):
    path = folder / "ccs_filtered.json"
    path.write_text(json.dumps(records))
    return path


def test_a_record_gives_an_english_caption_of_an_image_of_the_web(tmp_path):
    dog, cat = read_capfilt(write(tmp_path, [DOG, CAT]))
    assert (dog.images, dog.prompt, dog.target) == (("https://example.org/1.jpg",), "", "a dog on a beach")
    assert (dog.language, dog.task, dog.source) == ("en", "captioning", "capfilt")
    assert dog.image_id == "url/" + hashlib.sha1(b"https://example.org/1.jpg").hexdigest()
    assert (cat.images, cat.target) == (("http://example.org/ä b.jpg",), "a cat")
    assert "English" in apply_prompt(dog, seed=0).prompt


def test_an_id_depends_on_url_and_caption_and_on_no_other_record(tmp_path):
    other_url, other_caption = DOG | {"url": CAT["url"]}, DOG | {"caption": "a cat"}
    ids = [example.id for example in read_capfilt(write(tmp_path, [DOG, CAT, other_url, other_caption]))]
    assert len(set(ids)) == 4
    assert [example.id for example in read_capfilt(write(tmp_path, [other_caption, DOG]))] == [ids[3], ids[0]]


def test_the_scheme_of_a_url_may_be_in_capitals(tmp_path):
    (example,) = read_capfilt(write(tmp_path, [DOG | {"url": "HTTPS://example.org/1.jpg"}]))
    assert example.images == ("HTTPS://example.org/1.jpg",)


def test_records_that_cannot_be_used_are_counted_and_named(tmp_path):
    skipped = SkipReport()
    records = [
        DOG | {"caption": " "},
        DOG | {"caption": "an <image>"},
        DOG | {"caption": "\ud83d"},
        DOG | {"url": "ftp://example.org/1.jpg"},
        CAT,
    ]
    (cat,) = read_capfilt(write(tmp_path, records), skipped=skipped)
    assert cat.target == "a cat"
    assert skipped.counts == {
        "empty text": 1,
        "`<image>` in the text": 1,
        "half a character in the text": 1,
        "no http or https address": 1,
    }
    assert skipped.names["no http or https address"][0].startswith("capfilt/")


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([DOG, {"url": "https://example.org/1.jpg"}], r"record 1: `caption` is missing .*expected text"),
        ([DOG, DOG | {"url": 3}], r"record 1: `url` is 3, a whole number, expected text"),
        (["a dog"], "record 0: found 'a dog', text, expected an object with `url`, `caption`"),
        ({"annotations": []}, r"byte 0: found '{', expected \["),
    ],
)
def test_a_record_that_is_not_as_published_is_named(tmp_path, records, message):
    with pytest.raises(ValueError, match=rf"ccs_filtered\.json, {message}"):
        list(read_capfilt(write(tmp_path, records)))
