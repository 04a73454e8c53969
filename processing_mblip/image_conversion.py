"""PIL images, arrays and tensors to upright RGB with 8 bits per colour, the way a person sees them.

`transformers.image_utils.load_image` converts everything to RGB directly. Transparent pixels then show their hidden
colour, and a 16-bit grey scan becomes white. We convert by kind of image instead. We rotate as EXIF says, put
transparent images on white (the usual page background), and scale 16 bits to 8. Of an animation, we take the current
frame, which is the first one after opening.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import PIL.Image
import torch
from transformers.image_utils import ChannelDimension, infer_channel_dimension_format
from transformers.utils import is_torch_tensor

from .image_decoding import MAX_PIXELS, PILLOW_ERRORS, strict_pillow
from .image_refusal import RefusedImageError

ORIENTATION = 0x0112  # the EXIF tag; 1 = upright (Exif 2.32, section 4.6.4)
# how to turn an image, by its orientation; from 2, because 1 is upright
TURNS = dict(enumerate(map(PIL.Image.Transpose, (0, 3, 1, 5, 4, 6, 2)), start=2))
ALPHA_MODES = ("RGBA", "RGBa", "LA", "La", "PA")
DEEP_GREY_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
# How far resizing may leave the range, as a part of it. Pillow's bicubic filter overshoots an edge by 0.07.
OVERSHOOT = 0.1
STRIP_PIXELS = 1 << 22  # converted at once, because some conversions need four copies
NORMALISED_END = 3.0  # white is 2.1 to 2.7 by CLIP's and ImageNet's means, and nothing can be seen at 3 of 255


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
