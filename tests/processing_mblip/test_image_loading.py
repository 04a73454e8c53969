"""Images of every kind come out as a person sees them."""

import base64
import io
import os
import traceback
from urllib.parse import quote

import numpy as np
import pytest
import torch
from PIL import Image

from processing_mblip import load_upright_rgb

RED_BLUE = [(255, 0, 0), (0, 0, 255)]


def pixels(image: Image.Image) -> list:
    assert image.mode == "RGB"
    return [image.getpixel((x, y)) for y in range(image.height) for x in range(image.width)]


def encode(image: Image.Image, file_format: str = "PNG", **kwargs) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **kwargs)
    return buffer.getvalue()


def red_blue() -> Image.Image:
    image = Image.new("RGB", (2, 1))
    image.putdata(RED_BLUE)
    return image


def test_an_upright_rgb_image_comes_back_as_the_same_object():
    image = red_blue()
    assert load_upright_rgb(image) is image


def test_bytes_path_data_uri_and_base64_hold_the_same_image(tmp_path):
    encoded = encode(red_blue())
    path = tmp_path / "a.png"
    path.write_bytes(encoded)
    text = base64.b64encode(encoded).decode()
    url_safe = base64.urlsafe_b64encode(encoded).decode().rstrip("=")
    uris = [f"data:image/png;base64,{text}", f"DATA:image/png;BASE64,{quote(text, safe='')}"]
    uris += [
        f"data:;base64,{url_safe}",
        f"data:image/png,{quote(encoded)}",
        path.as_uri(),
        f"file://localhost{path}",
        f"file:{path}",
    ]
    for given in (encoded, bytearray(encoded), memoryview(encoded), path, str(path), text, url_safe, *uris):
        assert pixels(load_upright_rgb(given)) == RED_BLUE


ROW = np.array([[255, 0, 0], [0, 0, 255]])
HWC = np.stack([ROW, ROW])  # two equal rows, since (1, W, 3) might be one channel of W x 3


@pytest.mark.parametrize(
    "values",
    [
        HWC.astype(np.uint8),
        HWC,
        HWC.astype(np.float64),
        (HWC / 255).astype(np.float32),
        HWC.astype(np.uint16) * 257,
        HWC.astype(">i4"),
        HWC > 0,
        HWC.astype(np.uint8)[:, ::-1][:, ::-1],
        np.concatenate([HWC, np.full((2, 2, 1), 255)], axis=-1).astype(np.uint8),
        torch.from_numpy(HWC).permute(2, 0, 1),
        (torch.from_numpy(HWC) / 255).to(torch.bfloat16).requires_grad_(),
    ],
    ids=lambda values: f"{type(values).__name__}-{values.dtype}-{tuple(values.shape)}",
)
def test_arrays_and_tensors_of_any_layout_and_scale_hold_the_same_image(values):
    assert pixels(load_upright_rgb(values)) == RED_BLUE * 2


@pytest.mark.parametrize(
    ("values", "want"),
    [
        (HWC[:1, :1], [(255, 0, 0)]),
        (HWC[:1], RED_BLUE),
        (HWC[:1].transpose(2, 0, 1), RED_BLUE),
        (HWC[:1].transpose(1, 0, 2).transpose(2, 0, 1), RED_BLUE),
        (HWC[:1, :1, :1], [(255, 255, 255)]),
    ],
    ids=lambda values: str(np.shape(values)),
)
def test_arrays_one_pixel_high_or_wide_keep_their_colours(values, want):
    assert pixels(load_upright_rgb(values.astype(np.uint8))) == want


def test_grey_arrays_are_grey():
    assert pixels(load_upright_rgb(np.array([[0, 128]], dtype=np.uint8))) == [(0, 0, 0), (128, 128, 128)]


def test_transparency_lies_on_white():
    rgba = Image.new("RGBA", (3, 1))
    rgba.putdata([(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 128)])
    want = [(255, 0, 0), (255, 255, 255), (127, 127, 127)]
    assert pixels(load_upright_rgb(rgba)) == want
    assert pixels(load_upright_rgb(encode(rgba))) == want
    premultiplied = rgba.convert("RGBa")
    assert pixels(load_upright_rgb(premultiplied)) == want
    grey = Image.new("LA", (2, 1))
    grey.putdata([(10, 255), (10, 0)])
    assert pixels(load_upright_rgb(grey)) == [(10, 10, 10), (255, 255, 255)]


