"""An image checked: decoded once, and what is to be stored of it, or the reason why it is refused.

Stored at the size training needs, a picture is upright RGB as a person sees it, shrunk so that its shorter side is 256
pixels (never enlarged), as JPEG of quality 90 with colours at half resolution, and nothing else: no EXIF, no comments.
Pixels are not colour-managed, since the processor does not do so either; an RGB profile other than sRGB is kept in the
file, where it is small, so that viewers show it right. A JPEG that is small, upright and bare already stays as it is,
byte for byte. The same image gives the same bytes in every run with the same Pillow.
"""

import hashlib
import io
from dataclasses import dataclass
from typing import Literal

from PIL import Image as PILImage

from .decoding import MAX_PIXELS, decode, quiet_pillow
from .places import MAX_BYTES, FetchedBytes, Place, open_bytes
from .refusal import Refused, RefusedImageError
from .showing import upright_rgb

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
    """What is stored of an image, and what is too large to be one.

    `store`: "at_size", as JPEG with a shorter side of `shorter_side` at most; or "as_is", the file itself. With
    `as_released` a build puts a black picture in the place of one that is refused, as the original did.
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
    `height` are those of the upright picture."""

    bytes: bytes
    width: int
    height: int
    format: str
    sha256: str


def black_picture() -> CheckedImage:
    """What the original trained on where it could not read an image."""
    black = PILImage.new("RGB", BLACK_SIZE)
    return _checked(_to_jpeg(black, AT_SIZE.quality, None), black.size, "JPEG")


def check_place(
    place: Place, settings: ImageSettings = AT_SIZE, *, fetched: FetchedBytes | None = None
) -> CheckedImage | Refused:
    """The image at a place (`places.open_bytes`), checked."""
    try:
        encoded = open_bytes(place, fetched=fetched, max_bytes=settings.max_bytes)
    except RefusedImageError as error:
        return error.refused
    return check_image(encoded, settings)


def check_image(encoded: bytes, settings: ImageSettings = AT_SIZE) -> CheckedImage | Refused:
    """What to store of an encoded image, or why it is refused. Takes a process of its own or the main thread
    (`quiet_pillow`)."""
    if len(encoded) > settings.max_bytes:
        return Refused("too large", f"{len(encoded):,} bytes, more than the {settings.max_bytes:,} allowed")
    shorter_side = settings.shorter_side if settings.store == "at_size" else None
    try:
        with quiet_pillow():
            image = decode(encoded, max_pixels=settings.max_pixels, shorter_side=shorter_side)
            shown = upright_rgb(image)
    except RefusedImageError as error:
        return error.refused
    if shorter_side is None or _is_bare_small_jpeg(image, encoded, shorter_side):
        return _checked(encoded, shown.size, image.format or "")
    shrunk = _shrink(shown, shorter_side)
    return _checked(_to_jpeg(shrunk, settings.quality, _kept_profile(image)), shrunk.size, "JPEG")


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
