"""A decoded picture as a person sees it: upright, in RGB, with 8 bits a colour.

The same as `processing_mblip.load_upright_rgb` gives, to the bit, so that a picture stored for training is the picture
that the processor shows; the packages do not import each other, a test compares them. Turned as EXIF says,
transparency laid on white, 16 bits scaled to 8, of an animation the first frame.
"""

from typing import cast

from PIL import Image as PILImage
from PIL import ImageOps

from .decoding import PILLOW_ERRORS
from .refusal import RefusedImageError

ORIENTATION = 0x0112  # EXIF tag; 1 is upright
DEEP_GREY_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
ALPHA_MODES = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})


def upright_rgb(image: PILImage.Image) -> PILImage.Image:
    """The picture as it is seen; one that is upright RGB already comes back as it is.

    Raises:
        RefusedImageError: its values are none of a picture's, or no conversion is known.
    """
    try:
        upright = ImageOps.exif_transpose(image) if image.getexif().get(ORIENTATION, 1) != 1 else image
        if upright.mode in DEEP_GREY_MODES:
            return _eight_bits(upright).convert("RGB")
        if upright.mode in ALPHA_MODES or "transparency" in upright.info:
            return _on_white(upright)
        return upright if upright.mode == "RGB" else upright.convert("RGB")
    except RefusedImageError:
        raise
    except PILLOW_ERRORS as error:
        raise RefusedImageError("unsupported", f"mode {image.mode} cannot be shown in RGB ({error})") from error


def _on_white(image: PILImage.Image) -> PILImage.Image:
    rgba = image.convert("RGBA")
    white = PILImage.new("RGBA", rgba.size, "white")
    return PILImage.alpha_composite(white, rgba).convert("RGB")


def _eight_bits(image: PILImage.Image) -> PILImage.Image:
    """Deep grey scaled by what it holds: floats to 1, 16 bits, or 8 bits in wider numbers."""
    grey = image if image.mode == "F" else image.convert("I").convert("F")
    lowest, highest = cast(tuple[float, float], grey.getextrema())
    if not (lowest >= 0 and highest <= 65535):
        raise RefusedImageError(
            "unsupported", f"grey values from {lowest:g} to {highest:g}, expected 0 to 1, to 255 or to 65535"
        )
    if image.mode == "F" and highest <= 1:
        scale = 255.0
    else:
        scale = 1 / 257 if image.mode.startswith("I;16") or highest > 255 else 1.0
    return grey.point(lambda value: value * scale + 0.5).convert("L")
