"""Decoding a picture once and wholly, or refusing it with the reason.

Limits come first: size in pixels is known from the header, so a bomb (a small file that says it is huge) costs no
memory. Only formats of photos on the web are tried; Pillow's rarer readers take almost anything for a picture (TGA),
or start other programs (EPS).
"""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image as PILImage
from PIL import UnidentifiedImageError

from .chunks import check_jpeg_2000, check_png, check_png_pixels
from .completeness import HeldBackFile, jpeg_file
from .refusal import RefusedImageError
from .signatures import looks_like, read_format, unread_image_format

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "TIFF", "ICO", "JPEG2000", "PPM", "MPO")
MAX_PIXELS = 89_478_485  # where Pillow begins to warn: a quarter of a GB in RGB
MAX_SIDE = 65_500  # what JPEG can store

# What Pillow raises on files that are cut off, damaged or lie about themselves.
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


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Without Pillow's warnings about what it passes over, such as corrupt EXIF data; what matters is raised. The
    filters of warnings belong to the whole process: enter this in its main thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def decode(encoded: bytes, *, max_pixels: int = MAX_PIXELS, shorter_side: int | None = None) -> PILImage.Image:
    """The first picture in a file, decoded to its end.

    Args:
        shorter_side: the picture is going to be shrunk to this. A JPEG more than four times as large is then decoded
            at a half, a quarter or an eighth of its size, never below twice this: much faster, no worse to see.

    Raises:
        RefusedImageError: it is no image, too large, cut off, damaged, or of a format that is not read.
    """
    image, file = _open(encoded)
    _check_pixels(image, max_pixels)
    if shorter_side is not None and image.format in ("JPEG", "MPO"):
        image.draft("", _at_least(image.size, 2 * shorter_side))
    try:
        image.load()
    except PILLOW_ERRORS as error:
        raise _refusal(error) from error
    _check_pixels(image, max_pixels)  # an icon's header may say otherwise than the picture in it
    if isinstance(file, HeldBackFile) and file.has_bytes_left:
        raise RefusedImageError("damaged", "the pixels of a JPEG end before its data do")
    if image.format == "PNG":
        check_png_pixels(encoded, image)
    return image


def _open(encoded: bytes) -> tuple[PILImage.Image, io.BytesIO]:
    """The picture with its header read, and the file that its pixels come from."""
    known_as = read_format(encoded)
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
        return RefusedImageError("damaged", f"a {known_as} file of {len(encoded):,} bytes without a whole header")
    if unread := unread_image_format(encoded):
        return RefusedImageError("unsupported", f"{unread} is not read. Convert it to JPEG or PNG.")
    return RefusedImageError("not an image", looks_like(encoded))


def _formats() -> list[str]:
    """Those of `FORMATS` that this Pillow was built with."""
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
    """The size shrunk so that its shorter side is so long; (0, 0) would ask for nothing."""
    scale = shorter_side / min(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _refusal(error: Exception) -> RefusedImageError:
    if isinstance(error, PILImage.DecompressionBombError | PILImage.DecompressionBombWarning):
        return RefusedImageError("too large", str(error))
    text = f"{type(error).__name__}: {error}" if not isinstance(error, OSError) else str(error)
    is_cut_off = isinstance(error, EOFError) or "truncated" in text.lower()
    return RefusedImageError("cut off" if is_cut_off else "damaged", text)
