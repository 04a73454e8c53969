"""Files and folders are whole or not there, and one process at a time writes into a folder."""

import errno
import fcntl
import multiprocessing
import os
import signal
import socket
import time

import pytest

from mblip.atomic_write import LOCK_FILE, StorageFullError, atomic_file, atomic_folder, locked, read_json

FORK = multiprocessing.get_context("fork")


def test_a_second_process_is_refused_with_the_first_one_s_name_and_leaves_its_files(tmp_path):
    with locked(tmp_path, LOCK_FILE, "training into"):
        written = (tmp_path / LOCK_FILE).read_text()
        with (
            pytest.raises(OSError, match=rf"Another process is training into {tmp_path}\. Wait for it") as refused,
            locked(tmp_path, LOCK_FILE, "training into"),
        ):
            pytest.fail("two hold the lock")
        assert str(refused.value).endswith(f"It is process {os.getpid()} on {socket.gethostname()}.")
        assert (tmp_path / LOCK_FILE).read_text() == written
    assert list(tmp_path.iterdir()) == []


def hold_with_a_worker(folder, ready):
    with locked(folder, LOCK_FILE, "training into"):
        worker = FORK.Process(target=time.sleep, args=(30,))
        worker.start()
        ready.send(worker.pid)
        time.sleep(30)


def test_a_killed_process_leaves_no_lock_though_its_worker_lives_on(tmp_path):
    received, ready = FORK.Pipe(duplex=False)
    holder = FORK.Process(target=hold_with_a_worker, args=(tmp_path, ready))
    holder.start()
    worker = received.recv()
    with pytest.raises(OSError, match="Another process"), locked(tmp_path, LOCK_FILE, "training into"):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    try:
        with locked(tmp_path, LOCK_FILE, "training into"):
            os.kill(worker, 0)  # it lives
    finally:
        os.kill(worker, signal.SIGKILL)


def test_a_lock_file_that_its_holder_removes_meanwhile_is_made_again(tmp_path, monkeypatch):
    lock = fcntl.flock

    def remove_first(file, operation):
        monkeypatch.setattr(fcntl, "flock", lock)
        (tmp_path / LOCK_FILE).unlink()
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with locked(tmp_path, LOCK_FILE, "training into"):
        assert (tmp_path / LOCK_FILE).is_file()


def test_without_locks_in_the_file_system_work_goes_on_with_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path, LOCK_FILE, "training into"):
        pass
    assert "cannot be locked ([Errno 37] No locks available). See to it that no other process writes" in caplog.text


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file/out cannot be written: .*\. Give another folder\."):  # noqa: SIM117
        with locked(tmp_path / "file" / "out", LOCK_FILE, "training into"):
            pass


def test_a_folder_appears_when_it_is_whole(tmp_path):
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "left by a killed process").write_text("")
    with atomic_folder(tmp_path / "out") as partial:
        (partial / "file").write_text("whole")
        assert not (tmp_path / "out").exists()
        with pytest.raises(OSError, match="Another process is writing out into"), atomic_folder(tmp_path / "out"):
            pass
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "file"]


def write_half(folder):
    with atomic_folder(folder) as partial:
        (partial / "file").write_text("half")
        raise KeyError


def test_a_folder_whose_writing_fails_leaves_nothing(tmp_path):
    with pytest.raises(KeyError):
        write_half(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_content_is_on_the_disk_before_the_name_appears(tmp_path, monkeypatch):
    synced = []

    def sync(number):
        path = os.readlink(f"/proc/self/fd/{number}")
        synced.append((os.path.basename(path), (tmp_path / "out").exists()))

    monkeypatch.setattr(os, "fsync", sync)
    with atomic_file(tmp_path / "out") as partial:
        partial.write_text("whole")
    assert synced == [(".out.partial", False), (tmp_path.name, True)]
    (tmp_path / "out").unlink()
    synced.clear()
    with atomic_folder(tmp_path / "out") as partial:
        (partial / "file").write_text("whole")
    assert synced == [("file", False), (".out.partial", False), (tmp_path.name, True)]


def test_a_full_disk_names_the_file_that_found_no_room(tmp_path):
    with pytest.raises(StorageFullError, match=r"no room for /else/where \(No space left on device; .* are free\)"):  # noqa: SIM117
        with locked(tmp_path, LOCK_FILE, "training into"):
            raise OSError(errno.ENOSPC, "No space left on device", "/else/where")


def test_a_full_disk_is_told_of_libraries_that_raise_a_bare_exception(tmp_path):
    """As tokenizers does, where it writes tokenizer.json."""
    with pytest.raises(StorageFullError, match=r"no room for .*out \(File too large \(os error 27\); "):  # noqa: SIM117
        with atomic_folder(tmp_path / "out"):
            raise Exception("File too large (os error 27)")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_that_is_told_is_passed_on_as_it_is(tmp_path):
    told = StorageFullError(errno.ENOSPC, "There is no room")
    with pytest.raises(StorageFullError) as caught, atomic_folder(tmp_path / "out"):
        raise told
    assert caught.value is told
    assert told.__cause__ is None


@pytest.mark.parametrize("content", [b"", b"\0\0", b"[]", b'"a"', b"\xff", b'{"a": ', b"[" * 100_000])
def test_a_file_that_holds_no_json_object_is_named_with_what_to_do(tmp_path, content):
    (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"state\.json is damaged.*, expected a JSON object\. Delete it\."):
        read_json(tmp_path / "state.json", "Delete it.")
