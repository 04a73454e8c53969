"""Images are read where they lie, in files and archives; what is no file is refused and never waited for."""

import io
import multiprocessing
import os
import random
import socket
import subprocess
import tarfile
import tempfile
import time
import tracemalloc
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mblip.data.images import Refused, RefusedImageError
from mblip.data.images import files as archive_reading
from mblip.data.images.check import check_location
from mblip.data.images.locations import location_name, open_bytes

NAMES = ["a.jpg", "folder/b.jpg", "../escaped.jpg", "/absolute.jpg", "with :: in it.jpg", "größe 大.jpg", "empty.jpg"]


def content(name: str) -> bytes:
    return b"" if name == "empty.jpg" else name.encode() * 100


def write_tar(path: Path, names=NAMES, mode="w") -> Path:
    with tarfile.open(path, mode) as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(content(name))
            tar.addfile(member, io.BytesIO(content(name)))
    return path


def write_zip(path: Path, names=NAMES, method=zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in names:
            archive.writestr(name, content(name))
    return path


def archives(folder: Path) -> dict[str, Path]:
    """One archive of every kind, with the prefix of its locations."""
    return {
        "tar://": write_tar(folder / "a.tar"),
        "zip://": write_zip(folder / "a.zip"),
        "zip:// ": write_zip(folder / "stored.zip", method=zipfile.ZIP_STORED),
    }


def refusal(location, **arguments) -> str:
    with pytest.raises(RefusedImageError) as error:
        open_bytes(location, **arguments)
    return str(error.value)


def test_a_file_is_read_by_path_text_and_file_url(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"bytes")
    for location in (path, str(path), f"file://{path}"):
        assert open_bytes(location) == b"bytes"
        assert location_name(location) == "photo.jpg"


def test_every_member_of_every_archive_is_read_and_none_reaches_the_disk(tmp_path):
    found = archives(tmp_path)
    before = sorted(tmp_path.parent.rglob("*"))
    for prefix, archive in found.items():
        for name in reversed(NAMES):
            location = f"{prefix.strip()}{name}::{archive}"
            assert open_bytes(location) == content(name), location
            assert location_name(location) == Path(name).name
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_a_leading_dot_and_slash_make_no_difference(tmp_path):
    archive = write_tar(tmp_path / "a.tar", ["./a.jpg", "b.jpg"])
    assert open_bytes(f"tar://a.jpg::{archive}") == content("./a.jpg")
    assert open_bytes(f"tar://./b.jpg::{archive}") == content("b.jpg")


def test_of_two_members_of_one_name_the_last_counts_and_hard_links_are_followed(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for text in (b"first", b"second"):
            member = tarfile.TarInfo("a.jpg")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
        for name, kind in (("hard.jpg", tarfile.LNKTYPE), ("soft.jpg", tarfile.SYMTYPE)):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, "a.jpg"
            tar.addfile(link)
    for name in ("a.jpg", "hard.jpg"):
        assert open_bytes(f"tar://{name}::{tmp_path}/a.tar") == b"second"
    assert refusal(f"tar://soft.jpg::{tmp_path}/a.tar").startswith("missing: tar://soft.jpg")


@pytest.mark.parametrize("prefix", ["tar://", "zip://", "zip:// "])
def test_a_member_that_is_not_there_and_one_that_is_too_large_are_named(tmp_path, prefix):
    archive = archives(tmp_path)[prefix]
    location = f"{prefix.strip()}c.jpg::{archive}"
    assert refusal(location) == (
        f"missing: {location}: the archive holds no file of that name among 7, such as 'a.jpg'"
    )
    assert "500 bytes, more than the 499 allowed" in refusal(f"{prefix.strip()}a.jpg::{archive}", max_bytes=499)


@pytest.mark.parametrize("prefix", ["tar://", "zip://"])
def test_an_archive_that_is_cut_off_is_named_for_every_member(tmp_path, prefix):
    archive = archives(tmp_path)[prefix]
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 3])
    for name in ("a.jpg", "folder/b.jpg"):
        assert refusal(f"{prefix.strip()}{name}::{archive}").startswith("unreadable: ")


