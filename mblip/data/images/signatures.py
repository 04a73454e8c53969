"""What bytes look like that are no image we read: by their first bytes, for messages."""

import codecs

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


def read_format(encoded: bytes) -> str | None:
    """The name of the format, of those we read, that the bytes begin as; None for any other bytes."""
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return "WebP"
    if encoded[4:8] == b"ftyp" and BRANDS.get(encoded[8:12]) == "AVIF":
        return "AVIF"
    return _matching(READ_BEGINNINGS, encoded)


def unread_image_format(encoded: bytes) -> str | None:
    """The name of an image format that is not read."""
    if encoded[4:8] == b"ftyp":
        return BRANDS.get(encoded[8:12])
    if b"<svg" in encoded[:1000].lower():
        return "an SVG drawing"
    return _matching(UNREAD_IMAGE_BEGINNINGS, encoded)


def looks_like(encoded: bytes) -> str:
    """What bytes are that are no image."""
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
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # the last letter may be cut
    except UnicodeDecodeError:
        return None
    return f"text that begins {text[:40]!r}" if "\0" not in text else None
