"""Image files that Pillow does not write: put together byte by byte, or made of Pillow's with something changed."""

import base64
import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

# The zoo's image by libjpeg-turbo's `cjpeg -arithmetic -quality 90 -sample 1x1`.
ARITHMETIC_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8X"
    "GBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/yQAR"
    "CAAgADADAREAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD/AOlgwP3gN8OTHXBRmOvVWkPACC4cJsnzvVy/YHQcW5ZOFILX2S6g"
    "4BoIWp2yxN0qu4Ds4RIGmPqYr6W3lrjTCw/neeLH0tldocjJKQfIyLQLzleQB3LiIq4czwLFC2dfLp0xVugYtuOHcO79j7S7JB3wgFmoO2NT"
    "vqg0DeLI9bxdvHLw1hdPznAY2oAHUcR47tJwZCKn57hNGXPSKoL7A44PJgm+RqSVj/minAKx/UgReGfsLOWd5t1VICajmEiTmWmkjeGGl/P4"
    "LTPN2Or+tf/Z"
)
END_OF_IMAGE = b"\xff\xd9"


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    width: int, height: int, lines: bytes, *, bits: int = 8, colours: int = 2, is_interlaced: bool = False
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, is_interlaced)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, content) for kind, content in chunks)


def interlaced_png(pixels: np.ndarray) -> bytes:
    """Adam7: seven images of every eighth, fourth and second pixel, one after the other."""
    height, width, _ = pixels.shape
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    lines = b"".join(b"\0" + line.tobytes() for y, x, dy, dx in passes for line in pixels[y::dy, x::dx])
    return png(width, height, lines, is_interlaced=True)


def deep_colour_png(pixels: np.ndarray) -> bytes:
    """16 bits a colour; the second byte is noise that 8 bits do not see."""
    height, width, _ = pixels.shape
    deep = ((pixels.astype(int) << 8) + 7).astype(">u2")
    return png(width, height, b"".join(b"\0" + line.tobytes() for line in deep), bits=16)


def in_png(encoded: bytes, kind: bytes, content: bytes) -> bytes:
    """A PNG with a further chunk behind its header."""
    return encoded[:33] + png_chunk(kind, content) + encoded[33:]


def with_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    """A JPEG with a further segment at its beginning."""
    return jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG whose frame header says another size."""
    begin = max(jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2"))
    return jpeg[: begin + 5] + struct.pack(">HH", height, width) + jpeg[begin + 9 :]


def scan_begins(jpeg: bytes) -> list[int]:
    """Where the scans of a JPEG begin."""
    return [position for position in range(len(jpeg)) if jpeg.startswith(b"\xff\xda", position)]


def first_scans(jpeg: bytes, number: int) -> bytes:
    """A progressive JPEG of which only the first scans are there, closed as if it were whole."""
    return jpeg[: scan_begins(jpeg)[number]] + END_OF_IMAGE


def with_last_scan_repeated(jpeg: bytes, times: int) -> bytes:
    last = jpeg[scan_begins(jpeg)[-1] : -2]
    return jpeg[:-2] + last * times + END_OF_IMAGE


def ycck_jpeg(cmyk: Image.Image) -> bytes:
    """As Photoshop writes CMYK: inverted, the three colours as luminance and chrominance, said by the Adobe marker."""
    inverted = 255 - np.asarray(cmyk)
    luminance = np.asarray(Image.fromarray(np.ascontiguousarray(255 - inverted[..., :3])).convert("YCbCr"))
    stored = np.concatenate([luminance, inverted[..., 3:]], axis=-1)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(255 - stored), "CMYK").save(buffer, "JPEG", quality=95, subsampling=0)
    encoded = bytearray(buffer.getvalue())
    encoded[encoded.index(b"Adobe") + 11] = 2  # the transform: YCCK
    return bytes(encoded)


def lossless_jpeg(grey: np.ndarray) -> bytes:
    """Lossless JPEG (frame 0xC3) with the pixel to the left as predictor and codes of five bits for every length."""
    height, width = grey.shape
    values = grey.astype(int)
    predicted = np.empty_like(values)
    predicted[:, 1:], predicted[1:, 0], predicted[0, 0] = values[:, :-1], values[:-1, 0], 128
    bits = "".join(_lossless_code(int(difference)) for difference in (values - predicted).ravel())
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    table = bytes([0] + [0] * 4 + [17] + [0] * 11) + bytes(range(17))
    encoded = b"\xff\xd8"
    encoded += _segment(0xC3, struct.pack(">BHHBBBB", 8, height, width, 1, 1, 0x11, 0))
    encoded += _segment(0xC4, table)
    return encoded + _segment(0xDA, bytes([1, 1, 0, 1, 0, 0])) + coded + END_OF_IMAGE


def _lossless_code(difference: int) -> str:
    length = abs(difference).bit_length()
    value = difference if difference > 0 else difference + (1 << length) - 1
    return f"{length:05b}" + (f"{value:0{length}b}" if length else "")


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def top_down_bmp(bmp: bytes, pixels: Sequence[bytes]) -> bytes:
    """A BMP with a negative height: its lines stand from top to bottom."""
    begin, height = struct.unpack_from("<I", bmp, 10)[0], struct.unpack_from("<i", bmp, 22)[0]
    return bmp[:22] + struct.pack("<i", -height) + bmp[26:begin] + b"".join(pixels)


def with_tiff_tag(tiff: bytes, tag: int, value: int, *, count: int = 1) -> bytes:
    """A little-endian TIFF whose tag of one number says something else."""
    changed, begin = bytearray(tiff), struct.unpack_from("<I", tiff, 4)[0]
    for entry in range(begin + 2, begin + 2 + 12 * struct.unpack_from("<H", tiff, begin)[0], 12):
        if struct.unpack_from("<H", tiff, entry)[0] == tag:
            struct.pack_into("<HII", changed, entry + 2, 4, count, value)
    return bytes(changed)


def empty_webp(width: int, height: int) -> bytes:
    """A lossless WebP of one colour, which takes 34 bytes at any size."""
    pixels = struct.pack("<BI", 0x2F, (width - 1) | (height - 1) << 14) + b"\x07\x10\x11\xfd\x0f\x44\x44\xff\x03"
    return b"RIFF" + struct.pack("<I", 26) + b"WEBPVP8L" + struct.pack("<I", 14) + pixels


def padded_webp(webp: bytes, num_bytes: int) -> bytes:
    """A WebP with a further chunk of zeros."""
    content = webp[8:] + b"JUNK" + struct.pack("<I", num_bytes) + bytes(num_bytes)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def icon(image: bytes) -> bytes:
    """An icon of one image, as which a PNG may stand."""
    return b"\0\0\1\0\1\0\x20\x20\0\0\1\0\x20\0" + struct.pack("<II", len(image), 22) + image


def codestream(jp2: bytes) -> bytes:
    """The pixels of a JPEG 2000 without the boxes around them."""
    return jp2[jp2.index(b"\xff\x4f\xff\x51") :]