def test_a_damaged_header_in_a_tar_is_not_taken_for_its_end(tmp_path):
    archive = write_tar(tmp_path / "a.tar")
    damaged = bytearray(archive.read_bytes())
    damaged[1024 + 10] ^= 0xFF  # in the name of the second member
    archive.write_bytes(damaged)
    assert "is damaged: no header where the 2th file begins" in refusal(f"tar://a.jpg::{archive}")


def test_a_zip_member_with_wrong_bytes_encryption_or_another_method_is_refused(tmp_path):
    archive = write_zip(tmp_path / "a.zip", method=zipfile.ZIP_STORED)
    damaged = bytearray(archive.read_bytes())
    damaged[40] ^= 0xFF
    archive.write_bytes(damaged)
    assert refusal(f"zip://a.jpg::{archive}").startswith("damaged: ")
    assert open_bytes(f"zip://folder/b.jpg::{archive}") == content("folder/b.jpg")
    squeezed = write_zip(tmp_path / "squeezed.zip", method=zipfile.ZIP_BZIP2)
    assert "packed by method 12" in refusal(f"zip://a.jpg::{squeezed}")


@pytest.mark.parametrize("kind", ["zip", "tar", "parquet"])
def test_a_damaged_archive_raises_nothing_but_refusals(tmp_path, kind):
    path = tmp_path / "whole"
    if kind == "parquet":
        pq.write_table(pa.table({"image": [content("a.jpg")] * 3}), path)
    else:
        (write_zip if kind == "zip" else write_tar)(path)
    whole, draw, verdicts = path.read_bytes(), random.Random(0), set()
    for number in range(150):
        damaged = bytearray(whole)
        for _ in range(draw.randint(1, 4)):  # a zip and a parquet end with their directory
            begin = draw.choice((0, 0 if kind == "tar" else len(whole) - 250))
            damaged[draw.randrange(begin, len(whole))] = draw.choice((0, 255, draw.randrange(256)))
        (tmp_path / str(number)).write_bytes(damaged)
        try:
            verdicts.add(type(open_bytes(f"{kind}://{0 if kind == 'parquet' else 'a.jpg'}::{tmp_path / str(number)}")))
        except RefusedImageError:
            verdicts.add(RefusedImageError)
    assert verdicts == {bytes, RefusedImageError}


def test_what_is_no_archive_is_named(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"<html>")
    (tmp_path / "empty.tar").write_bytes(b"")
    for location in (
        f"zip://a.jpg::{tmp_path}/a.zip",
        f"tar://a.jpg::{tmp_path}/a.zip",
        f"tar://a::{tmp_path}/empty.tar",
    ):
        assert refusal(location).startswith("unreadable: ")
    assert refusal(f"zip://a.jpg::{tmp_path}/none.zip").startswith("missing: ")
    assert "is inside another" in refusal(f"zip://a.jpg::tar://inner.zip::{tmp_path}/a.tar")
    assert "s3:// is not supported" in refusal("s3://bucket/a.jpg")


def test_an_archive_that_is_written_anew_is_listed_anew(tmp_path):
    archive = write_tar(tmp_path / "a.tar", ["a.jpg"])
    assert open_bytes(f"tar://a.jpg::{archive}") == content("a.jpg")
    write_tar(archive, ["b.jpg", "c.jpg"] * 20)
    assert open_bytes(f"tar://b.jpg::{archive}") == content("b.jpg")


def read_all(archive: str) -> bool:
    return all(open_bytes(f"tar://{number}::{archive}") == content(str(number)) for number in range(299, -1, -1))


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_several_processes_read_one_archive(tmp_path, method):
    archive = str(write_tar(tmp_path / "a.tar", [str(number) for number in range(300)]))
    open_bytes(f"tar://7::{archive}")  # the index is there before the fork
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(read_all, [archive] * 4) == [True] * 4


