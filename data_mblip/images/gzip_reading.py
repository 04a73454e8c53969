"""Bytes from anywhere in a gzip file, without unpacking it to disk.

What gzip holds can only be unpacked from the front. So on the way the unpacker's state is copied every so often (a
checkpoint, about 50 KB), and a read goes on from where the last one ended or from the nearest checkpoint before. Reads
in the order of the file unpack it once; a read elsewhere unpacks at most the way from its checkpoint: 1 MiB in files
of up to half a GiB, with as many checkpoints and a longer way in larger ones.
"""

import io
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .files import open_regular, read_exactly
from .refusal import RefusedImageError

MAGIC = b"\x1f\x8b"
WITH_HEADER = 31  # zlib's name for gzip's header and checksum
CHUNK_BYTES = 16_384
FIRST_SPACING_BYTES = 1 << 20
MAX_CHECKPOINTS = 512


@dataclass
class _Cursor:
    """A place on the way: `position` in what is unpacked, `packed_position` in the file behind what the unpacker has
    taken in."""

    position: int
    packed_position: int
    unpacker: Any  # zlib.decompressobj

    def copy(self) -> "_Cursor":
        return _Cursor(self.position, self.packed_position, self.unpacker.copy())


class RandomAccessGzip:
    """The content of a gzip file by position. Threads take turns; a fork goes its own way from where it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._spacing = FIRST_SPACING_BYTES
        self._cursor = _Cursor(0, 0, zlib.decompressobj(WITH_HEADER))
        self._checkpoints = [self._cursor.copy()]

    def read_at(self, position: int, size: int) -> bytes:
        """So many bytes from a position of the content, or fewer at its end.

        Raises:
            RefusedImageError: the file is cut off or damaged before there.
        """
        with self._lock, open_regular(self._path) as file:
            self._go_near(position)
            parts = []
            while size > 0 and (part := self._next_part(file.fileno(), position + size - self._cursor.position)):
                begin = self._cursor.position - len(part)
                wanted = part[max(0, position - begin) :]
                parts.append(wanted)
                position, size = position + len(wanted), size - len(wanted)
            return b"".join(parts)

    def _go_near(self, position: int) -> None:
        nearest = max((c for c in self._checkpoints if c.position <= position), key=lambda c: c.position)
        if not nearest.position <= self._cursor.position <= position:
            self._cursor = nearest.copy()

    def _next_part(self, descriptor: int, max_size: int) -> bytes:
        """What is unpacked next, at most `max_size` bytes; b"" at the end."""
        cursor = self._cursor
        max_size = min(max_size, FIRST_SPACING_BYTES)
        while True:
            packed = cursor.unpacker.unconsumed_tail
            if not packed and not cursor.unpacker.eof:
                packed = read_exactly(descriptor, cursor.packed_position, CHUNK_BYTES)
                cursor.packed_position += len(packed)
                if not packed:
                    raise RefusedImageError("unreadable", f"{self._path}: the gzip file is cut off. Fetch it again.")
            if cursor.unpacker.eof and not self._begin_next_member(descriptor):
                return b""
            try:
                part = cursor.unpacker.decompress(packed, max_size) if packed else b""
            except zlib.error as error:
                raise RefusedImageError(
                    "unreadable", f"{self._path}: the gzip file is damaged ({error}). Fetch it again."
                ) from error
            if part:
                cursor.position += len(part)
                self._keep_checkpoint()
                return part

    def _begin_next_member(self, descriptor: int) -> bool:
        """Go on in the next of several gzip members that stand one behind the other; padding may end the file."""
        cursor = self._cursor
        cursor.packed_position -= len(cursor.unpacker.unused_data)
        while (following := read_exactly(descriptor, cursor.packed_position, CHUNK_BYTES)) and not following.strip(
            b"\0"
        ):
            cursor.packed_position += len(following)
        zeros = len(following) - len(following.lstrip(b"\0"))
        if not following[zeros:].startswith(MAGIC):
            return False
        cursor.packed_position += zeros
        cursor.unpacker = zlib.decompressobj(WITH_HEADER)
        return True

    def _keep_checkpoint(self) -> None:
        if self._cursor.position < self._checkpoints[-1].position + self._spacing:
            return
        self._checkpoints.append(self._cursor.copy())
        if len(self._checkpoints) > MAX_CHECKPOINTS:
            self._checkpoints = self._checkpoints[::2]
            self._spacing *= 2


class GzipFile(io.RawIOBase):
    """The content as a file, for `tarfile` to list."""

    def __init__(self, content: RandomAccessGzip) -> None:
        self._content = content
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        assert whence == io.SEEK_SET  # all that tarfile asks for
        self._position = offset
        return offset

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        found = self._content.read_at(self._position, len(buffer))
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)
