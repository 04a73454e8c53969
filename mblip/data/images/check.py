"""An image checked: decoded once, and what is to be stored of it, or the reason why it is refused.

Stored at the size training needs, an image is upright RGB as a person sees it, shrunk so that its shorter side is 256
pixels (never enlarged), as JPEG of quality 90 with colours at half resolution, and nothing else: no EXIF, no comments.
Pixels are not colour-managed, since the processor does not do so either; an RGB profile other than sRGB is kept in the
file, where it is small, so that viewers show it right. A JPEG that is small, upright and bare already stays as it is,
byte for byte. The same image gives the same bytes in every run with the same Pillow.
"""

import hashlib
import io
from dataclasses import dataclass
from typing import Literal, cast

from PIL import Image as PILImage
from PIL import ImageOps

from .decoding import MAX_PIXELS, PILLOW_ERRORS, decode, quiet_pillow
from .locations import MAX_BYTES, FetchedBytes, Location, open_bytes
from .refusal import Refused, RefusedImageError, check_size

BARE_JPEG_INFO = frozenset(
    {
        "jfif",
        "jfif_version",
        "jfif_unit",
        "jfif_density",
        "dpi",
        "progressive",
        "progression",
        "adobe",
        "adobe_transform",
    }
)
MAX_PROFILE_BYTES = 4096
PROFILE_SIGNATURE, PROFILE_COLOURS = slice(36, 40), slice(16, 20)  # of an ICC profile's header
ORIENTATION = 0x0112  # EXIF tag; 1 is upright
DEEP_GREY_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
ALPHA_MODES = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})


@dataclass(frozen=True)
class ImageSettings:
    """What is stored of an image, and what is too large to be one.

    `store`: "at_size", as JPEG with a shorter side of `shorter_side` at most; or "as_is", the file itself. With
    `as_released` a build puts a black image in the place of one that is refused, as the original did.
    """

    store: Literal["at_size", "as_is"] = "at_size"
    shorter_side: int = 256
    quality: int = 90
    max_bytes: int = MAX_BYTES
    max_pixels: int = MAX_PIXELS
    as_released: bool = False

    def __post_init__(self) -> None:
        if self.store not in ("at_size", "as_is"):
            raise ValueError(f"Found store {self.store!r}, expected 'at_size' or 'as_is'.")
        if not 1 <= self.quality <= 95:
            raise ValueError(f"Found quality {self.quality}, expected 1 to 95, as Pillow has them.")
        if min(self.shorter_side, self.max_bytes, self.max_pixels) < 1:
            raise ValueError(f"Found a limit below 1 in {self}.")


AT_SIZE = ImageSettings()
BLACK_SIZE = (224, 224)


@dataclass(frozen=True)
class CheckedImage:
    """The encoded image to store, with its size, format ("JPEG", "PNG", ...) and the SHA-256 of `bytes`. `width` and
    `height` are those of the upright image."""

    bytes: bytes
    width: int
    height: int
    format: str
    sha256: str


def check_location(
    location: Location, settings: ImageSettings = AT_SIZE, *, fetched: FetchedBytes | None = None
) -> CheckedImage | Refused:
    """The image at a location (`locations.open_bytes`), checked."""
    try:
        encoded = open_bytes(location, fetched=fetched, max_bytes=settings.max_bytes)
    except RefusedImageError as error:
        return error.refused
    return check_image(encoded, settings)


def check_image(encoded: bytes, settings: ImageSettings = AT_SIZE) -> CheckedImage | Refused:
    """What to store of an encoded image, or why it is refused. Takes a process of its own or the main thread
    (`quiet_pillow`)."""
    shorter_side = settings.shorter_side if settings.store == "at_size" else None
    try:
        check_size(len(encoded), settings.max_bytes)
        with quiet_pillow():
            image = decode(encoded, max_pixels=settings.max_pixels, shorter_side=shorter_side)
            shown = upright_rgb(image)
    except RefusedImageError as error:
        return error.refused
    if shorter_side is None or _is_bare_small_jpeg(image, encoded, shorter_side):
        return _checked(encoded, shown.size, image.format or "")
    shrunk = _shrink(shown, shorter_side)
    return _checked(_to_jpeg(shrunk, settings.quality, _kept_profile(image)), shrunk.size, "JPEG")


def black_image() -> CheckedImage:
    """What the original trained on where it could not read an image."""
    black = PILImage.new("RGB", BLACK_SIZE)
    return _checked(_to_jpeg(black, AT_SIZE.quality, None), black.size, "JPEG")


def upright_rgb(image: PILImage.Image) -> PILImage.Image:
    """A decoded image as a person sees it: upright, in RGB, with 8 bits a colour; one that is so already comes back.

    Turned as EXIF says, transparency laid on white, 16 bits scaled to 8, of an animation the first frame: to the bit
    what `processing_mblip.load_upright_rgb` gives, so that an image stored for training is the image that the
    processor shows. The packages do not import each other; a test compares them.

    Raises:
        RefusedImageError: its values are none of an image's, or no conversion is known.
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


def _checked(encoded: bytes, size: tuple[int, int], image_format: str) -> CheckedImage:
    return CheckedImage(encoded, *size, image_format, hashlib.sha256(encoded).hexdigest())


def _is_bare_small_jpeg(image: PILImage.Image, encoded: bytes, shorter_side: int) -> bool:
    """Whether encoding again would only lose: nothing to shrink, turn, convert or take out."""
    return (
        image.format == "JPEG"
        and image.mode in ("RGB", "L")
        and min(image.size) <= shorter_side
        and image.info.keys() <= BARE_JPEG_INFO
        and encoded.endswith(b"\xff\xd9")
    )


def _shrink(image: PILImage.Image, shorter_side: int) -> PILImage.Image:
    if min(image.size) <= shorter_side:
        return image
    scale = shorter_side / min(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), PILImage.Resampling.BICUBIC)


def _to_jpeg(image: PILImage.Image, quality: int, profile: bytes | None) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, comment=b"", icc_profile=profile)
    return buffer.getvalue()


def _kept_profile(image: PILImage.Image) -> bytes | None:
    """The colour profile that the stored pixels still follow, unless it is sRGB, which every viewer assumes."""
    profile = image.info.get("icc_profile") or b""
    is_rgb = profile[PROFILE_SIGNATURE] == b"acsp" and profile[PROFILE_COLOURS] == b"RGB " and image.mode != "CMYK"
    is_srgb = b"sRGB" in profile or "sRGB".encode("utf-16-be") in profile
    return profile if is_rgb and not is_srgb and len(profile) <= MAX_PROFILE_BYTES else None


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