def gzip_refusal(archive: Path) -> str:
    return (
        f"{archive} is packed with gzip, expected a plain tar or zip archive. "
        f"Run `gunzip < {archive} > images.tar` and give images.tar."
    )


@pytest.mark.parametrize("prefix", ["tar://", "zip://"])
@pytest.mark.parametrize("archive_name", ["a.tar.gz", "a.tgz", "a.tar", "a.zip.gz"])
def test_an_archive_packed_with_gzip_is_refused_whatever_it_is_called(tmp_path, prefix, archive_name):
    archive = write_tar(tmp_path / archive_name, mode="w:gz")
    for name in ("a.jpg", "no such.jpg"):
        location = f"{prefix}{name}::{archive}"
        assert check_location(location) == Refused("unreadable", f"{location}: {gzip_refusal(archive)}")


def test_nothing_of_an_archive_packed_with_gzip_is_unpacked(tmp_path):
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(b"\x1f\x8b" + b"no gzip at all")
    assert refusal(f"tar://a.jpg::{archive}") == f"unreadable: tar://a.jpg::{archive}: {gzip_refusal(archive)}"


@pytest.mark.parametrize("archive_name", ["a.tar.gz", "a.tgz", "a.tar"])
def test_the_command_in_the_refusal_gives_an_archive_that_is_read(tmp_path, archive_name):
    archive = write_tar(tmp_path / archive_name, mode="w:gz")
    command = refusal(f"tar://a.jpg::{archive}").split("`")[1]
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    for name in NAMES:
        assert open_bytes(f"tar://{name}::{tmp_path}/images.tar") == content(name)


@pytest.mark.slow
def test_100_000_members_are_listed_once_and_then_read_at_random(tmp_path):
    names = [f"{number:06}.jpg" for number in range(100_000)]
    archive = write_tar(tmp_path / "a.tar", names)
    archive_reading._index.cache_clear()
    tracemalloc.start()
    open_bytes(f"tar://000000.jpg::{archive}")
    assert tracemalloc.get_traced_memory()[0] < 40e6
    tracemalloc.stop()
    began = time.perf_counter()
    for name in random.Random(0).sample(names, 10_000):
        assert open_bytes(f"tar://{name}::{archive}") == content(name)
    assert time.perf_counter() - began < 20  # listing anew takes seconds for each


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        kinds = {
            "pipe": "unreadable: .*pipe is a pipe or device, expected a file",
            "loop": "unreadable: .*loop: Too many levels of symbolic links",
            "socket": "unreadable: .*socket",
            "": "unreadable: .* is a folder, expected a file",
            "gone.jpg": "missing: there is no file .*gone.jpg",
            "pipe/below": "missing: there is no file",
            "x" * 300: "unreadable: .*File name too long",
            "zero\0byte": "missing: .*no file can have the name",
        }
        for name, message in kinds.items():
            with pytest.raises(RefusedImageError, match=message):
                open_bytes(f"{tmp_path}/{name}")
        for name in ("pipe", "loop", ""):
            assert refusal(f"zip://a.jpg::{tmp_path}/{name}").startswith("unreadable: ")
    assert "is a pipe or device" in refusal("/dev/zero")


@contextmanager
def ordinary_user():
    """Root may read everything; as nobody it may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_without_permission_is_refused():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for name, mode in (("open.jpg", 0o644), ("closed.jpg", 0)):
            Path(folder, name).write_bytes(b"bytes")
            Path(folder, name).chmod(mode)
        with ordinary_user():
            assert open_bytes(f"{folder}/open.jpg") == b"bytes"
            assert refusal(f"{folder}/closed.jpg") == f"unreadable: {folder}/closed.jpg: Permission denied"


def test_a_url_is_not_fetched_here_but_asked_for():
    assert "Fetch it first" in refusal("https://host/a.jpg")
    assert open_bytes("https://host/a.jpg", fetched=lambda url: url.encode()) == b"https://host/a.jpg"