def test_a_palette_with_a_transparent_colour_lies_on_white():
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([0, 1])
    assert pixels(load_upright_rgb(encode(palette))) == RED_BLUE
    for file_format in ("PNG", "GIF"):
        encoded = encode(palette, file_format, transparency=1)
        assert pixels(load_upright_rgb(encoded)) == [(255, 0, 0), (255, 255, 255)]


def test_cmyk_shows_its_colours():
    image = Image.new("CMYK", (2, 1))
    image.putdata([(0, 255, 255, 0), (255, 255, 0, 0)])
    assert pixels(load_upright_rgb(image)) == RED_BLUE


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(file_format):
    image = Image.fromarray(np.array([[0, 257, 32896, 65535]], dtype=np.uint16))
    greys = [colour[0] for colour in pixels(load_upright_rgb(encode(image, file_format)))]
    assert greys == [0, 1, 128, 255]


@pytest.mark.parametrize(
    ("values", "greys"),
    [
        (np.array([[0, 255]], dtype=np.int32), [0, 255]),
        (np.array([[0, 65535]], dtype=np.int32), [0, 255]),
        (np.array([[0.0, 0.5, 1.0]], dtype=np.float32), [0, 128, 255]),
        (np.array([[0.0, 200.0]], dtype=np.float32), [0, 200]),
    ],
)
def test_deep_grey_pil_images_are_scaled_by_what_they_hold(values, greys):
    assert [colour[0] for colour in pixels(load_upright_rgb(Image.fromarray(values)))] == greys


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("values", "greys"),
    [
        ([0.0, 0.5, 1.0001], [0, 128, 255]),  # as bicubic resampling leaves an edge
        ([-0.09, 0.5, 1.09], [0, 128, 255]),
        ([-0.05, 0.0], [0, 0]),
        ([-3.0, 100.0, 258.0], [0, 100, 255]),
        ([0.0, 3.0], [0, 3]),
    ],
)
def test_floats_a_little_outside_their_range_are_clipped(values, greys):
    array = np.array([values, values], dtype=np.float32)
    for given in (array, array.astype(np.longdouble), torch.from_numpy(array), Image.fromarray(array)):
        assert [colour[0] for colour in pixels(load_upright_rgb(given))] == greys * 2
    whole = Image.fromarray(array.astype(np.int32)) if 258.0 in values else None
    assert whole is None or [colour[0] for colour in pixels(load_upright_rgb(whole))] == greys * 2


@pytest.mark.parametrize(
    "values",
    [[-1, 2], [-1, 1], [-0.2, 1], [0, 1.2], [-1.8, 2.1], [-0.1, 2.1], [-30, 255], [NAN, NAN], [0, NAN], [0, INF]],
    ids=str,
)
def test_floats_of_no_known_range_are_refused(values):
    array = np.array([values, values], dtype=np.float32)
    for given in (array, torch.from_numpy(array), Image.fromarray(array)):
        with pytest.raises(ValueError, match=r"image 1 .*\(unsupported: values from .* expected 0\.\.255, or 0\.\.1"):
            load_upright_rgb(given, "image 1")


@pytest.mark.parametrize(
    ("orientations", "size", "want"),
    [
        ((1, 4, 9), (2, 1), RED_BLUE),  # 9 is none
        ((2, 3), (2, 1), RED_BLUE[::-1]),
        ((5, 6), (1, 2), RED_BLUE),
        ((7, 8), (1, 2), RED_BLUE[::-1]),
    ],
)
@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF"])
def test_an_exif_orientation_is_followed(file_format, orientations, size, want):
    for orientation in orientations:
        exif = Image.Exif()
        exif[0x0112] = orientation
        lossless = {"lossless": True} if file_format == "WEBP" else {}
        upright = load_upright_rgb(encode(red_blue(), file_format, exif=exif, **lossless))
        assert upright.size == size
        assert pixels(upright) == want


