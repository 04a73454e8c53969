"""Decoding an image once and completely, or refusing it with a reason.

Size limits come first. The header gives the size in pixels, so a decompression bomb (a small file that claims a huge
size) costs no memory. We try only formats of photos on the web. Pillow's rarer readers accept almost anything as an
image (TGA), or start other programs (EPS).
"""

import codecs
import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image as PILImage
from PIL import UnidentifiedImageError

from .image_completeness import HeldBackFile, check_jpeg_2000, check_png, check_png_pixels, jpeg_file
from .image_refusal import RefusedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "TIFF", "ICO", "JPEG2000", "PPM", "MPO")
MAX_PIXELS = 89_478_485  # the size from which Pillow warns: a quarter of a GB in RGB
MAX_SIDE = 65_500  # the largest that JPEG can store

# What Pillow raises on files that are cut off, are damaged, or have false headers.
PILLOW_ERRORS = (
    PILImage.DecompressionBombError,
    PILImage.DecompressionBombWarning,
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    MemoryError,
    RuntimeError,
    struct.error,
)

# The first bytes of files: formats that we read, image formats that we do not, and other files.
READ_BEGINNINGS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\1\0": "ICO",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
}
UNREAD_IMAGE_BEGINNINGS = {
    b"8BPS": "a Photoshop file",
    b"%!PS": "PostScript",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"v/1\1": "OpenEXR",
    b"qoif": "QOI",
    b"DDS ": "a DDS texture",
    b"\xd7\xcd\xc6\x9a": "a Windows metafile",
}
OTHER_BEGINNINGS = {
    b"%PDF": "a PDF",
    b"\x1f\x8b": "a gzip file",
    b"PK\3\4": "a zip archive",
    b"\x1aE\xdf\xa3": "a WebM or Matroska video",
    b"ID3": "MP3 sound",
    b"OggS": "an Ogg file",
}
BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC"}


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings about what it skips, such as corrupt EXIF data. Real faults still raise.

    Warning filters belong to the whole process: enter this in its main thread.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def decode(encoded: bytes, *, max_pixels: int = MAX_PIXELS, shorter_side: int | None = None) -> PILImage.Image:
    """The first image in a file, decoded to its end.

    Args:
        shorter_side: the size to which the image will be shrunk, in pixels. A JPEG more than four times as large is
            then decoded at a half, a quarter or an eighth of its size, but never below twice this. That is much faster
            and looks the same.
    Raises:
        RefusedImageError: the file is not an image, too large, cut off, damaged, or of a format that we do not read.
    """
    # the header, and the limits on its size
    image, file = _open(encoded)
    _check_pixels(image, max_pixels)
    if shorter_side is not None and image.format in ("JPEG", "MPO"):
        image.draft("", _at_least(image.size, 2 * shorter_side))
    # the pixels
    try:
        image.load()
    except PILLOW_ERRORS as error:
        raise _refusal(error) from error
    # check that all pixels are there
    _check_pixels(image, max_pixels)  # an icon's header may differ from the image in it
    if isinstance(file, HeldBackFile) and file.has_bytes_left:
        raise RefusedImageError("damaged", "the pixels of a JPEG end before its data do")
    if image.format == "PNG":
        check_png_pixels(encoded, image)
    return image


def _open(encoded: bytes) -> tuple[PILImage.Image, io.BytesIO]:
    """The image with its header read, and the file for its pixels."""
    known_as = _read_format(encoded)
    if known_as == "PNG":
        check_png(encoded)
    elif known_as == "JPEG 2000":
        check_jpeg_2000(encoded)
    try:
        file = jpeg_file(encoded) if known_as == "JPEG" else io.BytesIO(encoded)
        return PILImage.open(file, formats=_formats()), file
    except RefusedImageError:
        raise
    except UnidentifiedImageError as error:
        raise _unidentified(encoded, known_as) from error
    except PILLOW_ERRORS as error:
        raise _refusal(error) from error


def _unidentified(encoded: bytes, known_as: str | None) -> RefusedImageError:
    if known_as is not None:
        return RefusedImageError("damaged", f"a {known_as} file of {len(encoded):,} bytes with an incomplete header")
    if unread := _unread_image_format(encoded):
        return RefusedImageError("unsupported", f"found {unread}, which we do not read. Convert it to JPEG or PNG.")
    return RefusedImageError("not an image", _looks_like(encoded))


def _formats() -> list[str]:
    """The formats of `FORMATS` that this Pillow supports."""
    PILImage.init()
    return [name for name in FORMATS if name in PILImage.OPEN]


def _check_pixels(image: PILImage.Image, max_pixels: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise RefusedImageError("no pixels", f"{width} x {height} pixels")
    if width * height > max_pixels:
        raise RefusedImageError("too large", f"{width} x {height} pixels, more than the {max_pixels:,} allowed")
    if max(width, height) > MAX_SIDE:
        raise RefusedImageError("too large", f"{width} x {height} pixels, a side of more than {MAX_SIDE:,}")


def _at_least(size: tuple[int, int], shorter_side: int) -> tuple[int, int]:
    """The size with its shorter side shrunk to `shorter_side`. Each side is at least 1: Pillow ignores (0, 0)."""
    scale = shorter_side / min(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _refusal(error: Exception) -> RefusedImageError:
    if isinstance(error, PILImage.DecompressionBombError | PILImage.DecompressionBombWarning):
        return RefusedImageError("too large", str(error))
    text = f"{type(error).__name__}: {error}" if not isinstance(error, OSError) else str(error)
    is_cut_off = isinstance(error, EOFError) or "truncated" in text.lower()
    return RefusedImageError("cut off" if is_cut_off else "damaged", text)


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
    if head.startswith(b"<?xml"):
        return "XML"
    if encoded[4:8] == b"ftyp":
        return "a video"
    if not encoded.strip(b"\0"):
        return f"{len(encoded):,} zero bytes"
    return _matching(OTHER_BEGINNINGS, encoded) or (_text(head) or f"bytes that begin {encoded[:8].hex(' ')}")


def _matching(beginnings: dict[bytes, str], encoded: bytes) -> str | None:
    return next((name for begin, name in beginnings.items() if encoded.startswith(begin)), None)


def _text(head: bytes) -> str | None:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # the last character may be cut
    except UnicodeDecodeError:
        return None
    return f"text that begins {text[:40]!r}" if "\0" not in text else None
