"""Captions in COCO's layout: of one language and of several, with and without names of files."""

import pytest

from mblip.evaluation.tasks.coco_captions import coco_captions
from tests.data.sources.sample_data import write_json
from tests.evaluation.tasks.small_benchmarks import UNCHECKED, task_of


@pytest.fixture
def recipe(tmp_path):
    """A recipe of two images in English, with other fields where they are given."""
    images = [{"id": 42, "file_name": "COCO_val2014_000000000042.jpg"}, {"id": 7, "file_name": "7.jpg"}]
    captions = [{"image_id": image, "id": id, "caption": text} for id, (image, text) in enumerate(
        [(7, "A cat."), (42, " A dog."), (7, "One cat."), (7, " ")])]  # fmt: skip
    path = write_json(tmp_path / "captions_val2014.json", {"images": images, "annotations": captions})
    return lambda **fields: task_of(coco_captions, **{"annotations": path, "images": "coco"} | fields)


def test_the_images_are_captioned_in_the_order_of_the_file(recipe):
    task = recipe().build(UNCHECKED)
    assert [(e.id, e.image_id, e.references, str(e.images[0])) for e in task.examples] == [
        ("en/42", "coco_captions/42", ("A dog.",), "coco/COCO_val2014_000000000042.jpg"),
        ("en/7", "coco_captions/7", ("A cat.", "One cat."), "coco/7.jpg"),
    ]
    assert (task.name, task.skipped.names) == ("coco_captions", {"empty text": ["coco_captions/en/7/2"]})
    assert task.examples[0].prompt == "Caption in English: "


def test_the_originals_files_of_several_languages_have_texts_as_ids_and_no_names(recipe, tmp_path):
    for code, text in (("de", "Ein Fluss."), ("he", "נהר.")):
        ids = ("00a7", "1.jpg")  # of XM3600 and of xFlickrCO
        annotations = [{"image_id": id, "id": number, "caption": text} for number, id in enumerate(ids)]
        content = {"annotations": annotations, "images": [{"id": id} for id in ids]}
        write_json(tmp_path / f"xm3600_coco_{code}.json", content)
    files = {"annotations": tmp_path / "xm3600_coco_{language}.json", "languages": ("de", "he")}
    task = recipe(**files, tokenization="segmented").build(UNCHECKED)
    assert [(e.id, e.language, e.references, str(e.images[0])) for e in task.examples] == [
        ("de/00a7", "de", ("Ein Fluss.",), "coco/00a7.jpg"),
        ("de/1.jpg", "de", ("Ein Fluss.",), "coco/1.jpg"),
        ("iw/00a7", "iw", ("נהר.",), "coco/00a7.jpg"),
        ("iw/1.jpg", "iw", ("נהר.",), "coco/1.jpg"),
    ]
    assert "segmented before" in task.metric.description
    with pytest.raises(ValueError, match=r"found .*val2014\.json for every language, expected one file per language"):
        recipe(languages=("de", "en")).build(UNCHECKED)


def test_a_caption_of_an_unknown_image_is_an_error(recipe, tmp_path):
    content = {"images": [{"id": 1}], "annotations": [{"image_id": 2, "id": 0, "caption": "A cat."}]}
    path = write_json(tmp_path / "broken.json", content)
    with pytest.raises(ValueError, match=r"captions of the image id 2 \(1 such ids\), which is not among"):
        recipe(annotations=path).build(UNCHECKED)
