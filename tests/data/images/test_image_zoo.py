"""The broken-image zoo: every file is refused with its reason or read rightly; none becomes another image."""

import hashlib
import io
import random
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from mblip.data.images import Refused, open_image
from mblip.data.images.check import CheckedImage, ImageSettings, check_image
from processing_mblip import load_upright_rgb
from processing_mblip.image_decoding import strict_pillow
from tests.data.images import image_zoo_by_hand as by_hand
from tests.data.images.image_zoo import READABLE, REFUSED, encode, noise

ROOT = Path(__file__).parents[3]
AS_IS = ImageSettings(store="as_is")
SHARED_PHOTOS = ROOT / "../shared/data"


def shown(encoded: bytes | Image.Image) -> np.ndarray:
    return np.asarray(load_upright_rgb(encoded))


def opened(encoded: bytes) -> Image.Image | None:
    """The file as a PIL image that is not read yet; None if Pillow refuses it by itself, or reads it at once."""
    with (
        warnings.catch_warnings(),
        suppress(OSError, SyntaxError, ValueError, RuntimeError, Image.DecompressionBombError),
    ):
        warnings.simplefilter("ignore")
        image = Image.open(io.BytesIO(encoded))
        return None if image.format == "ICO" else image
    return None


def largest_difference(found: np.ndarray, expected: np.ndarray) -> int:
    assert found.shape == expected.shape
    return int(np.abs(found.astype(int) - expected).max())


def test_the_zoo_has_more_than_a_hundred_kinds():
    assert len(READABLE) >= 50
    assert len(REFUSED) >= 50
    assert len({kind.encoded for kind in READABLE.values()} | {encoded for encoded, _ in REFUSED.values()}) >= 100


@pytest.mark.parametrize("kind", READABLE)
def test_a_readable_file_shows_its_image_also_when_pillow_has_opened_it(kind):
    file = READABLE[kind]
    assert largest_difference(shown(file.encoded), file.pixels) <= file.tolerance
    assert np.array_equal(shown(file.encoded), shown(opened(file.encoded) or file.encoded))


@pytest.mark.parametrize("kind", READABLE)
def test_what_is_stored_shows_the_same_image(kind):
    file = READABLE[kind]
    height, width, _ = file.pixels.shape
    as_is = check_image(file.encoded, AS_IS)
    assert (as_is.bytes, as_is.width, as_is.height) == (file.encoded, width, height)
    at_size = check_image(file.encoded, ImageSettings(quality=95))
    stored = Image.open(io.BytesIO(at_size.bytes))
    assert (
        (stored.format, stored.size) == ("JPEG", (width, height)) == (at_size.format, (at_size.width, at_size.height))
    )
    assert largest_difference(np.asarray(stored.convert("RGB")), file.pixels) <= file.tolerance + 40  # at sharp edges
    assert np.abs(np.asarray(stored.convert("RGB")).astype(int) - file.pixels).mean() <= 4
    for checked in (as_is, at_size):
        assert checked.sha256 == hashlib.sha256(checked.bytes).hexdigest()


@pytest.mark.parametrize("kind", REFUSED)
def test_a_broken_file_is_refused_with_its_reason(kind):
    encoded, reason = REFUSED[kind]
    began = time.process_time()
    for settings in (ImageSettings(), AS_IS):
        refused = check_image(encoded, settings)
        assert isinstance(refused, Refused)
        assert refused.reason == reason, str(refused)
        assert refused.detail
    assert time.process_time() - began < 2
    deep = reason == "unsupported" and encoded[:2] in (b"II", b"MM")  # its values are refused by the processor
    with pytest.raises(ValueError, match=rf"image 3 \({len(encoded):,} bytes\) .*\({reason}: "):
        load_upright_rgb(encoded, "image 3")
    for given in (encoded, opened(encoded)):
        if given is not None and not deep:
            with pytest.raises(ValueError, match=r"Row 1: .* cannot be read as an image"):
                open_image(given, name="Row 1")
    if (image := opened(encoded)) is not None:
        with pytest.raises(ValueError, match=rf"image 3 \(a PIL image of mode \w+\) .*\({reason}: "):
            load_upright_rgb(image, "image 3")


def test_a_broken_image_never_becomes_a_black_one():
    """Defect 5: the original put `Image.new("RGB", (224, 224))` in its place and went on."""

    def original(encoded: bytes) -> Image.Image:
        try:
            return Image.open(io.BytesIO(encoded)).convert("RGB")
        except OSError:
            return Image.new("RGB", (224, 224))

    broken = REFUSED["JPEG, half"][0]
    assert not np.asarray(original(broken)).any()
    assert isinstance(check_image(broken), Refused)
    with pytest.raises(ValueError, match=r"Row 1: .*cannot be read as an image"):
        open_image(broken, name="Row 1")