@pytest.mark.parametrize(("file_format", "kwargs"), [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True})])
def test_of_an_animation_the_first_frame_is_shown(file_format, kwargs):
    frames = [Image.new("RGB", (1, 1), colour) for colour in RED_BLUE]
    encoded = encode(frames[0], file_format, save_all=True, append_images=frames[1:], **kwargs)
    assert Image.open(io.BytesIO(encoded)).n_frames == 2
    assert pixels(load_upright_rgb(encoded)) == [RED_BLUE[0]]


def test_a_missing_file_is_named():
    with pytest.raises(ValueError, match=r"image 2 \('no/such.jpg'\) .*\(missing: there is no such file"):
        load_upright_rgb("no/such.jpg", "image 2")
    for looks_like_base64 in ("photos/one", "my-photo", ""):
        with pytest.raises(ValueError, match=r"there is no such file.* Check the path"):
            load_upright_rgb(looks_like_base64)


def test_a_truncated_image_that_was_only_opened_is_named():
    image = Image.open(io.BytesIO(encode(Image.new("RGB", (40, 40), "red"), "JPEG")[:-20]))
    with pytest.raises(ValueError, match=r"image 3 \(a PIL image of mode RGB\).*cut off"):
        load_upright_rgb(image, "image 3")


def test_a_pil_image_is_read_in_place_and_its_file_closed_as_pillow_does(tmp_path):
    """Warnings are errors here, so a file left open would be one."""
    for file_format in ("JPEG", "PNG", "TIFF", "WEBP", "BMP"):
        path = tmp_path / f"a.{file_format}"
        Image.new("RGB", (4, 3), "red").save(path)
        image = Image.open(path)
        assert load_upright_rgb(image).size == (4, 3)
        image.load()
        with path.open("rb") as opened:
            load_upright_rgb(Image.open(opened))
            assert not opened.closed


def test_a_frame_that_was_sought_is_the_one_shown():
    frames = [Image.new("RGB", (1, 1), colour) for colour in RED_BLUE]
    for file_format in ("TIFF", "PNG", "WEBP", "GIF", "MPO"):
        lossless = {"lossless": True} if file_format == "WEBP" else {}
        image = Image.open(
            io.BytesIO(encode(frames[0], file_format, save_all=True, append_images=frames[1:], **lossless))
        )
        image.seek(1)
        (colour,) = pixels(load_upright_rgb(image))
        assert colour[2] > 250 > colour[0], file_format


@pytest.mark.parametrize("file_format", [None, "PNG", "JPEG", "WEBP", "TIFF", "GIF"])
def test_a_closed_pil_image_is_refused(file_format):
    image = Image.open(io.BytesIO(encode(red_blue(), file_format))) if file_format else red_blue()
    image.close()
    with pytest.raises(ValueError, match=r"image 3 \(a PIL image of mode \w+\) .*is closed"):
        load_upright_rgb(image, "image 3")


@pytest.mark.parametrize("keep", [0, 10, -20], ids=["empty", "header", "truncated"])
def test_a_broken_file_is_named_with_its_path(tmp_path, keep):
    path = tmp_path / "broken.jpg"
    path.write_bytes(encode(Image.effect_noise((64, 64), 80), "JPEG")[:keep])
    with pytest.raises(ValueError, match=r"image 0 \('.*broken.jpg'\) cannot be read as an image"):
        load_upright_rgb(path, "image 0")


def test_a_folder_and_a_text_file_are_no_images(tmp_path):
    (tmp_path / "a.txt").write_text("not an image")
    with pytest.raises(ValueError, match=r"a.txt'\) .*not an image: 12 bytes of text\)"):
        load_upright_rgb(tmp_path / "a.txt")
    for given in (tmp_path, str(tmp_path)):
        with pytest.raises(ValueError, match=r"unreadable: .* is a folder, expected a file"):
            load_upright_rgb(given)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match=r"unreadable: .* is a pipe or device, expected a file"):
        load_upright_rgb(tmp_path / "pipe")


SECRET = "geheim"


