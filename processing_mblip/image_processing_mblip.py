"""Images, however they are given, to `pixel_values`: the upright RGB image a person would see, and BLIP's
preprocessing.

`transformers.image_utils.load_image` turns everything into RGB at once: transparent pixels show whatever colour they
hide, and a 16-bit grey scan becomes white. Here an image is opened first and converted by what it is: turned as its
EXIF entry says, transparency laid on white (the page most images are seen on), 16 bits scaled to 8, of an animation
the frame it stands at (a freshly opened one: the first).

The preprocessing gives the same bits as transformers' `BlipImageProcessorPil` in two thirds of the time: resize
(bicubic), scale to 0..1, normalise with CLIP's mean and standard deviation, by default to the 224 pixels mBLIP was
trained at. transformers goes through float64 and several copies of the whole image; here it stays 8-bit until it is
written, in float32, into the tensor that is returned. x / 255 in float32 equals transformers' float32(float64(x) *
(1 / 255)) for all 256 values of x: the results are equal, not merely close.

Shape suffixes: I = images, C = the 3 colours, H, W = height and width of the result.
"""

from .supported_releases import release  # noqa: F401

# isort: split
import base64
import binascii
import functools
import http.client
import io
import os
import struct
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import PIL.Image
import PIL.ImageOps
import torch
from transformers import BlipImageProcessorPil
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import ChannelDimension, ImageInput, infer_channel_dimension_format
from transformers.utils import is_numpy_array, is_torch_tensor

ORIENTATION = 0x0112  # the EXIF tag; 1 = upright (Exif 2.32, section 4.6.4)
ALPHA_MODES = ("RGBA", "RGBa", "LA", "La", "PA")
DEEP_GREY_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
URL_TIMEOUT_SECONDS = 60.0
URL_CHARACTERS = "%:/?#[]@!$&'()*+,;=~"  # what a URL may hold beside letters and digits (RFC 3986, section 2)

# What Pillow raises on files that are broken, truncated, too large or no images at all, and what opening them
# raises.
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    http.client.HTTPException,
    PIL.Image.DecompressionBombError,
)


class MBlipImageProcessor(BlipImageProcessorPil):
    """Images in any form that `load_upright_rgb` takes -> `pixel_values` (I, 3, H, W), float32.

    Any setting of `BlipImageProcessorPil` may be changed; the fast path serves the usual ones, transformers' own code
    all others, and the values are the same either way.
    """

    size = {"height": 224, "width": 224}  # noqa: RUF012 - a setting, declared as transformers does

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoImageProcessor") -> None:
        super().register_for_auto_class(auto_class)

    def _preprocess_image_like_inputs(
        self, images: ImageInput, *args: Any, names: Sequence[str] | None = None, **kwargs: Any
    ) -> BatchFeature:
        """`names` are for messages, one for each image; they come in by `image_like_kwargs`."""
        given = flat_list(images)
        names = [f"image {i}" for i in range(len(given))] if names is None else names
        loaded = (load_upright_rgb(image, name) for image, name in zip(given, names, strict=True))
        if given and not args and is_usual(kwargs):
            return self._fast_pixel_values(loaded, **kwargs)
        return super()._preprocess_image_like_inputs(list(loaded), *args, **kwargs)

    def _fast_pixel_values(
        self,
        images: Iterable[PIL.Image.Image],
        size: Any,
        resample: int,
        image_mean: tuple[float, float, float],
        image_std: tuple[float, float, float],
        return_tensors: Any,
        **kwargs: Any,
    ) -> BatchFeature:
        lines = bytearray().join(_resized_lines(images, (size.width, size.height), resample))
        pixels_IHCW = torch.frombuffer(lines, dtype=torch.uint8).view(-1, size.height, 3, size.width)
        # By way of numpy, which asks for large pages: touching small ones for the first time costs more than
        # normalising.
        pixel_values = torch.from_numpy(pixels_IHCW.transpose(1, 2).numpy().astype("float32", order="C"))
        mean_C11, std_C11 = torch.tensor(image_mean)[:, None, None], torch.tensor(image_std)[:, None, None]
        for values_CHW in pixel_values:
            values_CHW.div_(255).sub_(mean_C11).div_(std_C11)
        if str(return_tensors) in ("pt", "TensorType.PYTORCH"):
            return BatchFeature({"pixel_values": pixel_values})
        return BatchFeature({"pixel_values": list(pixel_values.numpy())}, tensor_type=return_tensors)


