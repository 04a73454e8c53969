"""Members of a tar or zip archive, in any order.

We read only regular files and never wait for one. Each process lists an archive once and keeps the offset and size of
every member. Reading a member is then one read at its offset, in a tar of 100,000 as in one of ten. We open the file
anew for every read, which costs microseconds, so forked processes share nothing.

Nothing is unpacked to disk, so "../../name" is an ordinary name. We refuse an archive packed with gzip, because it can
be read only from its beginning.
"""

import functools
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from processing_mblip.image_reading import open_regular
from processing_mblip.image_refusal import RefusedImageError, check_size

NUM_ARCHIVES_KEPT = 8
GZIP_BEGINNING = b"\x1f\x8b"
BLOCK_BYTES = tarfile.BLOCKSIZE
ZIP_LOCAL_HEADER_BYTES = 30  # before a member: 26 bytes, then the lengths of its name and extra field
ENCRYPTED = 0x1  # a bit of a zip member's flags


def read_member(archive: Path, name: str, *, is_zip: bool, max_bytes: int) -> bytes:
    """The bytes of an archive's member.

    Raises:
        RefusedImageError: there is no such member, it is too large, or the archive is damaged or packed with gzip.
    """
    status = os.stat(archive)
    members = _index(archive, is_zip, status.st_size, status.st_mtime_ns)
    if isinstance(members, RefusedImageError):
        raise RefusedImageError(members.refused.reason, members.refused.detail)
    member = _find(members, name)
    check_size(member.size, max_bytes)
    with open_regular(archive) as file:
        if isinstance(member, _ZipMember):
            return _read_zip_member(file.fileno(), member)
        return _read_exactly(file.fileno(), member.position, member.size)


class _TarMember(NamedTuple):
    """The offset of a file's bytes in a tar, and their number."""

    position: int
    size: int


class _ZipMember(NamedTuple):
    """A zip member's entry in the archive's directory."""

    header_position: int
    packed_size: int
    size: int
    method: int
    flags: int
    checksum: int


@functools.lru_cache(maxsize=NUM_ARCHIVES_KEPT)
def _index(
    archive: Path, is_zip: bool, size: int, time: int
) -> Mapping[str, _TarMember | _ZipMember] | RefusedImageError:
    """The files of an archive of that size and time. An archive that cannot be listed is tried only once."""
    try:
        with open_regular(archive) as file:
            if _read_exactly(file.fileno(), 0, len(GZIP_BEGINNING)) == GZIP_BEGINNING:
                raise RefusedImageError(
                    "unreadable",
                    f"{archive} is packed with gzip, expected a plain tar or zip archive. "
                    f"Run `gunzip < {archive} > images.tar` and give images.tar.",
                )
            return _list_zip(file, archive) if is_zip else _list_tar(file, archive)
    except RefusedImageError as error:
        return error


def _find(members: Mapping[str, _TarMember | _ZipMember], name: str) -> _TarMember | _ZipMember:
    for known_as in (name, name.removeprefix("./").lstrip("/"), f"./{name}"):
        if known_as in members:
            return members[known_as]
    example = next(iter(members), None)
    raise RefusedImageError(
        "missing", f"the archive holds no file of that name among {len(members):,}, such as {example!r}"
    )


def _list_tar(file: BinaryIO, archive: Path) -> dict[str, _TarMember]:
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            members = _tar_members(tar)
            following = _read_exactly(file.fileno(), tar.offset, BLOCK_BYTES)
    except (tarfile.TarError, ValueError, OSError, OverflowError) as error:
        raise RefusedImageError(
            "unreadable", f"{archive} is not a tar archive, or is cut off ({error}). Fetch it again."
        ) from error
    if following.strip(b"\0"):  # tarfile stops at an unreadable header as if it were the end
        raise RefusedImageError(
            "unreadable", f"{archive} is damaged: no header where the {len(members) + 1:,}th file begins"
        )
    return members


def _tar_members(tar: tarfile.TarFile) -> dict[str, _TarMember]:
    """The files of a tar. Of equal names the last counts, as in unpacking.

    A hard link to an earlier file is that file. Folders, symbolic links and devices are skipped.
    """
    members: dict[str, _TarMember] = {}
    while (member := tar.next()) is not None:
        tar.members = []  # type: ignore[attr-defined]  # tarfile would keep them all: half a GB for a million
        if member.isreg() and not member.issparse():
            members[member.name] = _TarMember(member.offset_data, member.size)
        elif member.islnk() and member.linkname in members:
            members[member.name] = members[member.linkname]
    return members


def _list_zip(file: BinaryIO, archive: Path) -> dict[str, _ZipMember]:
    try:
        with zipfile.ZipFile(file) as found:
            return {
                entry.filename: _ZipMember(
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
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, LookupError, struct.error) as error:
        raise RefusedImageError(
            "unreadable", f"{archive} is not a zip archive, or is cut off ({error}). Fetch it again."
        ) from error


def _read_zip_member(descriptor: int, member: _ZipMember) -> bytes:
    if member.flags & ENCRYPTED or member.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        how = "encrypted" if member.flags & ENCRYPTED else f"packed by method {member.method}"
        raise RefusedImageError("unreadable", f"the member is {how}. Pack the archive plainly or with deflate.")
    header = _read_exactly(descriptor, member.header_position, ZIP_LOCAL_HEADER_BYTES)
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    begin = member.header_position + ZIP_LOCAL_HEADER_BYTES + lengths
    packed = _read_exactly(descriptor, begin, member.packed_size)
    try:
        content = packed if member.method == zipfile.ZIP_STORED else _inflated(packed, member.size)
    except zlib.error as error:
        raise RefusedImageError("damaged", f"the archive's member cannot be unpacked ({error})") from error
    if len(content) != member.size or zlib.crc32(content) != member.checksum:
        raise RefusedImageError(
            "damaged", "the archive's member does not match its checksum. Fetch the archive again."
        )
    return content


def _inflated(packed: bytes, size: int) -> bytes:
    """The unpacked bytes, at most one more than the expected size."""
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, size + 1)


def _read_exactly(descriptor: int, position: int, size: int) -> bytes:
    """`size` bytes from a position, or fewer at the end of the file. A damaged archive may give any numbers."""
    size, parts = min(size, os.fstat(descriptor).st_size - position) if position >= 0 else 0, []
    while size > 0 and (part := os.pread(descriptor, size, position)):
        parts.append(part)
        position, size = position + len(part), size - len(part)
    return b"".join(parts)
