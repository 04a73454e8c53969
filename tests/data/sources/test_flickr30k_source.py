"""Flickr30k and xFlickrCO: what is read, which photos are COCO's, and what is refused."""

from collections import Counter
from pathlib import Path

import pytest

from mblip.data.example import Example
from mblip.data.skipped import SkipReport
from mblip.data.sources.flickr30k import XFLICKRCO_LANGUAGES, flickr30k, read_xflickrco
from tests.data.sources.sample_data import SAMPLES, needs_samples, write_lines

FLICKR = {"sentences": ["Ein Mann. ", "Zwei Männer."], "id": "1013", "img_path": "1013.jpg"}
COCO = {"sentences": ["Ein Bad."], "id": 391895, "img_path": "COCO_val2014_000000391895.jpg"}
PLACES = {"images": Path("flickr"), "coco_images": "https://example.org/val2014"}


def test_each_caption_of_flickr30k_becomes_an_example(tmp_path):
    path = write_lines(tmp_path / "train_ann.jsonl", [FLICKR])
    shared = {
        "images": (Path("flickr/1013.jpg"),),
        "prompt": "",
        "language": "en",
        "task": "captioning",
        "source": "flickr30k",
        "image_id": "flickr30k/1013",
    }
    assert list(flickr30k(0, path=path, images=Path("flickr"))) == [
        Example(target="Ein Mann.", id="1013/0", **shared),
        Example(target="Zwei Männer.", id="1013/1", **shared),
    ]


def test_a_photo_of_xflickrco_is_called_as_its_own_corpus_calls_it(tmp_path):
    path = write_lines(tmp_path / "test.jsonl", [FLICKR, COCO])
    examples = list(read_xflickrco(path, language="de", **PLACES))
    assert [(e.id, e.images[0], e.image_id, e.language, e.source) for e in examples] == [
        ("de/1013/0", Path("flickr/1013.jpg"), "flickr30k/1013", "de", "xflickrco"),
        ("de/1013/1", Path("flickr/1013.jpg"), "flickr30k/1013", "de", "xflickrco"),
        (
            "de/COCO_val2014_000000391895/0",
            "https://example.org/val2014/COCO_val2014_000000391895.jpg",
            "coco/000000391895",
            "de",
            "xflickrco",
        ),
    ]


def test_a_photo_of_coco_is_found_under_its_name_of_2017_too(tmp_path):
    folder = tmp_path / "train2017"
    folder.mkdir()
    (folder / "000000391895.jpg").touch()
    path = write_lines(tmp_path / "test.jsonl", [COCO, COCO | {"img_path": "COCO_val2014_000000000001.jpg"}])
    with pytest.raises(ValueError, match=r"test\.jsonl, line 2: there is no photo of the image id 1 in"):
        list(read_xflickrco(path, language="tr", images="flickr", coco_images=tmp_path))
    skipped = SkipReport()
    (example,) = read_xflickrco(
        path, language="tr", images="flickr", coco_images=tmp_path, missing="count", skipped=skipped
    )
    assert (example.images, example.image_id) == ((folder / "000000391895.jpg",), "coco/000000391895")
    assert skipped.names == {"no photo of the image id": ["xflickrco/tr/COCO_val2014_000000000001"]}


def test_photos_of_coco_need_a_location_and_the_others_do_not(tmp_path):
    flickr = write_lines(tmp_path / "train_1.jsonl", [FLICKR])
    assert len(list(read_xflickrco(flickr, language="de", images="flickr"))) == 2
    coco = write_lines(tmp_path / "test.jsonl", [COCO])
    with pytest.raises(
        ValueError,
        match=r"test\.jsonl, line 1: COCO_val2014_000000391895\.jpg .*Give the location of those in `coco_images`",
    ):
        list(read_xflickrco(coco, language="de", images="flickr"))


