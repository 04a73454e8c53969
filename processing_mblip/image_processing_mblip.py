"""Loading images in any form as upright RGB, the way a person sees them, and BLIP's preprocessing to `pixel_values`.

`transformers.image_utils.load_image` converts everything to RGB directly. Transparent pixels then show their hidden
colour, and a 16-bit grey scan becomes white. We convert by kind of image instead. We rotate as EXIF says, put
transparent images on white (the usual page background), and scale 16 bits to 8. Of an animation, we take the current
frame, which is the first one after opening.

The preprocessing gives bit-identical results to transformers' `BlipImageProcessorPil` in two thirds of the time:
resize (bicubic) to mBLIP's 224 pixels by default, scale to 0..1, normalise with CLIP's mean and standard deviation.
transformers goes through float64 and several copies of the whole image. We keep 8 bits and write float32 directly into
the returned tensor. For all 256 values of x, x / 255 in float32 equals transformers' float32(float64(x) * (1 / 255)).

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
URL_CHARACTERS = "%:/?#[]@!$&'()*+,;=~"  # characters a URL may hold beside letters and digits (RFC 3986, section 2)

# What Pillow, or opening the file, raises if a file is broken, truncated, too large or not an image.
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

    You can change any setting of `BlipImageProcessorPil`. Usual settings take the fast path, all others transformers'
    own code. Both give the same values.
    """

    size = {"height": 224, "width": 224}  # noqa: RUF012 - a setting, declared as transformers does

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoImageProcessor") -> None:
        super().register_for_auto_class(auto_class)

    def _preprocess_image_like_inputs(
        self, images: ImageInput, *args: Any, names: Sequence[str] | None = None, **kwargs: Any
    ) -> BatchFeature:
        """`names` holds a name for each image, for messages. It is passed through `image_like_kwargs`."""
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
        # Convert through numpy, which asks the system for large memory pages. First access to many small pages takes
        # longer than normalising.
        pixel_values = torch.from_numpy(pixels_IHCW.transpose(1, 2).numpy().astype("float32", order="C"))
        mean_C11, std_C11 = torch.tensor(image_mean)[:, None, None], torch.tensor(image_std)[:, None, None]
        for values_CHW in pixel_values:
            values_CHW.div_(255).sub_(mean_C11).div_(std_C11)
        if str(return_tensors) in ("pt", "TensorType.PYTORCH"):
            return BatchFeature({"pixel_values": pixel_values})
        return BatchFeature({"pixel_values": list(pixel_values.numpy())}, tensor_type=return_tensors)


def _resized_lines(images: Iterable[PIL.Image.Image], size: tuple[int, int], resample: int) -> Iterator[bytes]:
    """The 8-bit pixels of each image: a line of red, one of green, one of blue, the next line of red, ...

    Images are decoded one after the other, because lazily opened ones may share a file. They are resized on as many
    threads as torch uses, which is one in a DataLoader worker. At most one decoded image per thread is queued, so that
    large images do not fill the memory.
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
    """The thread pool. It is kept because starting threads for every batch costs half of the time they save."""
    return ThreadPoolExecutor(num_threads, thread_name_prefix="resize")


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_threads.cache_clear)  # a fork inherits the pool, but not its threads


def is_usual(settings: dict[str, Any]) -> bool:
    """Whether the fast path covers these settings: convert to RGB, resize, divide by 255, normalise, nothing else."""
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
    """Return `image` as an upright RGB image. If it is an upright RGB PIL image already, return the same object.

    Args:
        image: a PIL image; a numpy array or tensor (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 channels, of
            integers in 0..255 (uint16: 0..65535) or floats in 0..1 or 0..255; a path; an http(s) URL; a data URI or
            base64 text; the bytes of an image file.
        name: the name of the image in messages, such as "image 3".

    Raises:
        ValueError: the file is missing, broken or not an image, or the values are out of range. The message holds
            `name` and the path.
        TypeError: `image` has an unsupported type.
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
        f"{name} is of type {type(image).__name__}, expected a PIL image, a numpy array, a tensor, a path, a URL, "
        "base64 text or the bytes of an image file."
    )


def _read(source: str, name: str) -> bytes:
    """Read the encoded image from a path, URL, data URI or base64 text."""
    try:
        if source.startswith(("http://", "https://")):
            address = urllib.parse.quote(source, safe=URL_CHARACTERS)  # escape spaces and umlauts, as a browser does
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
            f"{name} does not exist: there is no such file, and the text is not a URL, data URI or base64. Check the "
            "path."
        ) from None