def _resized_lines(images: Iterable[PIL.Image.Image], size: tuple[int, int], resample: int) -> Iterator[bytes]:
    """The 8-bit pixels of each image: a line of red, one of green, one of blue, the next line of red, ...

    Images are decoded here, one after the other (lazily opened ones may share a file), and resized on as many
    threads as torch uses: one in a worker of a DataLoader. At most one decoded image per thread waits, so that
    large photos never pile up.
    """

    def resize(image: PIL.Image.Image) -> bytes:
        return image.resize(size, resample=resample).tobytes("raw", "RGB;L")

    num_threads = torch.get_num_threads()
    if num_threads == 1:
        yield from map(resize, images)
        return
    pending = deque[Any]()
    for image in images:
        pending.append(_threads(num_threads).submit(resize, image))
        if len(pending) > num_threads:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


@functools.cache
def _threads(num_threads: int) -> ThreadPoolExecutor:
    """Kept: threads started anew for every batch cost half of what they bring."""
    return ThreadPoolExecutor(num_threads, thread_name_prefix="resize")


if hasattr(os, "register_at_fork"):  # not on Windows, which forks nothing
    os.register_at_fork(after_in_child=_threads.cache_clear)  # a fork inherits the pool, but none of its threads


def is_usual(settings: dict[str, Any]) -> bool:
    """Whether the settings are the steps the fast path takes: to a square in RGB, / 255, normalise, nothing else."""
    size, resample = settings["size"], settings["resample"]
    return (
        all(settings[step] for step in ("do_convert_rgb", "do_resize", "do_rescale", "do_normalize"))
        and not settings["do_center_crop"]
        and not settings["do_pad"]
        and bool(size and size.height and size.width)
        and isinstance(resample, int)
        and settings["rescale_factor"] == 1 / 255
        and all(isinstance(settings[key], tuple) and len(settings[key]) == 3 for key in ("image_mean", "image_std"))
    )


def load_upright_rgb(image: Any, name: str = "the image") -> PIL.Image.Image:
    """`image` as an upright RGB image. A PIL image that is one already comes back as the same object.

    Args:
        image: a PIL image; a numpy array or tensor (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 channels, of
            integers in 0..255 (uint16: 0..65535) or floats in 0..1 or 0..255; a path; an http(s) URL; a data URI or
            base64 text; the bytes of an image file.
        name: how messages name the image, such as "image 3".

    Raises:
        ValueError: the file is missing, broken or no image, or the values are none of an image's. The message holds
            `name` and the path.
        TypeError: `image` is of another type.
    """
    if isinstance(image, PIL.Image.Image):
        return _converted(image, f"{name} (a PIL image of mode {image.mode})")
    if is_numpy_array(image) or is_torch_tensor(image):
        return _converted(_from_values(image, f"{name} (an array of shape {tuple(image.shape)})"), name)
    if isinstance(image, bytes | bytearray | memoryview):
        return _decoded(bytes(image), f"{name} ({len(image)} bytes)")
    if isinstance(image, str | os.PathLike):
        source = os.fspath(image)
        shown = source if len(source) <= 200 else source[:200] + "..."
        return _decoded(_read(source, f"{name} ({shown!r})"), f"{name} ({shown!r})")
    raise TypeError(
        f"{name} is of type {type(image).__name__}. Give a PIL image, a numpy array, a tensor, a path, a URL, base64 "
        "text or the bytes of an image file."
    )


