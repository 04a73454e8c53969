"""Loading images in any form as upright RGB, and BLIP's preprocessing to `pixel_values`.

The sibling files are the steps of loading, and the only way in which this project opens an image: bytes
(image_reading, image_urls) and pixels (image_decoding, image_completeness). Colours are converted here.
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
import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import PIL.Image
import torch
from transformers import BlipImageProcessorPil
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import ChannelDimension, ImageInput, infer_channel_dimension_format
from transformers.utils import is_numpy_array, is_torch_tensor

from .image_decoding import MAX_BYTES, MAX_PIXELS, PILLOW_ERRORS, decode, load_opened, strict_pillow
from .image_reading import read_file, read_source, shown_source
from .image_refusal import RefusedImageError, check_size

ORIENTATION = 0x0112  # the EXIF tag; 1 = upright (Exif 2.32, section 4.6.4)
# how to turn an image, by its orientation; from 2, because 1 is upright
TURNS = dict(enumerate(map(PIL.Image.Transpose, (0, 3, 1, 5, 4, 6, 2)), start=2))
ALPHA_MODES = ("RGBA", "RGBa", "LA", "La", "PA")
DEEP_GREY_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
# How far resizing may leave the range, as a part of it. Pillow's bicubic filter overshoots an edge by 0.07.
OVERSHOOT = 0.1
STRIP_PIXELS = 1 << 22  # converted at once, because some conversions need four copies
NORMALISED_END = 3.0  # white is 2.1 to 2.7 by CLIP's and ImageNet's means, and nothing can be seen at 3 of 255


class MBlipImageProcessor(BlipImageProcessorPil):
    """Images in any form that `load_upright_rgb` takes -> `pixel_values` (I, 3, H, W), float32.

    You can change any setting of `BlipImageProcessorPil`. Usual settings take the fast path, all others transformers'
    own code. Both give the same values.
    """

    size = {"height": 224, "width": 224}  # noqa: RUF012 - a setting, declared as transformers does

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoImageProcessor") -> None:
        super().register_for_auto_class(auto_class)

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        """As in transformers, but through `load_upright_rgb`."""
        if is_list(image_url_or_urls):
            return [self.fetch_images(entry) for entry in image_url_or_urls]
        return load_upright_rgb(image_url_or_urls)

    def preprocess(self, images: ImageInput, *args: Any, **kwargs: Any) -> BatchFeature:
        try:
            return super().preprocess(images, *args, **kwargs)
        except (LookupError, OverflowError, MemoryError) as error:  # of transformers, numpy or Pillow
            raise ValueError(f"The settings of images cannot be used, such as their `size`: {error!r}.") from error

    def _preprocess_image_like_inputs(
        self,
        images: ImageInput,
        *args: Any,
        names: Sequence[str] | None = None,
        allow_private_urls: bool = False,
        **kwargs: Any,
    ) -> BatchFeature:
        """The processor passes `names` for messages and `allow_private_urls`, through `image_like_kwargs`."""
        given = flat_list(images)
        names = [f"image {i}" for i in range(len(given))] if names is None else names
        loaded = map(functools.partial(load_upright_rgb, allow_private_urls=allow_private_urls), given, names)
        if given and not args and is_usual(kwargs):
            return self._fast_pixel_values(loaded, len(given), **kwargs)
        return super()._preprocess_image_like_inputs(list(loaded), *args, **kwargs)

    def _fast_pixel_values(
        self,
        images: Iterable[PIL.Image.Image],
        num_images: int,
        size: Any,
        resample: int,
        image_mean: tuple[float, float, float],
        image_std: tuple[float, float, float],
        return_tensors: Any,
        **kwargs: Any,
    ) -> BatchFeature:
        # Memory through numpy, which asks the system for large pages. First access to many small ones takes longer
        # than normalising.
        values_ICHW = np.empty((num_images, 3, size.height, size.width), dtype=np.float32)
        mean_C11, std_C11 = (np.array(values, dtype=np.float32)[:, None, None] for values in (image_mean, image_std))

        def preprocess(image: PIL.Image.Image, values_CHW: np.ndarray) -> None:
            lines = image.resize((size.width, size.height), resample=resample).tobytes("raw", "RGB;L")
            pixels_HCW = np.frombuffer(lines, dtype=np.uint8).reshape(size.height, 3, size.width)
            values_CHW[...] = pixels_HCW.transpose(1, 0, 2)
            values_CHW /= 255
            values_CHW -= mean_C11
            values_CHW /= std_C11

        _run_on_threads(preprocess, images, values_ICHW)
        if str(return_tensors) in ("pt", "TensorType.PYTORCH"):
            return BatchFeature({"pixel_values": torch.from_numpy(values_ICHW)})
        return BatchFeature({"pixel_values": list(values_ICHW)}, tensor_type=return_tensors)


def _run_on_threads(preprocess: Callable[..., None], images: Iterable[PIL.Image.Image], values: np.ndarray) -> None:
    """Call `preprocess` for each image and its part of `values`.

    Images are decoded one after the other, because lazily opened ones may share a file. They are preprocessed on as
    many threads as torch uses (one in a DataLoader worker), this one among them, but not by torch: its threads would
    wait for these and burn time. At most two decoded images for each other thread wait, so that large images do not
    fill the memory.
    """
    num_others = torch.get_num_threads() - 1
    pending = deque[Any]()
    for image, part in zip(images, values, strict=True):
        while pending and pending[0].done():
            pending.popleft().result()
        if len(pending) < 2 * num_others:
            pending.append(_threads(num_others).submit(preprocess, image, part))
        else:
            preprocess(image, part)
    while pending:
        pending.popleft().result()


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


def load_upright_rgb(image: Any, name: str = "the image", *, allow_private_urls: bool = False) -> PIL.Image.Image:
    """Return `image` as an upright RGB image. If it is an upright RGB PIL image already, return the same object.

    Args:
        image: a PIL image; a numpy array or tensor (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 channels, of
            integers in 0..255 (uint16: 0..65535) or floats in 0..1 or 0..255; a path; an http(s) or file URL; a data
            URI or base64 text; the bytes of an image file. Floats up to a tenth of their range outside it are clipped,
            because resizing leaves them there.
        name: the name of the image in messages, such as "image 3".
        allow_private_urls: also ask addresses that are not of the public internet, such as 127.0.0.1.

    Raises:
        ValueError: the file is missing, broken, cut off, too large or not an image, or the values are out of range.
            The message holds `name` and the path.
        TypeError: `image` has an unsupported type.
    """
    try:
        return upright_rgb(_loaded(image, name, allow_private_urls))
    except RefusedImageError as error:
        message = f"{name} ({_described(image)}) cannot be read as an image ({error}). Check it, or leave it out."
        raise ValueError(message) from error


def _loaded(image: Any, name: str, allow_private_urls: bool) -> PIL.Image.Image:
    """The image with its pixels, in any mode."""
    if isinstance(image, PIL.Image.Image):
        load_opened(image)
        return image
    if isinstance(image, bytes | bytearray | memoryview):
        check_size(len(image), MAX_BYTES)
        return decode(bytes(image))
    if isinstance(image, str):
        return decode(read_source(image, max_bytes=MAX_BYTES, allow_private_urls=allow_private_urls))
    if isinstance(image, os.PathLike):
        return decode(read_file(Path(os.fsdecode(image)), max_bytes=MAX_BYTES))
    if is_numpy_array(image) or is_torch_tensor(image):
        return image_from_values(image)
    raise TypeError(
        f"{name} is of type {type(image).__name__}, expected a PIL image, a numpy array, a tensor, a path, a URL, "
        "base64 text or the bytes of an image file."
    )


def _described(image: Any) -> str:
    if isinstance(image, PIL.Image.Image):
        return f"a PIL image of mode {image.mode}"
    if isinstance(image, bytes | bytearray | memoryview):
        return f"{len(image):,} bytes"
    if isinstance(image, str | os.PathLike):
        return shown_source(os.fsdecode(image))
    return f"an array of shape {tuple(image.shape)}" if is_array(image) else "a tensor"


def upright_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """A PIL image whose pixels are read, as upright RGB. If it is that already, the same object.

    Raises:
        RefusedImageError: its values are outside every known range, or no conversion is known.
    """
    with strict_pillow():
        try:
            image = _turned(image)
            if image.mode in DEEP_GREY_MODES:
                return _in_strips(image, _eight_bit_grey(image))
            if image.mode in ALPHA_MODES or "transparency" in image.info:
                return _in_strips(image, _on_white)
            return image if image.mode == "RGB" else image.convert("RGB")
        except RefusedImageError:
            raise
        except PILLOW_ERRORS as error:
            detail = f"mode {image.mode} cannot be shown in RGB ({type(error).__name__})"
            raise RefusedImageError("unsupported", detail) from error


def _turned(image: PIL.Image.Image) -> PIL.Image.Image:
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except PILLOW_ERRORS:  # damaged EXIF, without which the image is as it is
        return image
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def image_from_values(values: Any) -> PIL.Image.Image:
    """A numpy array or tensor as an 8-bit PIL image: grey, RGB or RGBA.

    Raises:
        RefusedImageError: it has no values at hand, too many, another shape than one image, or values out of range.
    """
    num_values = values.numel() if is_torch_tensor(values) else values.size
    if num_values > 4 * MAX_PIXELS:
        raise RefusedImageError("too large", f"{num_values:,} values, more than the {4 * MAX_PIXELS:,} allowed")
    pixels = _plain_tensor(values)
    is_one_image = pixels.ndim == 2 or (pixels.ndim == 3 and {pixels.shape[0], pixels.shape[-1]} & {1, 3, 4})
    if not is_one_image or pixels.numel() == 0:
        raise RefusedImageError("unsupported", "expected one image, (H, W), (H, W, C) or (C, H, W) with C = 1, 3 or 4")
    if pixels.ndim == 3:
        pixels = (pixels.permute(1, 2, 0) if _has_channels_first(pixels) else pixels).squeeze(-1)
    return PIL.Image.fromarray(_eight_bit(pixels).contiguous().numpy())


def is_plain_tensor(values: torch.Tensor) -> bool:
    """Whether a tensor holds one number for each position in memory: it is not sparse, nested, quantised or meta."""
    is_strided = values.layout == torch.strided and not values.is_nested
    return is_strided and not values.is_quantized and not values.is_meta


def _plain_tensor(values: Any) -> torch.Tensor:
    if is_torch_tensor(values):
        if not is_plain_tensor(values) or values.is_complex():
            kind = "nested" if values.is_nested else f"{values.dtype}, {values.layout}, on {values.device}"
            raise RefusedImageError("unsupported", f"a tensor ({kind}), expected integers or floats in memory")
        return values.detach().cpu()
    if values.dtype.kind not in "biuf" or np.ma.is_masked(values):
        kind = f"{'masked ' if np.ma.is_masked(values) else ''}{values.dtype}"
        raise RefusedImageError("unsupported", f"found {kind} values, expected integers or floats")
    # This copies, because torch needs writable memory. It knows no floats of more than 64 bits.
    native = np.float64 if values.dtype.kind == "f" and values.dtype.itemsize > 8 else values.dtype.newbyteorder("=")
    return torch.from_numpy(values.astype(native))


def _in_strips(image: PIL.Image.Image, convert: Callable[[PIL.Image.Image], PIL.Image.Image]) -> PIL.Image.Image:
    """`convert` each strip of a large image to RGB. It treats every pixel by itself."""
    if image.width * image.height <= STRIP_PIXELS:
        return convert(image)
    result, height = PIL.Image.new("RGB", image.size), max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, height):
        box = (0, top, image.width, min(image.height, top + height))
        result.paste(convert(image.crop(box)), box)
    return result


def _on_white(image: PIL.Image.Image) -> PIL.Image.Image:
    if image.mode == "La":  # Pillow converts premultiplied grey only to LA
        image = image.convert("LA")
    image = image.convert("RGBA")
    return PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _eight_bit_grey(image: PIL.Image.Image) -> Callable[[PIL.Image.Image], PIL.Image.Image]:
    """The conversion of 16-bit, 32-bit or float grey, scaled to 8 bits by what it holds, and rounded.

    `Image.convert` would clip everything above 255.
    """

    def grey(part: PIL.Image.Image) -> PIL.Image.Image:
        return part if part.mode == "F" else part.convert("I").convert("F")

    white = 65535.0
    if not image.mode.startswith("I;16"):
        lowest, highest = cast(tuple[float, float], grey(image).getextrema())
        if image.mode == "F" and not np.isfinite(np.asarray(image)).all():
            lowest = float("nan")  # which getextrema passes over
        white = _white(lowest, highest, ranges=(1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0))
    scale = 255.0 / white
    return lambda part: grey(part).point(lambda value: value * scale + 0.5).convert("L").convert("RGB")  # L clips


def _has_channels_first(pixels: torch.Tensor) -> bool:
    """Whether the channels are the first dimension.

    If the image is one pixel high or wide, a dimension of three or four holds the channels. Otherwise transformers
    decides; it warns if both the first and the last dimension could be channels.
    """
    first, last = pixels.shape[0], pixels.shape[-1]
    if 1 in (first, last) and first != last and {first, last} <= {1, 3, 4}:
        return last == 1
    return infer_channel_dimension_format(cast(Any, pixels), num_channels=(1, 3, 4)) == ChannelDimension.FIRST


def _eight_bit(pixels: torch.Tensor) -> torch.Tensor:
    if pixels.dtype in (torch.uint8, torch.bool):
        return pixels if pixels.dtype == torch.uint8 else pixels.to(torch.uint8) * 255
    strips = pixels.split(max(1, STRIP_PIXELS // pixels.shape[1]))  # 64 bits take eight times the memory
    try:
        ranges = torch.stack([torch.stack(strip.to(torch.float64).aminmax()) for strip in strips])
    except RuntimeError as error:  # bits and other types without arithmetic
        raise RefusedImageError("unsupported", f"found {pixels.dtype} values, expected integers or floats") from error
    lowest, highest = ranges[:, 0].min().item(), ranges[:, 1].max().item()
    if pixels.dtype == torch.uint16:
        white = 65535.0
    elif pixels.is_floating_point():
        white = _white(lowest, highest, ranges=(1.0, 255.0))
    elif lowest >= 0 and highest <= 255:
        white = 255.0
    else:
        raise _out_of_range(lowest, highest)
    scale = 255.0 / white
    return torch.cat([(strip.to(torch.float64) * scale).round().clamp(0, 255).to(torch.uint8) for strip in strips])


def _white(lowest: float, highest: float, *, ranges: tuple[float, ...]) -> float:
    """The value of white: the first of `ranges` that holds all values, give or take the overshoot of resizing.

    Below zero there is overshoot only where there are edges, so 0..255 is refused if it is dark and goes below zero:
    it is normalised, as are floats that end above 1.1 and below 3.
    """
    for white in ranges:
        is_dark = white > 1 and highest < OVERSHOOT * white
        if highest <= (1 + OVERSHOOT) * white and lowest >= (0 if is_dark else -OVERSHOOT * white):
            if white == 255 and ranges[0] == 1 and highest < NORMALISED_END:
                break
            return white
    raise _out_of_range(lowest, highest)


def _out_of_range(lowest: float, highest: float) -> RefusedImageError:
    return RefusedImageError(
        "unsupported",
        f"values from {lowest:.6g} to {highest:.6g}, expected 0..255, or 0..1 as floats (grey: also 0..65535). Pass "
        "normalised images to the model directly, as `pixel_values`",
    )


def flat_list(images: Any) -> list[Any]:
    """Flatten one image, a list, a list of lists or a batch in one array to a list of images."""
    if is_list(images):
        return [image for entry in images for image in flat_list(entry)]
    return list(images) if is_array(images) and images.ndim == 4 else [images]


def is_list(images: Any) -> bool:
    return isinstance(images, list | tuple)


def is_array(images: Any) -> bool:
    """Whether these are values in memory, whose dimensions can be counted and split."""
    return is_numpy_array(images) or (is_torch_tensor(images) and is_plain_tensor(images))
