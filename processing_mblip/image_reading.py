"""The bytes of an encoded image: from a path, a URL, a data URI or base64 text."""

import base64
import binascii
import os
import re
import stat
import urllib.parse
import urllib.request
from pathlib import Path
from typing import BinaryIO

from .image_decoding import begins_like_an_image
from .image_refusal import RefusedImageError, check_size
from .image_urls import fetch_url, shown_url

MAX_PATH_CHARACTERS = 4096  # Linux's limit
MAX_SHOWN_CHARACTERS = 200
SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)://")
# Never wait for a pipe's other end. Windows has no such flags, and needs one for binary files.
OPEN_FLAGS = os.O_RDONLY
for _flag in ("O_CLOEXEC", "O_NONBLOCK", "O_BINARY"):
    OPEN_FLAGS |= getattr(os, _flag, 0)


def read_source(source: str, *, max_bytes: int, allow_private_urls: bool) -> bytes:
    """The encoded image that a text stands for: a URL (http, https, file), a data URI, a path or base64.

    Raises:
        RefusedImageError: there is nothing to read, or too much.
    """
    scheme = source.lstrip()[:8].lower()
    if scheme.startswith(("http://", "https://")):
        return fetch_url(source, max_bytes=max_bytes, allow_private_urls=allow_private_urls)
    if scheme.startswith("data:"):
        return _data_uri(source.lstrip(), max_bytes)
    if scheme.startswith("file:"):
        return read_file(_path_of_file_url(source.strip()), max_bytes=max_bytes)
    if len(source) <= MAX_PATH_CHARACTERS and os.path.exists(source):
        return read_file(Path(source), max_bytes=max_bytes)
    try:
        encoded = _base64(source)
    except (binascii.Error, ValueError):
        encoded = b""
    if not begins_like_an_image(encoded):  # "photos/one" is a path as well as base64
        raise RefusedImageError(
            "missing", "there is no such file, and the text is no URL, data URI or base64 of an image. Check the path"
        )
    check_size(len(encoded), max_bytes)
    return encoded


def shown_source(source: str) -> str:
    """A path or the public part of a URL for messages. Encoded images and long texts are only counted."""
    if SCHEME.match(source):
        return repr(shown_url(source))
    if source.lstrip()[:5].lower() == "data:":
        return f"a data URI of {len(source):,} characters"
    is_short = len(source) <= MAX_SHOWN_CHARACTERS
    is_file = len(source) <= MAX_PATH_CHARACTERS and os.path.exists(source)
    return repr(source) if is_short or is_file else f"a text of {len(source):,} characters"


def open_regular(path: Path) -> BinaryIO:
    """A file open for reading, unbuffered.

    Raises:
        RefusedImageError: the file is missing, may not be read, or is a folder, a pipe or a device. (A plain `open`
            would wait for someone to write into a pipe.)
    """
    try:
        descriptor = os.open(path, OPEN_FLAGS)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RefusedImageError("missing", f"there is no file {path}") from error
    except OSError as error:  # no permission, a loop of links, a name too long, a socket
        raise RefusedImageError("unreadable", f"{path}: {error.strerror}") from error
    except ValueError as error:  # a zero byte in the name
        raise RefusedImageError("missing", f"no file can have the name {str(path)!r}") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
        raise RefusedImageError("unreadable", f"{path} is {kind}, expected a file")
    return os.fdopen(descriptor, "rb", buffering=0)


def read_file(path: Path, *, max_bytes: int) -> bytes:
    """The bytes of a file, at most `max_bytes`.

    Raises:
        RefusedImageError: the file cannot be read, or is too large.
    """
    with open_regular(path) as file:
        check_size(os.fstat(file.fileno()).st_size, max_bytes)
        try:
            return file.read()
        except OSError as error:
            raise RefusedImageError("unreadable", f"reading failed: {error.strerror}") from error


def _path_of_file_url(url: str) -> Path:
    found = re.fullmatch(r"file:(?://(?:localhost)?(?=/)|(?!//))(/[^?#]*)", url, re.IGNORECASE)
    if found is None:
        raise RefusedImageError("missing", "found a file of another host, or none, expected file:///path")
    return Path(urllib.request.url2pathname(found[1]))


def _data_uri(uri: str, max_bytes: int) -> bytes:
    head, comma, content = uri.partition(",")
    check_size(len(content) * 3 // 4 if head.lower().endswith(";base64") else len(content) // 3, max_bytes)
    if not comma:
        raise RefusedImageError("missing", "found a data URI without a comma, expected data:image/png;base64,...")
    unquoted = urllib.parse.unquote_to_bytes(content)
    if not head.lower().rstrip().endswith(";base64"):
        return unquoted
    try:
        return _base64(unquoted.decode("ascii"))
    except (binascii.Error, ValueError):
        raise RefusedImageError("damaged", "the data URI's text is not base64") from None


def _base64(text: str) -> bytes:
    """Decode either alphabet (RFC 4648, sections 4 and 5), with line breaks, and with or without padding."""
    plain = "".join(text.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
