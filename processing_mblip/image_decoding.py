"""Decoding an image once and completely, or refusing it with a reason.

Size limits come first. The header gives the size in pixels, so a decompression bomb (a small file that claims a huge
size) costs no memory. We try only formats of photos on the web. Pillow's rarer readers accept almost anything as an
image (TGA), or start other programs (EPS).
"""

import functools
import io
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, cast

from PIL import IcoImagePlugin, ImageChops, ImageFile, UnidentifiedImageError
from PIL import Image as PILImage

from .image_completeness import (
    PNG_SIGNATURE,
    HeldBackFile,
    check_jpeg_2000,
    check_png,
    check_png_pixels,
    check_tiff,
    icon_sizes,
    jpeg_file,
)
from .image_refusal import RefusedImageError, check_size

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "TIFF", "ICO", "JPEG2000", "PPM", "MPO")
MAX_PIXELS = 89_478_485  # the size from which Pillow warns: a quarter of a GB in RGB
MAX_SIDE = 65_500  # the largest that JPEG can store
MAX_BYTES = 50_000_000  # of an encoded image
# Some formats hold an empty image of any size in 50 bytes. So a file whose decoding takes more memory than this needs
# a byte for so many pixels; photos have at most 50 a byte.
FREE_MEMORY, MAX_PIXELS_PER_BYTE = 300_000_000, 150
DECODING_BYTES = {"WEBP": 16, "AVIF": 16, "JPEG2000": 24}  # of memory per pixel; for all other formats 8
PLAIN_PPM, MAX_COMMENTS = re.compile(rb"P[123]\s"), 1000  # Pillow's time for them grows with their square

# What Pillow raises on files that are cut off, are damaged, have false headers or are closed.
PILLOW_ERRORS: tuple[type[Exception], ...] = (OSError, ValueError, RuntimeError, LookupError, ArithmeticError)
PILLOW_ERRORS += (TypeError, AttributeError, AssertionError, SyntaxError, EOFError, MemoryError)
PILLOW_ERRORS += (PILImage.DecompressionBombError, struct.error, zlib.error)

# The first bytes of files: formats that we read, and image formats that we do not.
READ_BEGINNINGS = {
    b"\xff\xd8\xff": "JPEG",
    PNG_SIGNATURE: "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\0\0\1\0": "ICO",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
}
UNREAD_IMAGE_BEGINNINGS = {
    b"8BPS": "a Photoshop file",
    b"%!PS": "PostScript",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"DDS ": "a DDS texture",
}
BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC"}