def test_an_empty_caption_is_skipped_and_moves_no_other(tmp_path):
    skipped = SkipReport()
    path = write_lines(tmp_path / "test.jsonl", [FLICKR | {"sentences": ["", "Ein Mann."]}])
    (example,) = read_xflickrco(path, language="de", **PLACES, skipped=skipped)
    assert example.id == "de/1013/1"
    assert skipped.names == {"empty text": ["xflickrco/de/1013/0"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"sentences": "Ein Mann."},
            r"test\.jsonl, line 2: `sentences` is 'Ein Mann\.', text, expected a list of text",
        ),
        ({"sentences": [None]}, r"test\.jsonl, line 2: `sentences\[0\]` is nothing, expected text"),
        ({"img_path": None}, r"test\.jsonl, line 2: `img_path` is missing or null"),
        ({"img_path": "train2014/x.jpg"}, r"test\.jsonl, line 2: `img_path` is 'train2014/x\.jpg', expected a name"),
    ],
)
def test_a_record_that_is_not_as_published_is_named(tmp_path, changes, message):
    path = write_lines(tmp_path / "test.jsonl", [FLICKR, FLICKR | changes])
    with pytest.raises(ValueError, match=message):
        list(flickr30k(0, path=path, images=tmp_path))
    with pytest.raises(ValueError, match=message):
        list(read_xflickrco(path, language="de", **PLACES))


def test_flickr30k_has_no_photos_of_coco(tmp_path):
    path = write_lines(tmp_path / "test.jsonl", [COCO])
    with pytest.raises(ValueError, match=r"line 1: `img_path` is 'COCO_val2014_.*expected a name such as 101362133"):
        list(flickr30k(0, path=path, images=tmp_path))


@needs_samples("flickr30k")
def test_every_published_caption_of_flickr30k_is_read():
    folder = SAMPLES / "flickr30k/annotations"
    read = {name: list(flickr30k(0, path=folder / f"{name}_ann.jsonl", images="f")) for name in ("valid", "test")}
    assert {name: len({example.id for example in examples}) for name, examples in read.items()} == {
        "valid": 1000,
        "test": 1250,
    }


@needs_samples("xflickrco")
@pytest.mark.parametrize("language", XFLICKRCO_LANGUAGES)
def test_every_published_caption_of_xflickrco_is_read_or_skipped(language):
    skipped = SkipReport()
    path = SAMPLES / "xflickrco/annotations" / language / "test.jsonl"
    examples = list(read_xflickrco(path, language=language, **PLACES, skipped=skipped))
    assert skipped.counts == ({"empty text": 1} if language == "de" else {})
    assert len({example.id for example in examples}) == 500 - skipped.counts.total()
    corpora = Counter(example.image_id.partition("/")[0] for example in examples)
    assert corpora["coco"] + corpora["flickr30k"] == len(examples)
    assert min(corpora.values()) >= 249


@needs_samples("xflickrco")
@needs_samples("coco")
def test_sampled_photos_of_coco_are_those_of_sampled_captions():
    skipped = SkipReport()
    path = SAMPLES / "xflickrco/annotations/de/test.jsonl"
    positions = {"images": "flickr", "coco_images": SAMPLES / "coco/images", "missing": "count"}
    examples = [e for e in read_xflickrco(path, language="de", **positions, skipped=skipped) if "coco" in e.image_id]
    assert examples
    assert all(example.images[0].is_file() for example in examples)
    assert len(examples) + skipped.counts["no photo of the image id"] == 250


@needs_samples("xflickrco")
def test_published_training_files_hold_one_caption_a_photo_or_five():
    folder = SAMPLES / "xflickrco/annotations/ja"
    few = list(read_xflickrco(folder / "train_100.jsonl", language="ja", **PLACES))
    many = list(read_xflickrco(folder / "train_100x5.jsonl", language="ja", **PLACES))
    assert (len(few), len(many)) == (100, 500)
    assert {example.image_id for example in few} == {example.image_id for example in many}
