"""Checking an image: it is decoded once, and either what to store of it comes out or the reason for refusing it.

At the size training needs, an image is stored as JPEG of quality 90 with colours at half resolution: upright RGB,
shrunk to a shorter side of 256 pixels, never enlarged. EXIF and comments are removed. Pixels are not colour-managed,
because the processor does not do that either. A small RGB profile other than sRGB stays in the file, so that viewers
show the right colours. A JPEG that is already small, upright and bare stays byte for byte. With the same Pillow, an
image gives the same bytes in every run.
"""

import hashlib
import io
from dataclasses import dataclass
from typing import Annotated, Literal

from PIL import Image as PILImage

from processing_mblip.image_decoding import MAX_BYTES, MAX_PIXELS, decode
from processing_mblip.image_processing_mblip import upright_rgb
from processing_mblip.image_refusal import Refused, RefusedImageError, check_size

from ..recipes.ranges import Count, Range, check_ranges
from .locations import FetchedBytes, Location, open_bytes

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


@dataclass(frozen=True)
class ImageSettings:
    """What to store of an image, and the limits on its size.

    `store` is "at_size" (a JPEG with a shorter side of at most `shorter_side` pixels) or "as_is" (the file itself).
    With `as_released`, a build replaces a refused image by a black one, as the original did.
    """

    store: Literal["at_size", "as_is"] = "at_size"
    shorter_side: Count = 256
    quality: Annotated[int, Range("at least 1 and at most 95", lambda number: 1 <= number <= 95)] = 90  # as in Pillow
    max_bytes: Count = MAX_BYTES
    max_pixels: Count = MAX_PIXELS
    as_released: bool = False

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.store not in ("at_size", "as_is"):
            raise ValueError(f"`store` is {self.store!r}, expected 'at_size' or 'as_is'.")


AT_SIZE = ImageSettings()
BLACK_SIZE = (224, 224)


@dataclass(frozen=True)
class CheckedImage:
    """The encoded image to store, with its format ("JPEG", "PNG", ...) and the SHA-256 of `bytes`.

    `width` and `height` are those of the upright image, in pixels.
    """

    bytes: bytes
    width: int
    height: int
    format: str
    sha256: str


def check_location(
    location: Location, settings: ImageSettings = AT_SIZE, *, fetched: FetchedBytes | None = None
) -> CheckedImage | Refused:
    """The checked image at a location (`locations.open_bytes`)."""
    try:
        encoded = open_bytes(location, fetched=fetched, max_bytes=settings.max_bytes)
    except RefusedImageError as error:
        return error.refused
    return check_image(encoded, settings)


def check_image(encoded: bytes, settings: ImageSettings = AT_SIZE) -> CheckedImage | Refused:
    """What to store of an encoded image, or why it is refused."""
    shorter_side = settings.shorter_side if settings.store == "at_size" else None
    try:
        check_size(len(encoded), settings.max_bytes)
        image = decode(encoded, max_pixels=settings.max_pixels, shorter_side=shorter_side)
        shown = upright_rgb(image)
    except RefusedImageError as error:
        return error.refused
    if shorter_side is None or _is_bare_small_jpeg(image, encoded, shorter_side):
        return _checked(encoded, shown.size, image.format or "")
    shrunk = _shrink(shown, shorter_side)
    return _checked(_to_jpeg(shrunk, settings.quality, _kept_profile(image)), shrunk.size, "JPEG")


def black_image() -> CheckedImage:
    """The image that the original trained on in place of an unreadable one."""
    black = PILImage.new("RGB", BLACK_SIZE)
    return _checked(_to_jpeg(black, AT_SIZE.quality, None), black.size, "JPEG")


def _checked(encoded: bytes, size: tuple[int, int], image_format: str) -> CheckedImage:
    return CheckedImage(encoded, *size, image_format, hashlib.sha256(encoded).hexdigest())


def _is_bare_small_jpeg(image: PILImage.Image, encoded: bytes, shorter_side: int) -> bool:
    """Whether encoding again would only lose quality: there is nothing to shrink, turn, convert or remove."""
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
    """The colour profile of the stored pixels, unless it is sRGB, which every viewer assumes."""
    profile = image.info.get("icc_profile") or b""
    is_rgb = profile[PROFILE_SIGNATURE] == b"acsp" and profile[PROFILE_COLOURS] == b"RGB " and image.mode != "CMYK"
    is_srgb = b"sRGB" in profile or "sRGB".encode("utf-16-be") in profile
    return profile if is_rgb and not is_srgb and len(profile) <= MAX_PROFILE_BYTES else None