CLOSED = "the PIL image, or its file, is closed. Pass it before closing it"
_IGNORE_PILLOW = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_lock = threading.Lock()
_num_inside = 0
_takes_truncated = False


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Pillow without its warnings, and without `LOAD_TRUNCATED_IMAGES`, with which missing pixels become black.

    Both belong to the whole process. They are set while any thread is inside, and given back after the last one.
    """
    global _num_inside, _takes_truncated
    with _lock:
        if _num_inside == 0:
            _takes_truncated, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
            cast(list, warnings.filters).insert(0, _IGNORE_PILLOW)
        _num_inside += 1
    try:
        yield
    finally:
        with _lock:
            _num_inside -= 1
            if _num_inside == 0:
                ImageFile.LOAD_TRUNCATED_IMAGES = _takes_truncated
                with suppress(ValueError):  # another thread has put other filters in place
                    cast(list, warnings.filters).remove(_IGNORE_PILLOW)


def decode(encoded: bytes, *, max_pixels: int = MAX_PIXELS, shorter_side: int | None = None) -> PILImage.Image:
    """The first image in a file, decoded to its end.

    Args:
        shorter_side: the size to which the image will be shrunk, in pixels. A JPEG more than four times as large is
            then decoded at a half, a quarter or an eighth of its size, but never below twice this. That is much faster
            and looks the same.
    Raises:
        RefusedImageError: the file is not an image, too large, cut off, damaged, or of a format that we do not read.
    """
    with strict_pillow():
        held = _checked(encoded, max_pixels)
        try:
            image = PILImage.open(io.BytesIO(encoded), formats=_formats())
        except UnidentifiedImageError as error:
            raise _unidentified(encoded) from error
        except PILLOW_ERRORS as error:
            raise _refusal(error) from error
        _check_pixels(image.size, max_pixels, len(encoded), image.format)
        if shorter_side is not None and image.format in ("JPEG", "MPO"):
            image.draft("", _at_least(image.size, 2 * shorter_side))
        if held is not None:  # only for the pixels: Pillow reads headers faster from a plain file
            image.fp = held
        _load(image, held, encoded)
    return image


def load_opened(image: PILImage.Image) -> None:
    """Read the pixels of a PIL image that may be opened but not read, with the checks of `decode`.

    An image whose pixels are in memory stays as it is. Of other frames than the first, only the size is checked.

    Raises:
        RefusedImageError: as for `decode`, or the image is closed or has no pixels.
    """
    if 0 in image.size:
        raise RefusedImageError("no pixels", f"{image.width} x {image.height} pixels")
    if not isinstance(image, ImageFile.ImageFile) or (image._im is not None and not image.tile):
        try:
            image.load()  # raises if it is closed
        except PILLOW_ERRORS as error:
            raise RefusedImageError("unreadable", CLOSED) from error
        return
    if image.format not in FORMATS:
        raise RefusedImageError(
            "unsupported", f"found {image.format}, which we do not read. Convert it to JPEG or PNG"
        )
    opened, held = image.fp, None
    if opened is None:
        raise RefusedImageError("unreadable", CLOSED)
    with strict_pillow():
        encoded = _reread(opened)
        _check_pixels(image.size, MAX_PIXELS, len(encoded), image.format)
        if image.tell() == 0:
            held = _checked(encoded, MAX_PIXELS)
        if held is not None:
            image.fp = held
        try:
            _load(image, held, encoded)
        finally:
            if held is not None and held.closed:  # Pillow closes what it opened itself
                opened.close()
            elif held is not None and image.fp is held:
                image.fp = opened


def begins_like_an_image(encoded: bytes) -> bool:
    """Whether the first bytes are those of an image file, of a format that we read or not."""
    known_as = _read_format(encoded) or _unread_image_format(encoded)
    return known_as is not None or re.match(rb"P[0-6fy]", encoded) is not None  # PPM and its kin


def _reread(opened: IO[bytes]) -> bytes:
    """The whole file that Pillow has opened, whose position stays."""
    try:
        position = opened.tell()
        opened.seek(0)
        encoded = opened.read(MAX_BYTES + 1)
        opened.seek(position)
    except PILLOW_ERRORS as error:
        raise RefusedImageError("unreadable", CLOSED) from error
    check_size(len(encoded), MAX_BYTES)
    return encoded


def _checked(encoded: bytes, max_pixels: int) -> HeldBackFile | None:
    """Check what needs no decoder. For a JPEG, return the file to decode from, if its end can be checked."""
    known_as = _read_format(encoded)
    if known_as == "JPEG":
        return jpeg_file(encoded)
    if known_as == "PNG":
        check_png(encoded)
    elif known_as == "JPEG 2000":
        check_jpeg_2000(encoded)
    elif known_as == "TIFF":
        check_tiff(encoded)
    elif PLAIN_PPM.match(encoded) and encoded.count(b"#") > MAX_COMMENTS:
        raise RefusedImageError("too large", f"a PPM with more than {MAX_COMMENTS:,} comments")
    elif known_as == "ICO":  # decoded as soon as it is opened
        for size in icon_sizes(encoded):
            _check_pixels(size, max_pixels, len(encoded))
    return None


def _load(image: ImageFile.ImageFile, held: HeldBackFile | None, encoded: bytes) -> None:
    """Read the pixels, and check that all are there."""
    if image.format == "TIFF":  # Pillow shows missing strips as black
        parts = {tile.extents or (0, 0, *image.size) for tile in image.tile}
        if sum((right - left) * (bottom - top) for left, top, right, bottom in parts) < image.width * image.height:
            raise RefusedImageError("cut off", "a TIFF without some of its strips or tiles")
    try:
        image.load()
        depends_on_padding = held is not None and held.other and _differ(image, held.other)
    except PILLOW_ERRORS as error:
        raise _refusal(error) from error
    if depends_on_padding:
        raise RefusedImageError("cut off", "the last scan of a JPEG ends before its pixels do")
    if held is not None and held.has_bytes_left:
        raise RefusedImageError("damaged", "the pixels of a JPEG end before its data do")
    if image.format == "PNG" and encoded:
        check_png_pixels(encoded, image)
    if isinstance(image, IcoImagePlugin.IcoImageFile):
        part = encoded[image.ico.entry[0].offset :]
        if part.startswith(PNG_SIGNATURE):
            check_png(part)
            check_png_pixels(part, image)


def _differ(image: PILImage.Image, other: bytes) -> bool:
    """Whether a JPEG shows another image if its last scan is padded by other bytes."""
    second = PILImage.open(io.BytesIO(other), formats=["JPEG"])
    scale = round(second.width / image.width)
    second.draft(image.mode, (second.width // scale, second.height // scale))
    return ImageChops.difference(image, second).getbbox() is not None


def _unidentified(encoded: bytes) -> RefusedImageError:
    if known_as := _read_format(encoded):
        return RefusedImageError("damaged", f"{known_as} of {len(encoded):,} bytes with an incomplete header")
    if unread := _unread_image_format(encoded):
        return RefusedImageError("unsupported", f"found {unread}, which we do not read. Convert it to JPEG or PNG")
    return RefusedImageError("not an image", _looks_like(encoded))


@functools.cache
def _formats() -> list[str]:
    """The formats of `FORMATS` that this Pillow supports."""
    PILImage.init()
    return [name for name in FORMATS if name in PILImage.OPEN]


def _check_pixels(size: tuple[int, int], max_pixels: int, num_bytes: int, image_format: str | None = None) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise RefusedImageError("no pixels", f"{width} x {height} pixels")
    if width * height > max_pixels:
        raise RefusedImageError("too large", f"{width} x {height} pixels, more than the {max_pixels:,} allowed")
    memory = width * height * DECODING_BYTES.get(image_format or "", 8)
    if memory > FREE_MEMORY and width * height > MAX_PIXELS_PER_BYTE * num_bytes:
        raise RefusedImageError("too large", f"{width} x {height} pixels in only {num_bytes:,} bytes")
    if max(width, height) > MAX_SIDE:
        raise RefusedImageError("too large", f"{width} x {height} pixels, a side of more than {MAX_SIDE:,}")


def _at_least(size: tuple[int, int], shorter_side: int) -> tuple[int, int]:
    """The size with its shorter side shrunk to `shorter_side`. Each side is at least 1: Pillow ignores (0, 0)."""
    scale = shorter_side / min(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _refusal(error: Exception) -> RefusedImageError:
    if isinstance(error, PILImage.DecompressionBombError):
        return RefusedImageError("too large", str(error))
    if isinstance(error, MemoryError):
        return RefusedImageError("too large", "there is not enough memory")
    is_cut_off = isinstance(error, EOFError) or "truncated" in str(error).lower()
    # The text of any other error may quote the file.
    detail = str(error) if isinstance(error, OSError) else f"Pillow found {type(error).__name__}"
    return RefusedImageError("cut off" if is_cut_off else "damaged", detail)


def _read_format(encoded: bytes) -> str | None:
    """The readable format whose first bytes these are; None for other bytes."""
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return "WebP"
    if encoded[4:8] == b"ftyp" and BRANDS.get(encoded[8:12]) == "AVIF":
        return "AVIF"
    return _matching(READ_BEGINNINGS, encoded)


def _unread_image_format(encoded: bytes) -> str | None:
    """The name of an image format that we do not read; None for other bytes."""
    if encoded[4:8] == b"ftyp":
        return BRANDS.get(encoded[8:12])
    if b"<svg" in encoded[:1000].lower():
        return "an SVG drawing"
    return _matching(UNREAD_IMAGE_BEGINNINGS, encoded)


def _looks_like(encoded: bytes) -> str:
    """What bytes that are not an image look like."""
    if not encoded:
        return "nothing, 0 bytes"
    head = encoded[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page"
    is_text = all(byte >= 32 or byte in b"\t\r\n" for byte in encoded[:1000])
    return f"{len(encoded):,} bytes of {'text' if is_text else 'no known kind'}"


def _matching(beginnings: dict[bytes, str], encoded: bytes) -> str | None:
    return next((name for begin, name in beginnings.items() if encoded.startswith(begin)), None)
