"""Whether a JPEG, PNG or JPEG 2000 is complete, in cases that Pillow misses.

JPEG has no checksums. libjpeg fills missing pixels with grey and only warns, and Pillow drops the warning. Pillow
raises only at the end of the file, so half a photo with an end marker becomes a photo that is half grey. We find such
files in the one pass that decodes them. We replace the end marker by a few bytes of padding, and hold the last bytes
back until the decoder asks for them. If it still asks after the padding, data are missing ("cut off"). If it never
asks for the last bytes, data are left over, so it lost its way ("damaged").

A progressive file is read to its end in any case. Its scans must give every bit of every coefficient that they
announce. We decode it twice, with other padding behind the last scan. If that shows, the scan is cut off.

PNG has checksums, but Pillow does not check those of the pixels and shows missing pixels as black. OpenJPEG decodes
some JPEG 2000 files that are cut off, as far as they go. We check both formats by the lengths and checksums of their
parts.

We do not find wrong bytes that are still a valid image, nor an end marker inside the last block of a JPEG's pixels.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from PIL import Image as PILImage

from .image_refusal import RefusedImageError

# The marker that ends the coded pixels: 0xFF, not followed by 0 (a pixel byte 0xFF), a restart marker or a fill.
END_OF_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
FILL_BYTES = re.compile(rb"\xff+")
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
HUFFMAN, PROGRESSIVE = (0xC0, 0xC1, 0xC2), (0xC2, 0xCA)
START_OF_SCAN, END_OF_IMAGE, CLOSED = 0xDA, 0xD9, b"\xff\xd9"
WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})

PADDING = b"\xff\x00" * 8  # libjpeg reads 8 bytes ahead; no code word is all ones, so this decodes to nothing
OTHER_PADDING = bytes(16)
HELD_BACK_BYTES = 32
MAX_ZERO_BYTES = 64  # more of them at the end are no pixels, unless they reach it
MAX_SCANS = 100  # 1 to 20 are usual; each covers all pixels, so thousands would take minutes

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
NUM_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # PNG colour type -> channels
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
MAX_PARTS = 200_000  # chunks of a PNG, strips or values of a TIFF: Pillow keeps up to some hundred bytes for each
BYTE_TYPES = (1, 2, 6, 7)  # of TIFF, which Pillow keeps as they are
CODESTREAM, START_OF_TILE, END_OF_CODESTREAM = b"jp2c", b"\xff\x90", b"\xff\xd9"


def jpeg_file(encoded: bytes) -> "HeldBackFile | None":
    """The file to decode a JPEG from, which lets us check its end. None: its coding does not let us.

    Raises:
        RefusedImageError: scans are missing, or there are so many that decoding would take minutes.
    """
    jpeg = _read_scans(encoded)
    if not jpeg.is_closed:
        raise RefusedImageError("cut off", f"a JPEG without its end, {len(encoded):,} bytes")
    if len(jpeg.scans) > MAX_SCANS:
        raise RefusedImageError("too large", f"{len(jpeg.scans):,} scans over all pixels, more than {MAX_SCANS}")
    if jpeg.frame in PROGRESSIVE:
        _check_progression(jpeg)
    if jpeg.frame not in HUFFMAN:
        return None
    without_fill = _end_without(b"\0", encoded, jpeg.end)  # some cameras append zeros
    fill = min(jpeg.end, without_fill + MAX_ZERO_BYTES)
    if len(jpeg.scans) > 1 or len(jpeg.scans[0][0]) < jpeg.num_components:
        content = encoded[: fill if jpeg.scans[-1][1] else jpeg.end]  # bits of mean colours may all be zero
        return HeldBackFile(content + PADDING + CLOSED, other=content + OTHER_PADDING + CLOSED)
    held, end = without_fill - HELD_BACK_BYTES, max(fill, jpeg.end - HELD_BACK_BYTES)
    content = b"".join((memoryview(encoded)[: jpeg.end], PADDING))
    return HeldBackFile(content, held if held > jpeg.begin else 0, fill, end)


def check_png(encoded: bytes) -> None:
    """Check the chunks of a PNG.

    Raises:
        RefusedImageError: the file ends before its end chunk, a chunk that the image needs has a wrong checksum, the
            image has no pixels, or there are very many chunks.
    """
    kind = b""
    for number, (position, kind, content) in enumerate(_png_chunks(encoded)):
        if number == MAX_PARTS:
            raise RefusedImageError("too large", f"a PNG of more than {MAX_PARTS:,} chunks")
        end = position + 8 + len(content)
        is_needed = not kind[0] & 0x20  # an upper-case first letter: the image needs the chunk
        if is_needed and zlib.crc32(kind + content) != int.from_bytes(encoded[end : end + 4], "big"):
            raise RefusedImageError("damaged", f"the checksum of a PNG chunk {kind!r} at byte {position:,} is wrong")
        if kind == b"IHDR" and b"\0\0\0\0" in (content[:4], content[4:8]):
            raise RefusedImageError("no pixels", "a PNG without lines or columns")
    if kind != b"IEND":
        raise RefusedImageError("cut off", f"a PNG without its end, {len(encoded):,} bytes")


def check_png_pixels(encoded: bytes, image: PILImage.Image) -> None:
    """Raise RefusedImageError if a PNG's data end before its pixels do.

    Pillow decodes missing pixels as 0, from some line to the end. So we unpack the data a second time, and count the
    bytes, only if one of the last two lines is all 0. (An interlaced image may end with the last line but one.)
    """
    lines = [image.crop((0, y, image.width, y + 1)) for y in range(max(0, image.height - 2), image.height)]
    if all(any(line.tobytes()) for line in lines):
        return
    chunks = [(kind, content) for _, kind, content in _png_chunks(encoded) if kind in (b"IHDR", b"IDAT")]
    expected = _num_unpacked_bytes(chunks[0][1])
    found = _count_inflated([content for kind, content in chunks if kind == b"IDAT"], expected)
    if found < expected:
        raise RefusedImageError("cut off", f"a PNG with {found:,} of {expected:,} bytes of pixels")


def check_jpeg_2000(encoded: bytes) -> None:
    """Raise RefusedImageError unless the tiles of a JPEG 2000 have their lengths and reach the end marker."""
    position, end = _codestream(encoded) if encoded[4:8] == b"jP  " else (0, len(encoded))
    is_tile, position = False, position + 2
    while position + 12 <= end and (marker := encoded[position : position + 2]) != END_OF_CODESTREAM:
        is_tile = marker == START_OF_TILE
        size = int.from_bytes(encoded[position + 6 : position + 10], "big")
        if is_tile and size == 0:  # up to the end marker
            position = len(encoded[:end].rstrip(b"\0")) - 2
            break
        position += max(size, 12) if is_tile else 2 + _length(encoded, position + 1)
    if not is_tile or encoded[position : min(position + 2, end)] != END_OF_CODESTREAM:
        raise RefusedImageError("cut off", f"a JPEG 2000 without its end, {len(encoded):,} bytes")


def check_tiff(encoded: bytes) -> None:
    """Raise RefusedImageError if a tag of the first image in a TIFF holds very many values, such as its strips."""
    order, is_big = "<" if encoded[:2] == b"II" else ">", b"+" in encoded[2:4]
    begin_format, number_format, tag_format = ("8xQ", "Q", "HHQ8x") if is_big else ("4xI", "H", "HHI4x")
    with suppress(struct.error, OverflowError):  # an incomplete header, which Pillow refuses
        (begin,) = struct.unpack_from(order + begin_format, encoded)
        (num_tags,) = struct.unpack_from(order + number_format, encoded, begin)
        tags = encoded[begin + struct.calcsize(order + number_format) :]
        for i in range(num_tags):
            tag, kind, count = struct.unpack_from(order + tag_format, tags, i * struct.calcsize(order + tag_format))
            if kind not in BYTE_TYPES and count > MAX_PARTS:
                raise RefusedImageError("too large", f"a TIFF with {count:,} values of tag {tag}")


def icon_sizes(encoded: bytes) -> Iterator[tuple[int, int]]:
    """The sizes of the images in an icon, as they themselves say. The icon's own list may say otherwise."""
    for entry in range(6, min(len(encoded), 6 + 16 * int.from_bytes(encoded[4:6], "little")) - 15, 16):
        offset = int.from_bytes(encoded[entry + 12 : entry + 16], "little")
        head = encoded[offset : offset + 24]
        if head.startswith(PNG_SIGNATURE) and len(head) == 24:
            yield struct.unpack_from(">II", head, 16)
        elif len(head) == 24:
            is_old = head[:4] == b"\x0c\0\0\0"  # a BITMAPCOREHEADER
            width, height = struct.unpack_from("<HH" if is_old else "<ii", head, 4)
            yield abs(width), abs(height) // 2  # pixels and mask one above the other