@pytest.mark.parametrize("kind", READABLE)
def test_a_file_cut_off_anywhere_is_refused_or_shows_the_same_image(kind):
    encoded = READABLE[kind].encoded
    whole = shown(encoded)
    num_refused = 0
    for length in range(0, len(encoded), max(1, len(encoded) // 60)):
        try:
            assert np.array_equal(shown(encoded[:length]), whole), f"{length} of {len(encoded)} bytes"
        except ValueError:
            num_refused += 1
    assert num_refused > 0


@pytest.mark.parametrize(
    "settings", [{}, {"subsampling": 0}, {"restart_marker_blocks": 5}, {"optimize": True}, {"progressive": True}]
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_cut_off_and_closed_by_an_end_marker_is_noticed(mode, settings):
    encoded = encode(noise(150, 100).convert(mode), "JPEG", **settings)
    assert isinstance(check_image(encoded), CheckedImage)
    begin = by_hand.scan_begins(encoded)[0] + 20
    for length in range(begin, len(encoded) - 100, len(encoded) // 50):  # not within the last block
        assert check_image(encoded[:length] + by_hand.END_OF_IMAGE).reason == "cut off", length


def test_every_jpeg_that_is_whole_passes(tmp_path):
    sizes = [(1, 1), (8, 8), (7, 9), (17, 33), (3, 300), (300, 3), (64, 64)]
    ways = [
        {},
        {"progressive": True},
        {"subsampling": 0},
        {"subsampling": 1},
        {"restart_marker_rows": 1},
        {"quality": 5},
    ]
    for size in sizes:
        for image in (noise(*size), Image.new("L", size, 128), Image.new("L", size, 255)):
            for mode in ("L", "RGB", "CMYK"):
                for way in ways:
                    encoded = encode(image.convert("RGB").convert(mode), "JPEG", **way)
                    assert isinstance(check_image(encoded), CheckedImage), (size, mode, way)


def test_every_real_photo_passes_and_its_closed_half_does_not():
    photos = sorted(SHARED_PHOTOS.rglob("*.jpg"))[:60]
    if not photos:
        pytest.skip("the photos of shared/data are not at hand")
    for path in photos:
        encoded = path.read_bytes()
        assert isinstance(check_image(encoded), CheckedImage)
        assert np.array_equal(shown(encoded), np.asarray(Image.open(path).convert("RGB")))
        half = encoded[: len(encoded) // 2] + by_hand.END_OF_IMAGE
        for given in (half, Image.open(io.BytesIO(half))):
            with pytest.raises(ValueError, match="cut off: "):
                load_upright_rgb(given)


def test_settings_of_pillow_in_the_users_program_weaken_nothing_and_stay(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    filters = list(warnings.filters)
    for kind, (encoded, reason) in REFUSED.items():
        with pytest.raises(ValueError, match=rf"\({reason}: "):
            load_upright_rgb(encoded, kind)
    with strict_pillow(), ThreadPoolExecutor(1) as thread:
        assert np.array_equal(thread.submit(shown, READABLE["PNG"].encoded).result(), READABLE["PNG"].pixels)
        assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True
    assert warnings.filters == filters


@pytest.mark.parametrize("name", ["EPS", "TGA", "DDS", "SGI", "PCX"])
def test_a_format_outside_the_list_is_not_even_tried(monkeypatch, name):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, name)
    image = Image.open(buffer)
    assert image.format == name

    def fail(*args, **kwargs):
        raise AssertionError("the plugin was asked")

    monkeypatch.setattr(type(image), "__init__", fail)
    monkeypatch.setattr(type(image), "load", fail)
    for given in (buffer.getvalue(), image):
        with pytest.raises(ValueError, match=r"image 3 .*\((unsupported|not an image): "):
            load_upright_rgb(given, "image 3")


def test_mutated_files_raise_nothing_but_refusals():
    draw = random.Random(0)
    files = [file.encoded for file in READABLE.values()]
    verdicts = set()
    for number in range(1500):
        mutated = bytearray(files[number % len(files)])
        for _ in range(draw.randint(1, 4)):
            mutated[draw.randrange(min(len(mutated), draw.choice((200, 10**6))))] = draw.choice(
                (0, 255, draw.randrange(256))
            )
        verdicts.add(type(check_image(bytes(mutated), ImageSettings(max_pixels=10**6))))
    assert verdicts == {CheckedImage, Refused}


MEMORY_OF_BOMBS = """
import resource, sys
from mblip.data.images.check import check_image
from processing_mblip import load_upright_rgb
from tests.data.images.image_zoo import REFUSED
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
bombs = [encoded for encoded, reason in REFUSED.values() if reason == "too large"]
assert len(bombs) >= 6
for encoded in bombs:
    try:
        load_upright_rgb(encoded)
    except ValueError:
        pass
print([check_image(encoded).reason for encoded in bombs], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_bombs_take_no_memory():
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_OF_BOMBS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout.split()[-1]) < 20_000  # KB
