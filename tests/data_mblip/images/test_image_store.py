"""The store of checked images: once each, whole or not at all, whatever kills the process or fills the disk."""

import contextlib
import hashlib
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_mblip.images import store as image_store
from data_mblip.images.check import ImageSettings, check_image
from data_mblip.images.content import ContentFolder, StorageFullError
from data_mblip.images.refusal import Refused, RefusedImageError
from data_mblip.images.store import ImageStore
from tests.data_mblip.images.image_zoo import JPEG, PNG, REFUSED, encode, noise

AS_IS = ImageSettings(store="as_is")


def write_pictures(folder: Path, number: int = 12, size: int = 40) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{index}.png" for index in range(number)]
    for index, path in enumerate(paths):
        path.write_bytes(encode(noise(size, size, seed=index), "PNG"))
    return paths


@pytest.fixture
def checks(monkeypatch) -> list[str]:
    """The places that are read and checked, in order."""
    places, original = [], image_store.check_place

    def counted(place, *arguments, **named):
        places.append(str(place))
        return original(place, *arguments, **named)

    monkeypatch.setattr(image_store, "check_place", counted)
    return places


def files(store: Path) -> list[Path]:
    return [path for path in (store / "content").rglob("*") if path.is_file()]


def assert_each_is_whole(store: Path) -> None:
    for path in files(store):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        assert path.parent.name == path.name[:3]


def assert_whole(store: Path, number: int) -> None:
    assert len(files(store)) == number
    assert_each_is_whole(store)
    assert list((store / "unfinished").iterdir()) == []


def test_an_image_is_checked_and_stored_once_and_equal_ones_share_a_file(tmp_path, checks):
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "copy.png").write_bytes(PNG)
    for _ in range(2):  # a second process, or the same after a kill
        store = ImageStore(tmp_path / "store")
        keys = {store.put(tmp_path / name) for name in ("a.png", "copy.png", "a.png")}
        assert len(keys) == 1
        assert store.get(keys.pop()) == check_image(PNG).bytes
        store.close()
    assert checks == [str(tmp_path / "a.png"), str(tmp_path / "copy.png")]
    assert_whole(tmp_path / "store", 1)


def test_a_refusal_is_kept_with_its_reason_until_the_file_changes(tmp_path, checks):
    store, path = ImageStore(tmp_path / "store"), tmp_path / "a.jpg"
    path.write_bytes(REFUSED["JPEG, half"][0])
    for _ in range(2):
        refused = store.put(path)
        assert isinstance(refused, Refused)
        assert refused.reason == "cut off"
    assert len(checks) == 1
    path.write_bytes(JPEG)
    assert store.get(store.put(path)) == JPEG
    assert_whole(tmp_path / "store", 1)


def test_what_is_missing_is_looked_for_again(tmp_path):
    store, path = ImageStore(tmp_path / "store"), tmp_path / "a.jpg"
    assert store.put(path).reason == "missing"
    path.write_bytes(JPEG)
    assert store.get(store.put(path)) == JPEG


def test_a_stored_file_that_was_lost_or_changed_is_noticed(tmp_path):
    store, path = ImageStore(tmp_path / "store"), tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    key = store.put(path)
    (stored,) = files(tmp_path / "store")
    stored.write_bytes(JPEG[:-5] + b"other")
    with pytest.raises(RefusedImageError, match=r"damaged: .* does not hold what its name says"):
        store.get(key)
    stored.unlink()
    with pytest.raises(RefusedImageError, match="missing: there is no file"):
        store.get(key)
    assert store.get(store.put(path)) == JPEG


def test_a_store_keeps_its_settings(tmp_path):
    ImageStore(tmp_path / "store", AS_IS)
    ImageStore(tmp_path / "store", AS_IS)
    with pytest.raises(ValueError, match="was made with other settings"):
        ImageStore(tmp_path / "store", ImageSettings(shorter_side=384))


def test_places_whose_names_are_no_utf8_are_kept(tmp_path, checks):
    path = tmp_path / os.fsdecode(b"\xff\xfe.jpg")
    path.write_bytes(JPEG)
    store = ImageStore(tmp_path / "store")
    assert store.put(path) == store.put(path)
    assert len(checks) == 1


def put_all(arguments: tuple[str, list[Path]]) -> list[str]:
    with contextlib.closing(ImageStore(arguments[0], AS_IS)) as store:
        return [str(store.put(path)) for path in arguments[1]]


def test_processes_share_a_store(tmp_path):
    paths = write_pictures(tmp_path / "pictures", 30)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        keys = pool.map(put_all, [(str(tmp_path / "store"), order) for order in (paths, paths[::-1]) * 4], chunksize=1)
    assert keys == [keys[0], keys[0][::-1]] * 4
    assert_whole(tmp_path / "store", 30)


def in_child(work) -> int:
    """Run in a forked process; its exit code, or minus the signal that ended it."""
    process = os.fork()
    if process == 0:
        try:
            os._exit(work() or 0)
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@pytest.mark.parametrize("seconds", [0.0, 0.003, 0.01, 0.02, 0.04])
def test_a_store_whose_process_is_killed_is_whole_and_goes_on(tmp_path, seconds):
    paths = write_pictures(tmp_path / "pictures", 40, size=100)
    process = os.fork()
    if process == 0:
        put_all((str(tmp_path / "store"), paths))
        os._exit(0)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    assert_each_is_whole(tmp_path / "store")
    put_all((str(tmp_path / "store"), paths))
    ContentFolder(tmp_path / "store").remove_left_overs(older_than_seconds=0)
    assert_whole(tmp_path / "store", 40)


def put_until_full(store: Path, paths: list[Path]) -> int:
    """0 if there was room for all, 3 after a clear error."""
    try:
        put_all((str(store), paths))
    except StorageFullError as error:
        return 3 if "make room, and run the same again" in str(error) else 4
    return 0


def test_a_limit_on_the_size_of_files_is_a_clear_error_and_nothing_is_lost(tmp_path):
    paths = write_pictures(tmp_path / "pictures", 12) + write_pictures(tmp_path / "large", 1, size=700)

    def limited() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        return put_until_full(tmp_path / "store", paths)

    before = in_child(lambda: put_until_full(tmp_path / "store", paths[:6]))
    assert (before, in_child(limited)) == (0, 3)
    assert 6 <= len(files(tmp_path / "store")) < 13
    assert_each_is_whole(tmp_path / "store")
    assert put_until_full(tmp_path / "store", paths) == 0
    assert_whole(tmp_path / "store", 13)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mount.returncode != 0:
        pytest.skip("this user may not mount a disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_a_clear_error_and_going_on_loses_nothing(small_disk, tmp_path, checks):
    paths = write_pictures(tmp_path / "pictures", 30, size=150)
    store = small_disk / "store"
    filler = small_disk / "filler"
    filler.write_bytes(bytes(150_000))
    assert put_until_full(store, paths) == 3
    stored = len(files(store))
    assert 0 < stored < 30
    assert_each_is_whole(store)
    assert list((store / "unfinished").iterdir()) == []
    assert put_until_full(store, paths) == 3  # still full
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    assert put_until_full(store, paths) == 0
    assert len(checks) <= 30 + 2  # nothing done is done again, but the one that each time found no room
    assert_whole(store, 30)


def test_the_settings_of_a_store_are_readable(tmp_path):
    ImageStore(tmp_path / "store", AS_IS)
    assert json.loads((tmp_path / "store" / "settings.json").read_text())["store"] == "as_is"