class HeldBackFile(io.BytesIO):
    """A file that gives its last bytes only on a further read, so that we can see whether the decoder needed them.

    Args:
        held: where these bytes begin. `fill` and `end`: what lies between is not needed, or all of it.
        other: the same file, padded by other bytes.
    """

    def __init__(self, content: bytes, held: int = 0, fill: int = 0, end: int = 0, *, other: bytes = b"") -> None:
        super().__init__(content)
        self.other = other
        self._held, self._fill, self._end = held, fill, end
        self._stops = (held, fill, end) if fill < end else (held,)
        self._last_read = 0

    @property
    def has_bytes_left(self) -> bool:
        return self._last_read < self._held or self._fill <= self._last_read < self._end

    def read(self, size: int | None = -1) -> bytes:
        self._last_read = position = self.tell()
        for stop in self._stops:
            if position < stop:
                size = stop - position if size is None or size < 0 else min(size, stop - position)
                break
        return super().read(size)


@dataclass
class _JpegScans:
    """What the headers of a JPEG say.

    They give the kind of coding, the number of colour components, and for each scan (components, first and last
    coefficient, lowest bit). They also tell where the last scan's coded pixels begin and end, and whether a marker
    follows.
    """

    frame: int = 0
    num_components: int = 0
    scans: list[tuple[bytes, int, int, int]] = field(default_factory=list)
    begin: int = 0
    end: int = 0
    is_closed: bool = False