@pytest.mark.parametrize(
    "given",
    [
        f"P3 2 2 255 {SECRET * 5}".encode(),
        f"{SECRET}:x:0:0".encode(),
        f"GIF89a{SECRET * 9}".encode(),
        f"data:text/plain,{SECRET}",
        f"data:image/png;base64,{SECRET}",
        SECRET * 100,
        f"ftp://user:{SECRET}@host/a.png?{SECRET}",
        f"https://user:{SECRET}@host/a.png?{SECRET}",
        f"http://[{SECRET}/",
        f"file://[?{SECRET}/a",
        f"file://host/a?{SECRET}",
        f"http://user:{SECRET}?x/y@host/",
        f"http://user:1/{SECRET}@host/",
    ],
)
def test_messages_hold_neither_contents_nor_passwords_nor_signatures(given):
    with pytest.raises(ValueError, match=r"image 3 \(") as caught:
        load_upright_rgb(given, "image 3")
    assert SECRET not in "".join(traceback.format_exception_only(caught.value)) + str(caught.value.__cause__)


def test_normalised_values_are_refused():
    with pytest.raises(ValueError, match=r"values from -1 to 2, expected 0\.\.255.* as `pixel_values`"):
        load_upright_rgb(torch.tensor([[-1.0, 2.0]]))
    with pytest.raises(ValueError, match=r"values from -3 to 200, expected 0\.\.255"):
        load_upright_rgb(torch.tensor([[-3, 200]]))


@pytest.mark.parametrize("shape", [(5,), (0, 4), (2, 4, 4, 3), (5, 5, 2)])
def test_an_array_that_is_not_one_image_is_refused(shape):
    with pytest.raises(ValueError, match=r"expected one image, \(H, W\)"):
        load_upright_rgb(np.zeros(shape, dtype=np.uint8))


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((4, 4, 3), dtype=complex),
        np.array([["a"]]),
        np.array([[None]]),
        np.array([["2020-01-01"]], dtype="M8[D]"),
        np.zeros((4, 4), dtype=[("a", "u1")]),
        np.ma.masked_equal(np.eye(4), 0),
        torch.zeros(4, 4, 3, dtype=torch.complex64),
        torch.empty(4, 4, 3, device="meta"),
        torch.zeros(4, 4, 3, dtype=torch.uint8).to_sparse(),
        torch.zeros(2, 4, 4, 3).to_sparse(),
        torch.empty(4, 4, 3, dtype=torch.bits8),
    ],
    ids=lambda values: f"{type(values).__name__}-{values.dtype}",
)
def test_values_that_are_no_numbers_of_an_image_are_refused(values, processor):
    with pytest.raises(ValueError, match=r"image 1 \(.* expected integers or floats"):
        load_upright_rgb(values, "image 1")
    with pytest.raises(ValueError, match=r"image 0 \(.* expected integers or floats"):
        processor(images=[values], text="a")


def test_an_array_of_too_many_values_is_refused_before_they_are_copied():
    for values in (
        np.broadcast_to(np.float32(0), (60_000, 60_000, 3)),
        torch.zeros(1, 1, 1).expand(3, 60_000, 60_000),
    ):
        with pytest.raises(ValueError, match=r"too large: 10,800,000,000 values, more than the 357,913,940 allowed"):
            load_upright_rgb(values)


@pytest.mark.filterwarnings("ignore:.*(nested|quantized).*")
def test_quantised_and_nested_tensors_are_refused(processor):
    nested = torch.nested.nested_tensor([torch.zeros(3, 4, 4), torch.zeros(3, 4, 5)])
    for values in (nested, torch.quantize_per_tensor(torch.rand(4, 4, 3), 0.1, 0, torch.quint8)):
        with pytest.raises(ValueError, match=r"image 0 \(.* expected integers or floats in memory"):
            processor(images=values, text="a")


def test_an_image_without_pixels_is_refused():
    with pytest.raises(ValueError, match=r"image 1 .* \(no pixels: 0 x 5 pixels\)"):
        load_upright_rgb(Image.new("RGB", (0, 5)), "image 1")


def test_any_other_type_is_refused():
    with pytest.raises(TypeError, match="image 1 is of type int"):
        load_upright_rgb(5, "image 1")
