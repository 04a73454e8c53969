"""Images of every kind come out as a person sees them."""

import base64
import io
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

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
    for given in (encoded, bytearray(encoded), path, str(path), text, f"data:image/png;base64,{text}"):
        assert pixels(load_upright_rgb(given)) == RED_BLUE


def test_a_url_is_fetched_as_a_browser_does():
    paths = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            self.send_response(404 if self.path == "/b.png" else 200)
            self.end_headers()
            self.wfile.write(encode(red_blue()))

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        for path in ("a.png?size=2", "Kölner Dom.png", "K%C3%B6ln.png", "图.png"):
            assert pixels(load_upright_rgb(f"{url}/{path}")) == RED_BLUE
        assert paths == ["/a.png?size=2", "/K%C3%B6lner%20Dom.png", "/K%C3%B6ln.png", "/%E5%9B%BE.png"]
        with pytest.raises(ValueError, match=r"image 3 \('http://.*/b.png'\) could not be read: HTTPError: .*404"):
            load_upright_rgb(f"{url}/b.png", "image 3")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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


def test_deep_grey_that_is_no_image_is_an_error():
    with pytest.raises(ValueError, match=r"cannot be converted to RGB: its grey values run from -1\.0 to 1\.0"):
        load_upright_rgb(Image.fromarray(np.array([[-1, 1]], dtype=np.float32)))


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
    with pytest.raises(ValueError, match=r"image 2 \('no/such.jpg'\) does not exist"):
        load_upright_rgb("no/such.jpg", "image 2")


def test_a_truncated_image_that_was_only_opened_is_named():
    image = Image.open(io.BytesIO(encode(Image.new("RGB", (40, 40), "red"), "JPEG")[:-20]))
    with pytest.raises(ValueError, match=r"image 3 \(a PIL image of mode RGB\).*truncated"):
        load_upright_rgb(image, "image 3")


@pytest.mark.parametrize("keep", [0, 10, -20], ids=["empty", "header", "truncated"])
def test_a_broken_file_is_named_with_its_path(tmp_path, keep):
    path = tmp_path / "broken.jpg"
    path.write_bytes(encode(Image.effect_noise((64, 64), 80), "JPEG")[:keep])
    with pytest.raises(ValueError, match=r"image 0 \('.*broken.jpg'\) is not an image that Pillow can read"):
        load_upright_rgb(path, "image 0")


def test_a_folder_and_a_text_file_are_no_images(tmp_path):
    (tmp_path / "a.txt").write_text("not an image")
    with pytest.raises(ValueError, match=r"a.txt.*is not an image that Pillow can read: its format is unknown"):
        load_upright_rgb(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="does not exist: there is no such file"):
        load_upright_rgb(tmp_path)


def test_normalised_values_are_refused():
    with pytest.raises(ValueError, match=r"holds values from -1 to 2; expected 0\.\.255"):
        load_upright_rgb(torch.tensor([[-1.0, 2.0]]))


@pytest.mark.parametrize("shape", [(5,), (0, 4), (2, 4, 4, 3), (5, 5, 2)])
def test_an_array_that_is_not_one_image_is_refused(shape):
    with pytest.raises(ValueError, match="is not one image"):
        load_upright_rgb(np.zeros(shape, dtype=np.uint8))


@pytest.mark.parametrize("values", [np.zeros((4, 4, 3), dtype=complex), np.array([["a"]])], ids=["complex", "text"])
def test_values_that_are_no_numbers_of_an_image_are_refused(values):
    with pytest.raises(ValueError, match=r"image 1 \(an array.* holds .* values, expected integers or floats"):
        load_upright_rgb(values, "image 1")


def test_an_image_without_pixels_is_refused():
    with pytest.raises(ValueError, match=r"image 1 .* has 0 x 5 pixels, expected at least 1 x 1"):
        load_upright_rgb(Image.new("RGB", (0, 5)), "image 1")


def test_any_other_type_is_refused():
    with pytest.raises(TypeError, match="image 1 is of type int"):
        load_upright_rgb(5, "image 1")