def _decoded(encoded: bytes, name: str) -> PIL.Image.Image:
    try:
        image = PIL.Image.open(io.BytesIO(encoded))
        image.load()
    except UNREADABLE as error:
        is_unknown = isinstance(error, PIL.UnidentifiedImageError)  # its message holds only a memory address
        reason = "its format is unknown" if is_unknown else f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{name} is not an image that Pillow can read: {reason}. Check the file, or remove it from your data."
        ) from error
    return _converted(image, name)


def _converted(image: PIL.Image.Image, name: str) -> PIL.Image.Image:
    if 0 in image.size:
        raise ValueError(f"{name} has {image.width} x {image.height} pixels, expected at least 1 x 1. Remove it.")
    try:
        image.load()  # a PIL image may be opened but not read
        if image.getexif().get(ORIENTATION, 1) != 1:
            image = PIL.ImageOps.exif_transpose(image)
        if image.mode in DEEP_GREY_MODES:
            return _eight_bit_grey(image).convert("RGB")
        if image.mode in ALPHA_MODES or "transparency" in image.info:
            return _on_white(image)
        return image if image.mode == "RGB" else image.convert("RGB")
    except UNREADABLE as error:
        raise ValueError(f"{name} cannot be converted to RGB: {error}") from error


def _on_white(image: PIL.Image.Image) -> PIL.Image.Image:
    if image.mode == "La":  # Pillow converts premultiplied grey only to LA
        image = image.convert("LA")
    image = image.convert("RGBA")
    return PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _eight_bit_grey(image: PIL.Image.Image) -> PIL.Image.Image:
    """Scale 16-bit, 32-bit or float grey to 8 bits and round. `Image.convert` would clip everything above 255."""
    grey = image if image.mode == "F" else image.convert("I").convert("F")
    lowest, highest = cast(tuple[float, float], grey.getextrema())
    if image.mode.startswith("I;16") or 255 < highest <= 65535:
        scale = 1 / 257
    else:
        scale = 255.0 if image.mode == "F" and highest <= 1 else 1.0
    if lowest < 0 or highest > 65535:
        raise ValueError(
            f"its grey values run from {lowest} to {highest}, expected 0 to 255 or 65535 (floats: also 0 to 1). Scale "
            "them first."
        )
    return grey.point(lambda value: value * scale + 0.5).convert("L")


def _from_values(values: Any, name: str) -> PIL.Image.Image:
    """Turn a numpy array or tensor into an 8-bit PIL image: grey, RGB or RGBA."""
    if is_torch_tensor(values):
        pixels = values.detach().cpu()
    elif values.dtype.kind in "biuf":
        pixels = torch.from_numpy(values.astype(values.dtype.newbyteorder("=")))  # copies: torch needs writable memory
    else:
        raise ValueError(f"{name} holds {values.dtype} values, expected integers or floats.")
    is_one_image = pixels.ndim == 2 or (pixels.ndim == 3 and {pixels.shape[0], pixels.shape[-1]} & {1, 3, 4})
    if not is_one_image or pixels.numel() == 0:
        raise ValueError(f"{name} is not one image, expected (H, W), (H, W, C) or (C, H, W) with C = 1, 3 or 4.")
    if pixels.ndim == 3:
        pixels = (pixels.permute(1, 2, 0) if _has_channels_first(pixels) else pixels).squeeze(-1)
    return PIL.Image.fromarray(_eight_bit(pixels, name).contiguous().numpy())


def _has_channels_first(pixels: torch.Tensor) -> bool:
    """Whether the channels are the first dimension.

    If the image is one pixel high or wide, a dimension of three or four holds the channels. Otherwise transformers
    decides; it warns if both the first and the last dimension could be channels.
    """
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
            f"{name} holds values from {lowest:.6g} to {highest:.6g}; expected 0..255, or 0..1 as floats. Pass "
            "normalised images to the model directly, as `pixel_values`."
        )
    scale = 1 / 257 if is_16_bit else 255.0 if is_float and highest <= 1 else 1.0
    return (wide * scale).round().to(torch.uint8)


def flat_list(images: Any) -> list[Any]:
    """Flatten one image, a list, a list of lists or a batch in one array to a list of images."""
    if is_list(images):
        return [image for entry in images for image in flat_list(entry)]
    return list(images) if is_array(images) and images.ndim == 4 else [images]


def is_list(images: Any) -> bool:
    return isinstance(images, list | tuple)


def is_array(images: Any) -> bool:
    return is_numpy_array(images) or is_torch_tensor(images)
