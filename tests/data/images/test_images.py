"""The forms an image comes in, and how each is opened and stored."""

import io

import pytest
from PIL import Image

from mblip.data.images import open_image, store_image

IMAGE = Image.effect_noise((9, 7), 50).convert("RGB")


def encoded(image_format="PNG"):
    buffer = io.BytesIO()
    IMAGE.save(buffer, format=image_format)
    return buffer.getvalue()


def forms(folder):
    """One image in every form an image may have."""
    path = folder / "image.png"
    path.write_bytes(encoded())
    record = {"bytes": encoded(), "path": None}
    return [IMAGE, encoded(), path, str(path), record, {"bytes": None, "path": str(path)}]


def test_every_form_of_an_image_opens_as_the_same_image(tmp_path):
    opened = [open_image(form, name="Row 1") for form in forms(tmp_path)]
    assert len(opened) == 6
    assert {image.tobytes() for image in opened} == {IMAGE.tobytes()}


def test_every_form_is_stored_with_the_file_inside(tmp_path):
    stored = [store_image(form, name="Row 1") for form in forms(tmp_path)]
    assert {open_image(record, name="Row 1").tobytes() for record in stored} == {IMAGE.tobytes()}
    assert [record["path"] for record in stored] == [None, None, "image.png", "image.png", None, "image.png"]


def test_a_photo_is_stored_as_it_was_encoded():
    assert store_image(encoded("JPEG"), name="Row 1") == {"bytes": encoded("JPEG"), "path": None}


@pytest.mark.parametrize("num_bytes", [0, 10, 60, 150])
def test_a_file_cut_off_anywhere_is_named(num_bytes):
    with pytest.raises(ValueError, match=rf"Row 1: the image \({num_bytes} bytes\) cannot be read as an image"):
        open_image(encoded()[:num_bytes], name="Row 1")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"Row 1: there is no file .*gone\.jpg"):
        open_image(tmp_path / "gone.jpg", name="Row 1")


def test_an_image_too_large_to_be_one_is_named(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match=r"Row 1: .*cannot be read as an image \(.*decompression bomb"):
        open_image(encoded(), name="Row 1")


@pytest.mark.parametrize("image", [None, 3, {"bytes": None, "path": None}, ["image.png"]])
def test_what_is_no_image_is_refused(image):
    with pytest.raises(
        ValueError, match=r"Row 1: found an image of type (NoneType|int|dict|list), expected a PIL image"
    ):
        open_image(image, name="Row 1")