def _read(source: str, name: str) -> bytes:
    """The encoded file that a path, URL, data URI or base64 text stands for."""
    try:
        if source.startswith(("http://", "https://")):
            address = urllib.parse.quote(source, safe=URL_CHARACTERS)  # as a browser does with spaces and umlauts
            request = urllib.request.Request(address, headers={"User-Agent": "mblip"})
            with urllib.request.urlopen(request, timeout=URL_TIMEOUT_SECONDS) as response:
                return response.read()
        if source.startswith("data:"):
            return base64.b64decode(source.partition(",")[2])
        if len(source) < 4096 and Path(source).is_file():
            return Path(source).read_bytes()
    except (OSError, binascii.Error, ValueError, http.client.HTTPException) as error:
        raise ValueError(f"{name} could not be read: {type(error).__name__}: {error}") from error
    try:
        return base64.b64decode("".join(source.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(
            f"{name} does not exist: there is no such file, and the text is no URL, data URI or base64. Check the "
            "path."
        ) from None


def _decoded(encoded: bytes, name: str) -> PIL.Image.Image:
    try:
        image = PIL.Image.open(io.BytesIO(encoded))
        image.load()
    except UNREADABLE as error:
        is_unknown = isinstance(error, PIL.UnidentifiedImageError)  # its message names an address in memory
        reason = "its format is unknown" if is_unknown else f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{name} is not an image that Pillow can read: {reason}. Check or remove the file; an empty image does "
            "not take its place."
        ) from error
    return _converted(image, name)


def _converted(image: PIL.Image.Image, name: str) -> PIL.Image.Image:
    if 0 in image.size:
        raise ValueError(f"{name} has {image.width} x {image.height} pixels: there is nothing to see. Remove it.")
    try:
        image.load()  # a PIL image may have been opened and not read yet
        if image.getexif().get(ORIENTATION, 1) != 1:
            image = PIL.ImageOps.exif_transpose(image)
        if image.mode in DEEP_GREY_MODES:
            return _eight_bit_grey(image).convert("RGB")
        if image.mode in ALPHA_MODES or "transparency" in image.info:
            return _on_white(image)
        return image if image.mode == "RGB" else image.convert("RGB")
    except UNREADABLE as error:
        raise ValueError(f"{name} cannot be shown as RGB: {error}") from error


def _on_white(image: PIL.Image.Image) -> PIL.Image.Image:
    if image.mode == "La":  # Pillow converts premultiplied grey to its plain counterpart alone
        image = image.convert("LA")
    image = image.convert("RGBA")
    return PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _eight_bit_grey(image: PIL.Image.Image) -> PIL.Image.Image:
    """16-bit, 32-bit or float grey as 8 bits, rounded. `Image.convert` clips: everything above 255 turns white."""
    grey = image if image.mode == "F" else image.convert("I").convert("F")
    lowest, highest = cast(tuple[float, float], grey.getextrema())
    if image.mode.startswith("I;16") or 255 < highest <= 65535:
        scale = 1 / 257
    else:
        scale = 255.0 if image.mode == "F" and highest <= 1 else 1.0
    if lowest < 0 or highest > 65535:
        raise ValueError(
            f"its grey values run from {lowest} to {highest}, but those of an image run from 0 to 255 or 65535 "
            "(floats: or to 1). Scale them first."
        )
    return grey.point(lambda value: value * scale + 0.5).convert("L")


def _from_values(values: Any, name: str) -> PIL.Image.Image:
    """A numpy array or tensor as a PIL image of 8 bits: grey, RGB or RGBA."""
    if is_torch_tensor(values):
        pixels = values.detach().cpu()
    elif values.dtype.kind in "biuf":
        pixels = torch.from_numpy(values.astype(values.dtype.newbyteorder("=")))  # a copy, which torch may write to
    else:
        raise ValueError(f"{name} holds {values.dtype} values, expected whole numbers or floats.")
    is_one_image = pixels.ndim == 2 or (pixels.ndim == 3 and {pixels.shape[0], pixels.shape[-1]} & {1, 3, 4})
    if not is_one_image or pixels.numel() == 0:
        raise ValueError(f"{name} is not one image. Expected (H, W), (H, W, C) or (C, H, W) with C = 1, 3 or 4.")
    if pixels.ndim == 3:
        pixels = (pixels.permute(1, 2, 0) if _has_channels_first(pixels) else pixels).squeeze(-1)
    return PIL.Image.fromarray(_eight_bit(pixels, name).contiguous().numpy())


def _has_channels_first(pixels: torch.Tensor) -> bool:
    """Of an image one pixel high or wide, the three or four are its colours; else transformers decides, which warns
    where both ends might be."""
    first, last = pixels.shape[0], pixels.shape[-1]
    if 1 in (first, last) and first != last and {first, last} <= {1, 3, 4}:
        return last == 1
    return infer_channel_dimension_format(cast(Any, pixels), num_channels=(1, 3, 4)) == ChannelDimension.FIRST


def _eight_bit(pixels: torch.Tensor, name: str) -> torch.Tensor:
    if pixels.dtype in (torch.uint8, torch.bool):
        return pixels if pixels.dtype == torch.uint8 else pixels.to(torch.uint8) * 255
    is_16_bit, is_float = pixels.dtype == torch.uint16, pixels.is_floating_point()
    wide = pixels.to(torch.float64)
    lowest, highest = wide.min().item(), wide.max().item()
    if not (lowest >= 0 and highest <= (65535 if is_16_bit else 255)):
        raise ValueError(
            f"{name} holds values from {lowest:.6g} to {highest:.6g}; expected 0..255, or 0..1 as floats. Images "
            "that are normalised already go to the model as `pixel_values`, not through the processor."
        )
    scale = 1 / 257 if is_16_bit else 255.0 if is_float and highest <= 1 else 1.0
    return (wide * scale).round().to(torch.uint8)


def flat_list(images: Any) -> list[Any]:
    """One image, a list, a list of lists or a batch in one array, as a flat list."""
    if is_list(images):
        return [image for entry in images for image in flat_list(entry)]
    return list(images) if is_array(images) and images.ndim == 4 else [images]


def is_list(images: Any) -> bool:
    return isinstance(images, list | tuple)


def is_array(images: Any) -> bool:
    return is_numpy_array(images) or is_torch_tensor(images)
