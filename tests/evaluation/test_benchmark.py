"""Images that are missing are found before anything is asked."""

import pytest
from PIL import Image
from table_model import example

from mblip.data.skipped import SkipReport
from mblip.evaluation import ExactMatch, Setup
from mblip.evaluation.benchmark import benchmark_task
from mblip.evaluation.task import Origin

ORIGIN = Origin("https://example.org/photos", "CC BY 4.0")


@pytest.fixture
def examples(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "there.png")
    locations = [tmp_path / "there.png", tmp_path / "gone.png", f"zip://gone.png::{tmp_path}/gone.zip"]
    return [example(number, images=(location,)) for number, location in enumerate(locations)]


def task_of(examples, **setup):
    return benchmark_task(
        "photos",
        examples,
        metric=ExactMatch(),
        setup=Setup(**setup),
        kind="short_answer",
        origin=ORIGIN,
        skipped=SkipReport(),
    )


def test_missing_images_are_an_error_that_counts_and_names_them(examples):
    message = (
        r"photos: 2 of 3 images are missing, such as gone\.png, gone\.png \(not found: .*gone.*\)\. Put them there.*"
        r"2 of 3 examples.*\.\nGet the files from https://example\.org/photos \(size not known\)\.$"
    )
    with pytest.raises(ValueError, match=message):
        task_of(examples)


def test_skipping_is_not_offered_where_every_image_is_missing_and_a_refused_archive_says_why(tmp_path):
    (tmp_path / "photos.tar.gz").write_bytes(b"\x1f\x8b\x08\x00")
    in_archive = example(0, images=(f"tar://a.jpg::{tmp_path}/photos.tar.gz",))
    with pytest.raises(ValueError, match=r"1 of 1 images are missing, such as a\.jpg \(.* is packed with") as refusal:
        task_of([in_archive])
    assert "--missing_images" not in str(refusal.value)


def test_photos_at_urls_are_to_be_fetched_first():
    message = r"1 of 1 images are missing, such as a\.jpg: URLs are not read here\. Fetch them first"
    with pytest.raises(ValueError, match=message):
        task_of([example(0, images=("https://example.org/a.jpg",))])


def test_examples_without_their_images_are_skipped_counted_and_named(examples):
    task = task_of(examples, missing_images="skip")
    assert [entry.id for entry in task.examples] == ["0/en"]
    assert task.skipped.counts == {"image missing": 2}
    assert task.marks == ("2 of 3 examples without their image",)
    assert task.skipped.names == {"image missing": ["photos/1/en", "photos/2/en"]}


def test_unchecked_images_are_looked_for_later(examples):
    assert len(task_of(examples, missing_images="unchecked").examples) == 3


def test_no_example_at_all_is_an_error_that_says_what_was_skipped(examples):
    with pytest.raises(ValueError, match=r"The task photos has no examples \(skipped: image missing: 2\)"):
        task_of(examples[1:], missing_images="skip")


def test_an_id_that_comes_twice_is_an_error(examples):
    with pytest.raises(ValueError, match=r"more than one example '0/en' under the condition 'as_is'"):
        task_of([examples[0], examples[0]])


def test_the_task_decodes_as_its_protocol_says(examples):
    task = task_of(examples[:1], protocol="centurio")
    assert (task.protocol, str(task.generation)) == ("centurio", "greedy search, 1 to 10 new tokens")
    assert task.origin == ORIGIN


def test_examples_of_one_image_share_its_bytes_and_no_others():
    twice, other = (
        [example(0, id=name, images=(bytes(bytearray(b"an image")),)) for name in "ab"],
        example(1, images=(b"b",)),
    )
    assert twice[0].images[0] is not twice[1].images[0]
    asked = task_of([*twice, other]).examples
    assert asked[0].images is asked[1].images
    assert [entry.images for entry in asked] == [(b"an image",), (b"an image",), (b"b",)]
