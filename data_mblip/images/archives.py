"""Members of tar and zip archives by name, read in any order.

An archive is listed once per process, and the list kept: where each member's bytes begin and how many they are. Then
a member is one read at its place, in a tar of 100,000 as in one of ten. The file is opened anew for every read, which
costs microseconds, so that forked processes share nothing. Nothing is ever unpacked to disk: "../../name" is a name
like any other.
"""

import functools
import io
import os
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

from .files import open_regular, read_exactly
from .gzip_reading import MAGIC, GzipFile, RandomAccessGzip
from .refusal import RefusedImageError

NUM_ARCHIVES_KEPT = 8
BLOCK_BYTES = tarfile.BLOCKSIZE
ZIP_LOCAL_HEADER_BYTES = 30  # in front of a member: 26 bytes, the lengths of its name and extra field, and those
ENCRYPTED = 0x1  # bit of a zip member's flags

Member = TypeVar("Member")


class ZipMember(NamedTuple):
    """A zip member's entry in the archive's directory."""

    header_position: int
    packed_size: int
    size: int
    method: int
    flags: int
    checksum: int


@dataclass(frozen=True)
class TarIndex:
    """Position and size of every file in a tar, and its content by position where it is packed with gzip."""

    members: dict[str, tuple[int, int]]
    unpacked: RandomAccessGzip | None


@dataclass(frozen=True)
class ZipIndex:
    """Every file of a zip."""

    members: dict[str, ZipMember]


def read_member(archive: Path, name: str, *, is_zip: bool, max_bytes: int) -> bytes:
    """The bytes of a member.

    Raises:
        RefusedImageError: there is no such member, it is too large, or the archive is damaged.
    """
    status = os.stat(archive)
    index = _index(archive, is_zip, status.st_size, status.st_mtime_ns)
    if isinstance(index, RefusedImageError):
        raise RefusedImageError(index.refused.reason, index.refused.detail)
    if isinstance(index, ZipIndex):
        return _read_zip_member(archive, _find(index.members, name), max_bytes)
    position, size = _find(index.members, name)
    _check_size(size, max_bytes)
    if index.unpacked is not None:
        return index.unpacked.read_at(position, size)
    with open_regular(archive) as file:
        return read_exactly(file.fileno(), position, size)


@functools.lru_cache(maxsize=NUM_ARCHIVES_KEPT)
def _index(archive: Path, is_zip: bool, size: int, time: int) -> TarIndex | ZipIndex | RefusedImageError:
    """The list of an archive of that size and time. One that cannot be listed is not tried again for every member."""
    try:
        return _list_zip(archive) if is_zip else _list_tar(archive)
    except RefusedImageError as error:
        return error


def _find(members: dict[str, Member], name: str) -> Member:
    for known_as in (name, name.removeprefix("./").lstrip("/"), f"./{name}"):
        if known_as in members:
            return members[known_as]
    example = next(iter(members), None)
    raise RefusedImageError(
        "missing", f"the archive holds no file of that name among {len(members):,}, such as {example!r}"
    )


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise RefusedImageError("too large", f"{size:,} bytes, more than the {max_bytes:,} allowed")


def _list_tar(archive: Path) -> TarIndex:
    with open_regular(archive) as file:
        unpacked = RandomAccessGzip(archive) if read_exactly(file.fileno(), 0, 2) == MAGIC else None
        content = io.BufferedReader(GzipFile(unpacked) if unpacked else cast(io.RawIOBase, file))
        try:
            with tarfile.open(fileobj=content, mode="r:") as tar:
                members = _tar_members(tar)
                content.seek(tar.offset)
                following = content.read(BLOCK_BYTES) or b""
        except RefusedImageError:  # of the gzip around it
            raise
        except (tarfile.TarError, ValueError, OverflowError) as error:
            raise RefusedImageError(
                "unreadable", f"{archive} is no tar or tar.gz archive, or is cut off ({error}). Fetch it again."
            ) from error
    if following.strip(b"\0"):  # tarfile stops at a header that it cannot read as it does at the end
        raise RefusedImageError(
            "unreadable", f"{archive} is damaged: no header where the {len(members) + 1:,}th file begins"
        )
    return TarIndex(members, unpacked)


def _tar_members(tar: tarfile.TarFile) -> dict[str, tuple[int, int]]:
    """The files of a tar; of equal names the last one counts, as when it is unpacked. Links to files before are those
    files; folders, symbolic links and devices are none."""
    members: dict[str, tuple[int, int]] = {}
    while (member := tar.next()) is not None:
        tar.members = []  # type: ignore[attr-defined]  # tarfile keeps all of them, half a GB for a million
        if member.isreg() and not member.issparse():
            members[member.name] = (member.offset_data, member.size)
        elif member.islnk() and member.linkname in members:
            members[member.name] = members[member.linkname]
    return members


def _list_zip(archive: Path) -> ZipIndex:
    try:
        with open_regular(archive) as file, zipfile.ZipFile(file) as found:
            return ZipIndex(
                {
                    entry.filename: ZipMember(
                        entry.header_offset,
                        entry.compress_size,
                        entry.file_size,
                        entry.compress_type,
                        entry.flag_bits,
                        entry.CRC,
                    )
                    for entry in found.infolist()
                    if not entry.is_dir()
                }
            )
    except RefusedImageError:
        raise
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise RefusedImageError(
            "unreadable", f"{archive} is no zip archive, or is cut off ({error}). Fetch it again."
        ) from error


def _read_zip_member(archive: Path, member: ZipMember, max_bytes: int) -> bytes:
    _check_size(member.size, max_bytes)
    if member.flags & ENCRYPTED or member.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        how = "encrypted" if member.flags & ENCRYPTED else f"packed by method {member.method}"
        raise RefusedImageError("unreadable", f"the member is {how}. Pack the archive plainly or with deflate.")
    with open_regular(archive) as file:
        header = read_exactly(file.fileno(), member.header_position, ZIP_LOCAL_HEADER_BYTES)
        lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        begin = member.header_position + ZIP_LOCAL_HEADER_BYTES + lengths
        packed = read_exactly(file.fileno(), begin, member.packed_size)
    try:
        content = packed if member.method == zipfile.ZIP_STORED else _inflated(packed, member.size)
    except zlib.error as error:
        raise RefusedImageError("damaged", f"the archive's member cannot be unpacked ({error})") from error
    if len(content) != member.size or zlib.crc32(content) != member.checksum:
        raise RefusedImageError(
            "damaged", "the archive's member is not what its checksum says. Fetch the archive again."
        )
    return content


def _inflated(packed: bytes, size: int) -> bytes:
    """What is packed, and no more than one byte beyond the size it should have."""
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, size + 1)
