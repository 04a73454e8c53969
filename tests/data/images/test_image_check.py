"""What is stored of a checked image, and the limits of what is taken for one."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from mblip.data.images.check import ImageSettings, check_image, check_location
from tests.data.images.image_zoo import IMAGE, JPEG, PNG, READABLE, encode, noise

ROOT = Path(__file__).parents[3]
AS_IS = ImageSettings(store="as_is")


def test_a_large_photo_is_stored_with_its_shorter_side_at_256():
    large = noise(1200, 900)
    for image_format in ("JPEG", "PNG"):
        checked = check_image(encode(large, image_format))
        assert (checked.width, checked.height) == (341, 256)
        stored = np.asarray(Image.open(io.BytesIO(checked.bytes)).convert("L"), dtype=float)
        expected = np.asarray(large.convert("L").resize((341, 256), Image.Resampling.BICUBIC), dtype=float)
        assert np.abs(stored - expected).mean() < 4


def test_a_small_image_is_not_enlarged_and_a_turned_one_is_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    checked = check_image(encode(Image.new("RGB", (800, 600)), "JPEG", exif=exif))
    assert (checked.width, checked.height) == (256, 341)
    assert Image.open(io.BytesIO(checked.bytes)).getexif() == {}
    assert check_image(PNG).width == IMAGE.width


def test_a_small_bare_jpeg_stays_byte_for_byte_and_others_lose_what_is_no_image():
    assert check_image(JPEG).bytes == JPEG
    for kind in ("JPEG, comment of 60,000 bytes", "JPEG, EXIF of 60,000 bytes", "JPEG, bytes behind its end"):
        assert len(check_image(READABLE[kind].encoded).bytes) < 2000


def test_an_rgb_profile_other_than_srgb_is_kept_and_no_pixel_changed():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    other = srgb.replace("sRGB".encode("utf-16-be"), "P3!!".encode("utf-16-be")).replace(b"sRGB", b"P3!!")
    for profile, kept in ((srgb, None), (other, other), (b"no profile", None), (other + bytes(5000), None)):
        checked = check_image(encode(IMAGE, "PNG", icc_profile=profile))
        stored = Image.open(io.BytesIO(checked.bytes))
        assert stored.info.get("icc_profile") == kept
        assert np.array_equal(np.asarray(stored), np.asarray(Image.open(io.BytesIO(check_image(PNG).bytes))))


@pytest.mark.slow
def test_two_processes_with_other_hash_seeds_store_the_same_bytes():
    code = "\n".join(
        [
            "from mblip.data.images.check import check_image",
            "from tests.data.images.image_zoo import READABLE",
            "print(*(check_image(file.encoded).sha256 for file in READABLE.values()))",
        ]
    )
    here = " ".join(check_image(file.encoded).sha256 for file in READABLE.values())
    environment = {"PYTHONHASHSEED": "7", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == here


def test_limits_are_the_callers():
    assert check_image(PNG, ImageSettings(max_pixels=IMAGE.width * IMAGE.height)).format == "JPEG"
    refused = check_image(PNG, ImageSettings(max_pixels=IMAGE.width * IMAGE.height - 1))
    assert str(refused) == "too large: 48 x 32 pixels, more than the 1,535 allowed"
    assert check_image(PNG, ImageSettings(max_bytes=len(PNG) - 1)).reason == "too large"
    for wrong in ({"store": "as is"}, {"quality": 100}, {"shorter_side": 0}):
        [(name, value)] = wrong.items()
        with pytest.raises(ValueError, match=f"^`{name}` is {value!r}, expected"):
            ImageSettings(**wrong)


def test_a_location_is_opened_and_checked_and_named(tmp_path):
    (tmp_path / "image.txt").write_bytes(PNG)  # the name does not decide
    assert check_location(tmp_path / "image.txt", AS_IS).format == "PNG"
    assert str(check_location(tmp_path / "gone.png")) == f"missing: there is no file {tmp_path}/gone.png"
    assert check_location(tmp_path / "image.txt", ImageSettings(max_bytes=10)).reason == "too large"
    assert check_location("https://host/a.png", AS_IS, fetched=lambda url: PNG).bytes == PNG
