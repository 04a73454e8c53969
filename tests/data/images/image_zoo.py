"""The broken-image zoo: files of every kind, with what is seen in each, or the reason why it is refused.

All show one image: a gradient in which no two corners have the same colour, so that a turned, mirrored, inverted or
half missing one is noticed. `READABLE` holds files with the image that a person sees and how far a lossy format may
be from it; `REFUSED` those that are no image or not a whole one.
"""

import gzip
import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from tests.data.images import image_zoo_by_hand as by_hand

WIDTH, HEIGHT = 48, 32
COLUMNS, LINES = np.meshgrid(np.linspace(0, 255, WIDTH), np.linspace(0, 255, HEIGHT))
PIXELS = np.stack([COLUMNS, LINES, 255 - COLUMNS], axis=-1).astype(np.uint8)
IMAGE = Image.fromarray(PIXELS)
GREY = Image.fromarray(PIXELS[..., 0])
OTHER = IMAGE.transpose(Image.Transpose.ROTATE_180)
WHITE = np.full_like(PIXELS, 255)


@dataclass(frozen=True)
class Readable:
    """A file, the image that is seen in it, and how far a colour may be off."""

    encoded: bytes
    pixels: np.ndarray
    tolerance: int = 0


def encode(image: Image.Image, image_format: str, **settings) -> bytes:
    buffer = io.BytesIO()
    image.copy().save(buffer, image_format, **settings)  # saving as JPEG leaves its settings behind in the image
    return buffer.getvalue()


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """Coarse noise in colour, which no two positions share."""
    values = np.random.default_rng(seed).integers(0, 256, (-(-height // 4), -(-width // 4), 3), dtype=np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)


def grey(pixels) -> np.ndarray:
    return np.repeat(np.asarray(pixels, dtype=np.uint8)[..., None], 3, axis=-1)


JPEG = encode(IMAGE, "JPEG", quality=95, subsampling=0)
PROGRESSIVE = encode(IMAGE, "JPEG", quality=95, subsampling=0, progressive=True)
PNG = encode(IMAGE, "PNG")
GIF = encode(GREY, "GIF")
CMYK = Image.merge("CMYK", [*ImageOps.invert(IMAGE).split(), Image.new("L", IMAGE.size, 0)])
HALF_SEEN = np.where(np.arange(WIDTH)[:, None] < WIDTH // 2, PIXELS, WHITE)
ALPHA = Image.fromarray(np.where(np.arange(WIDTH) < WIDTH // 2, WHITE[..., 0], 0).astype(np.uint8))
SHOWN_BY_PALETTE = np.where(PIXELS[..., :1] < 128, PIXELS * 0, WHITE)


def with_alpha(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.putalpha(ALPHA)
    return image


def turned(orientation: int) -> bytes:
    """A lossless file that says how it is turned, as the Exif standard numbers the ways."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(IMAGE, "PNG", exif=exif)


def two_colours() -> Image.Image:
    image = Image.fromarray((PIXELS[..., 0] >= 128).astype(np.uint8), "P")
    image.putpalette([0, 0, 0, 255, 0, 0])
    return image


UPRIGHT = {
    1: PIXELS,
    2: PIXELS[:, ::-1],
    3: PIXELS[::-1, ::-1],
    4: PIXELS[::-1],
    5: PIXELS.transpose(1, 0, 2),
    6: np.rot90(PIXELS, -1),
    7: PIXELS[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(PIXELS, 1),
}
GREY_PIXELS = grey(PIXELS[..., 0])
DEEP_GREY = Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257)
BILEVEL = Image.fromarray(PIXELS[..., 0] >= 128)
PAGES = {"save_all": True, "append_images": [OTHER, OTHER]}

READABLE = {
    "JPEG": Readable(JPEG, PIXELS, 6),
    "JPEG, colours at half resolution": Readable(encode(IMAGE, "JPEG", quality=95), PIXELS, 12),
    "JPEG, progressive": Readable(PROGRESSIVE, PIXELS, 6),
    "JPEG, grey": Readable(encode(GREY, "JPEG", quality=95), GREY_PIXELS, 4),
    "JPEG, CMYK, inverted by Adobe": Readable(encode(CMYK, "JPEG", quality=95, subsampling=0), PIXELS, 10),
    "JPEG, YCCK": Readable(by_hand.ycck_jpeg(CMYK), PIXELS, 10),
    "JPEG, restart markers": Readable(encode(IMAGE, "JPEG", quality=95, restart_marker_blocks=2), PIXELS, 12),
    "JPEG, arithmetic coding": Readable(by_hand.ARITHMETIC_JPEG, PIXELS, 12),
    "JPEG, lossless": Readable(by_hand.lossless_jpeg(PIXELS[..., 0]), GREY_PIXELS),
    "JPEG, one pixel": Readable(encode(IMAGE.crop((0, 0, 1, 1)), "JPEG", quality=95), PIXELS[:1, :1], 4),
    "JPEG, bytes behind its end": Readable(JPEG + b"\xff\xd8 trailing \xff\xda" * 50, PIXELS, 6),
    "JPEG, zeros before its end": Readable(JPEG[:-2] + bytes(100) + by_hand.END_OF_IMAGE, PIXELS, 6),
    "JPEG, progressive, zeros before its end": Readable(
        PROGRESSIVE[:-2] + bytes(100) + by_hand.END_OF_IMAGE, PIXELS, 6
    ),
    "JPEG, many fill bytes": Readable(JPEG[:2] + b"\xff" * 5000 + JPEG[2:], PIXELS, 6),
    "JPEG, comment of 60,000 bytes": Readable(encode(IMAGE, "JPEG", quality=95, comment=b"x" * 60_000), PIXELS, 12),
    "JPEG, corrupt EXIF": Readable(by_hand.with_segment(JPEG, 0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff"), PIXELS, 6),
    "JPEG, EXIF that is none": Readable(by_hand.with_segment(JPEG, 0xE1, b"Exif\0\0none"), PIXELS, 6),
    "JPEG, EXIF of 60,000 bytes": Readable(
        by_hand.with_segment(JPEG, 0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + bytes(60_000)), PIXELS, 6
    ),
    "JPEG, corrupt colour profile": Readable(encode(IMAGE, "JPEG", quality=95, icc_profile=b"no profile"), PIXELS, 12),
    "MPO of two images": Readable(
        encode(IMAGE, "MPO", quality=95, save_all=True, append_images=[OTHER.copy()]), PIXELS, 12
    ),
    "PNG": Readable(PNG, PIXELS),
    "PNG, interlaced": Readable(by_hand.interlaced_png(PIXELS), PIXELS),
    "PNG, 16-bit grey": Readable(encode(DEEP_GREY, "PNG"), GREY_PIXELS),
    "PNG, 16-bit colours": Readable(by_hand.deep_colour_png(PIXELS), PIXELS),
    "PNG, two colours": Readable(encode(BILEVEL, "PNG"), SHOWN_BY_PALETTE),
    "PNG, colours under full transparency": Readable(encode(with_alpha(IMAGE), "PNG"), HALF_SEEN),
    "PNG, grey with alpha": Readable(
        encode(with_alpha(GREY), "PNG"), np.where(np.arange(WIDTH)[:, None] < WIDTH // 2, GREY_PIXELS, WHITE)
    ),
    "PNG, palette with a transparent colour": Readable(
        encode(two_colours(), "PNG", transparency=1), np.where(PIXELS[..., :1] < 128, PIXELS * 0, WHITE)
    ),
    "PNG, grey with a transparent value": Readable(
        encode(GREY, "PNG", transparency=0), np.where(PIXELS[..., :1] == 0, WHITE, GREY_PIXELS)
    ),
    "PNG, bytes behind its end": Readable(PNG + b"trailing" * 100, PIXELS),
    "PNG, animated": Readable(encode(IMAGE, "PNG", **PAGES), PIXELS),
    "GIF": Readable(GIF, GREY_PIXELS),
    "GIF, lines in order": Readable(encode(GREY, "GIF", interlace=0), GREY_PIXELS),
    "GIF, transparent": Readable(encode(two_colours(), "GIF", transparency=1), SHOWN_BY_PALETTE),
    "GIF, animated": Readable(encode(GREY, "GIF", save_all=True, append_images=[ImageOps.invert(GREY)]), GREY_PIXELS),
    "WebP": Readable(encode(IMAGE, "WEBP", quality=95), PIXELS, 12),
    "WebP, lossless with alpha": Readable(encode(with_alpha(IMAGE), "WEBP", lossless=True), HALF_SEEN),
    "WebP, animated": Readable(encode(IMAGE, "WEBP", lossless=True, **PAGES), PIXELS),
    "TIFF": Readable(encode(IMAGE, "TIFF"), PIXELS),
    "TIFF, LZW": Readable(encode(IMAGE, "TIFF", compression="tiff_lzw"), PIXELS),
    "TIFF of three pages": Readable(encode(IMAGE, "TIFF", **PAGES), PIXELS),
    "TIFF, floats to 1": Readable(encode(Image.fromarray((PIXELS[..., 0] / 255).astype("f")), "TIFF"), GREY_PIXELS),
    "TIFF, two colours, group 4": Readable(encode(BILEVEL, "TIFF", compression="group4"), SHOWN_BY_PALETTE),
    "TIFF, 16-bit grey": Readable(encode(DEEP_GREY, "TIFF"), GREY_PIXELS),
    "ICO of three sizes": Readable(
        encode(IMAGE.resize((32, 32)), "ICO", sizes=[(16, 16), (24, 24), (32, 32)]),
        np.asarray(IMAGE.resize((32, 32))),
    ),
    "BMP": Readable(encode(IMAGE, "BMP"), PIXELS),
    "BMP, from top to bottom": Readable(
        by_hand.top_down_bmp(encode(IMAGE, "BMP"), [line[:, ::-1].tobytes() for line in PIXELS]), PIXELS
    ),
    "JPEG 2000": Readable(encode(IMAGE, "JPEG2000"), PIXELS),
    "AVIF": Readable(encode(IMAGE, "AVIF", quality=95, subsampling="4:4:4"), PIXELS, 8),
    "PPM": Readable(encode(IMAGE, "PPM"), PIXELS),
} | {f"EXIF orientation {number}": Readable(turned(number), UPRIGHT[number]) for number in range(1, 9)}


def _half(encoded: bytes) -> bytes:
    return encoded[: len(encoded) // 2]


def _closed_half(jpeg: bytes) -> bytes:
    """Cut in the middle of its pixels, and closed by an end marker: libjpeg shows the rest in grey."""
    begin = by_hand.scan_begins(jpeg)[0] + 14
    return jpeg[: (begin + len(jpeg)) // 2] + by_hand.END_OF_IMAGE


REFUSED = {
    "no bytes": (b"", "not an image"),
    "zero bytes": (bytes(5000), "not an image"),
    "random bytes": (np.random.default_rng(0).bytes(5000), "not an image"),
    "an HTML page": (b"\n<!DOCTYPE html><html><body>Not found</body></html>", "not an image"),
    "text": (b"Access denied.\n", "not an image"),
    "a PDF": (b"%PDF-1.7\n" + bytes(500), "not an image"),
    "a gzip file": (gzip.compress(PNG), "not an image"),
    "an SVG drawing": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported"),
    "HEIC": (b"\0\0\0\x18ftypheic" + bytes(200), "unsupported"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported"),
    "a Photoshop file": (b"8BPS\0\1" + bytes(200), "unsupported"),
    "TIFF, floats below 0": (encode(Image.new("F", (4, 4), -1.0), "TIFF"), "unsupported"),
    "JPEG, three bytes": (JPEG[:3], "cut off"),
    "JPEG, headers only": (JPEG[: by_hand.scan_begins(JPEG)[0]], "cut off"),
    "JPEG, end marker missing": (JPEG[:-2], "cut off"),
    "JPEG, half": (_half(JPEG), "cut off"),
    "JPEG, half, closed": (_closed_half(JPEG), "cut off"),
    "JPEG, half, closed, restart markers": (
        _closed_half(encode(IMAGE, "JPEG", quality=95, restart_marker_blocks=2)),
        "cut off",
    ),
    "JPEG, CMYK, half, closed": (_closed_half(encode(CMYK, "JPEG", quality=95)), "cut off"),
    "JPEG, progressive, half": (_half(PROGRESSIVE), "cut off"),
    "JPEG, progressive, first scans, closed": (by_hand.first_scans(PROGRESSIVE, 4), "cut off"),
    "JPEG, progressive, last scan cut off": (PROGRESSIVE[:-40] + by_hand.END_OF_IMAGE, "cut off"),
    "JPEG, half, then zeros": (_closed_half(JPEG)[:-2] + bytes(5000) + by_hand.END_OF_IMAGE, "damaged"),
    "JPEG, progressive, all but the last scan": (by_hand.first_scans(PROGRESSIVE, -1), "cut off"),
    "JPEG, header says more lines": (by_hand.with_size(JPEG, WIDTH, 4 * HEIGHT), "cut off"),
    "JPEG, header says fewer lines": (by_hand.with_size(JPEG, WIDTH, HEIGHT // 2), "damaged"),
    "JPEG, no lines": (by_hand.with_size(JPEG, WIDTH, 0), "damaged"),
    "JPEG, segment longer than the file": (JPEG[:4] + b"\xff\xff" + JPEG[6:], "cut off"),
    "JPEG bomb": (by_hand.with_size(JPEG, 65_000, 65_000), "too large"),
    "JPEG of 2,000 scans": (by_hand.with_last_scan_repeated(PROGRESSIVE, 2000), "too large"),
    "PNG, signature only": (PNG[:8], "cut off"),
    "PNG, half": (_half(PNG), "cut off"),
    "PNG, without its end": (PNG[:-12], "cut off"),
    "PNG, wrong checksum of the header": (PNG[:30] + b"\0" + PNG[31:], "damaged"),
    "PNG, one pixel byte changed": (PNG[:-20] + bytes([PNG[-20] ^ 1]) + PNG[-19:], "damaged"),
    "PNG, pixels missing, checksums right": (by_hand.png(WIDTH, HEIGHT, bytes(WIDTH * 3 + 1)), "cut off"),
    "PNG without lines": (by_hand.png(WIDTH, 0, b""), "no pixels"),
    "PNG bomb": (by_hand.png(50_000, 50_000, b""), "too large"),
    "PNG, long and narrow": (by_hand.png(1, 70_000, bytes(4 * 70_000)), "too large"),
    "PNG, text that unpacks to 100 MB": (
        by_hand.in_png(PNG, b"zTXt", b"k\0\0" + zlib.compress(bytes(100_000_000))),
        "damaged",
    ),
    "PNG of 42 million pixels in 5 KB": (by_hand.png(7000, 6000, bytes(876 * 6000), bits=1, colours=0), "too large"),
    "PNG of 300,000 chunks": (PNG[:33] + by_hand.png_chunk(b"teXt", b"") * 300_000 + PNG[33:], "too large"),
    "GIF, half": (_half(GIF), "cut off"),
    "GIF without an image": (GIF[:13] + b";", "damaged"),
    "GIF bomb": (GIF[:6] + b"\xff\xff\xff\xff" + GIF[10:], "too large"),
    "WebP, half": (_half(READABLE["WebP"].encoded), "damaged"),
    "WebP, animated, half": (_half(READABLE["WebP, animated"].encoded), "damaged"),
    "TIFF, half": (_half(encode(IMAGE, "TIFF")), "cut off"),
    "TIFF, header says more lines": (by_hand.with_tiff_tag(encode(IMAGE, "TIFF"), 257, 2 * HEIGHT), "cut off"),
    "TIFF, LZW, half": (_half(encode(IMAGE, "TIFF", compression="tiff_lzw")), "damaged"),
    "TIFF of a million strips": (by_hand.with_tiff_tag(encode(IMAGE, "TIFF"), 273, 8, count=1_000_000), "too large"),
    "TIFF, big, header beyond its end": (b"II+\0\x08\0\0\0" + b"\xff" * 50, "damaged"),
    "TIFF of a million values": (by_hand.with_tiff_tag(encode(IMAGE, "TIFF"), 258, 8, count=1_000_000), "too large"),
    "BMP, half": (_half(encode(IMAGE, "BMP")), "cut off"),
    "BMP, two bytes": (b"BM", "damaged"),
    "BMP bomb": (
        encode(IMAGE, "BMP")[:18] + struct.pack("<ii", 60_000, 60_000) + encode(IMAGE, "BMP")[26:],
        "too large",
    ),
    "ICO, half": (_half(READABLE["ICO of three sizes"].encoded), "damaged"),
    "ICO whose image is a bomb": (by_hand.icon(by_hand.png(30_000, 30_000, b"")), "too large"),
    "ICO whose image is a bomb, BMP": (
        by_hand.icon(struct.pack("<IiiHHIIiiII", 40, 20_000, 40_000, 1, 32, 0, 0, 0, 0, 0, 0)),
        "too large",
    ),
    "ICO, PNG, pixels missing": (by_hand.icon(by_hand.png(32, 32, bytes(32 * 3 + 1))), "cut off"),
    "WebP bomb": (by_hand.empty_webp(10_900, 16_383), "too large"),
    "WebP, 81 million pixels in 34 bytes": (by_hand.empty_webp(9000, 9000), "too large"),
    "WebP, 81 million pixels, padded": (by_hand.padded_webp(by_hand.empty_webp(9000, 9000), 9000), "too large"),
    "PPM with 20,000 comments": (b"P1\n4 4\n" + b"#\n" * 20_000 + b"1" * 16, "too large"),
    "JPEG 2000, codestream, half, closed": (
        _half(by_hand.codestream(READABLE["JPEG 2000"].encoded)) + by_hand.END_OF_IMAGE,
        "cut off",
    ),
    "JPEG 2000, half": (_half(READABLE["JPEG 2000"].encoded), "cut off"),
    "AVIF, half": (_half(READABLE["AVIF"].encoded), "damaged"),
    "PPM, half": (_half(encode(IMAGE, "PPM")), "cut off"),
}