def _read_scans(encoded: bytes) -> _JpegScans:
    """Read the headers of the first image in a JPEG, as far as they are readable."""
    jpeg, position = _JpegScans(), 2
    while (begin := encoded.find(b"\xff", position)) >= 0:
        # a segment: fill bytes, a marker, and for most markers a length and that many bytes
        marker_at = cast(re.Match, FILL_BYTES.match(encoded, begin)).end()
        marker = encoded[marker_at] if marker_at < len(encoded) else END_OF_IMAGE
        if marker == END_OF_IMAGE:
            break
        after = marker_at + 1 + (0 if marker in WITHOUT_LENGTH else _length(encoded, marker_at))
        if marker in START_OF_FRAME and min(after, len(encoded)) - marker_at >= 9:
            jpeg.frame, jpeg.num_components = marker, encoded[marker_at + 8]
        # a scan's header; its coded pixels run up to the next marker
        if marker == START_OF_SCAN and len(segment := encoded[marker_at + 3 : after]) >= 4:
            num = segment[0]
            first, last, bits = segment[1 + 2 * num : 4 + 2 * num] if len(segment) == 4 + 2 * num else (0, 63, 0)
            jpeg.scans.append((segment[1 : 1 + 2 * num : 2], first, last, bits & 15))
            jpeg.begin = after
            found = END_OF_SCAN.search(encoded, jpeg.begin)
            position = found.start() if found else len(encoded)
            jpeg.end = max(jpeg.begin, _end_without(b"\xff", encoded, position))
            jpeg.is_closed = found is not None
        else:
            position = after
    return jpeg


def _end_without(fill: bytes, encoded: bytes, end: int) -> int:
    """Where the bytes up to `end` end without `fill`. Copies a large file only if there is some."""
    return len(encoded[:end].rstrip(fill)) if encoded[end - 1 : end] == fill else end


def _length(encoded: bytes, marker_at: int) -> int:
    return int.from_bytes(encoded[marker_at + 1 : marker_at + 3], "big")


def _check_progression(jpeg: _JpegScans) -> None:
    missing = {(component, k) for scan in jpeg.scans for component in scan[0] for k in range(64)}
    for components, first, last, lowest_bit in jpeg.scans:
        if lowest_bit == 0:
            missing -= {(component, k) for component in components for k in range(first, last + 1)}
    num_seen = len({component for scan in jpeg.scans for component in scan[0]})
    if missing or num_seen != jpeg.num_components:
        raise RefusedImageError("cut off", f"a progressive JPEG with only {len(jpeg.scans)} of its scans")


def _png_chunks(encoded: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Position, kind and content of every complete chunk up to the end chunk."""
    position, kind = 8, b""
    while position + 12 <= len(encoded) and kind != b"IEND":
        size, kind = struct.unpack_from(">I4s", encoded, position)
        if position + 12 + size > len(encoded):
            return
        yield position, kind, encoded[position + 8 : position + 8 + size]
        position += 12 + size


def _num_unpacked_bytes(header: bytes) -> int:
    """The size of the unpacked pixels in bytes. Each line of each pass has one more byte, its filter."""
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


def _codestream(encoded: bytes) -> tuple[int, int]:
    """Where the codestream lies among the boxes of a JP2 file; (0, 0) if it is incomplete."""
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
