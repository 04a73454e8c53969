"""Whether a PNG or JPEG 2000 is all there, by the lengths and checksums of its parts.

PNG carries checksums, but Pillow does not look at those of the pixels, and shows black where pixels are missing.
OpenJPEG decodes some JPEG 2000 files that are cut off to what there is of them.
"""

import struct
import zlib
from collections.abc import Iterator

from PIL import Image as PILImage

from .refusal import RefusedImageError

NUM_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by PNG's colour type
ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)  # x, y, steps
INFLATED_AT_ONCE = 1 << 20
CODESTREAM, END_OF_CODESTREAM = b"jp2c", b"\xff\xd9"


def check_png(encoded: bytes) -> None:
    """Raises RefusedImageError for a PNG that ends before its end chunk, has a wrong checksum in a chunk that the
    picture needs, or no pixels."""
    kind = b""
    for position, kind, content in _png_chunks(encoded):
        end = position + 8 + len(content)
        is_needed = not kind[0] & 0x20  # upper case
        if is_needed and zlib.crc32(kind + content) != int.from_bytes(encoded[end : end + 4], "big"):
            raise RefusedImageError("damaged", f"the checksum of a PNG chunk {kind!r} at byte {position:,} is wrong")
        if kind == b"IHDR" and b"\0\0\0\0" in (content[:4], content[4:8]):
            raise RefusedImageError("no pixels", "a PNG of no lines or no columns")
    if kind != b"IEND":
        raise RefusedImageError("cut off", f"a PNG without its end, {len(encoded):,} bytes")


def check_png_pixels(encoded: bytes, image: PILImage.Image) -> None:
    """Raises RefusedImageError for a decoded PNG whose data end before its pixels do.

    Pixels that are missing are 0 in what Pillow decodes, from some line to the last; so only a picture whose last line
    or last line but one (the last of an interlaced one) is all 0 is unpacked a second time, and its bytes counted.
    """
    lines = [image.crop((0, y, image.width, y + 1)) for y in range(max(0, image.height - 2), image.height)]
    if all(any(line.tobytes()) for line in lines):
        return
    chunks = [(kind, content) for _, kind, content in _png_chunks(encoded) if kind in (b"IHDR", b"IDAT")]
    expected = _num_unpacked_bytes(chunks[0][1])
    found = _count_inflated([content for kind, content in chunks if kind == b"IDAT"], expected)
    if found < expected:
        raise RefusedImageError("cut off", f"a PNG with {found:,} of {expected:,} bytes of pixels")


def _png_chunks(encoded: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Position, kind and content of every whole chunk up to the end chunk."""
    position, kind = 8, b""
    while position + 12 <= len(encoded) and kind != b"IEND":
        size, kind = struct.unpack_from(">I4s", encoded, position)
        if position + 12 + size > len(encoded):
            return
        yield position, kind, encoded[position + 8 : position + 8 + size]
        position += 12 + size


def _num_unpacked_bytes(header: bytes) -> int:
    """How many bytes the pixels are before they are packed: each line of each pass has one byte more, its filter."""
    width, height, bits, colours, _, _, is_interlaced = struct.unpack(">IIBBBBB", header)
    passes = ADAM7 if is_interlaced else ((0, 0, 1, 1),)
    total = 0
    for x, y, x_step, y_step in passes:
        columns, lines = -(-(width - x) // x_step), -(-(height - y) // y_step)
        if columns > 0 and lines > 0:
            total += lines * (1 + -(-columns * bits * NUM_CHANNELS[colours] // 8))
    return total


def _count_inflated(parts: list[bytes], at_most: int) -> int:
    inflater, count = zlib.decompressobj(), 0
    for part in parts:
        while part and count < at_most:
            count += len(inflater.decompress(part, INFLATED_AT_ONCE))
            part = inflater.unconsumed_tail
    return count + (len(inflater.flush(1024)) if count < at_most else 0)


def check_jpeg_2000(encoded: bytes) -> None:
    """Raises RefusedImageError for a JPEG 2000 whose codestream does not reach its end marker."""
    begin, end = _codestream(encoded) if encoded[4:8] == b"jP  " else (0, len(encoded))
    if begin == end or not encoded[begin:end].rstrip(b"\0").endswith(END_OF_CODESTREAM):
        raise RefusedImageError("cut off", f"a JPEG 2000 without its end, {len(encoded):,} bytes")


def _codestream(encoded: bytes) -> tuple[int, int]:
    """Where the codestream lies among the boxes of a JP2 file; (0, 0) if it is not there whole."""
    position = 0
    while position + 8 <= len(encoded):
        size, kind = struct.unpack_from(">I4s", encoded, position)
        header = 8
        if size == 1:
            size, header = int.from_bytes(encoded[position + 8 : position + 16], "big"), 16
        end = position + size if size else len(encoded)
        if end > len(encoded) or end < position + header:
            return 0, 0
        if kind == CODESTREAM:
            return position + header, end
        position = end
    return 0, 0
