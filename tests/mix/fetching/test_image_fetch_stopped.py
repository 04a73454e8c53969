"""Fetching that is stopped and goes on, in memory that does not grow."""

import errno
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from mblip.atomic_write import StorageFullError, no_room
from mblip.mix.fetching.fetch import fetch_images
from mblip.mix.fetching.fetched_images import FetchedImages
from tests.mix.fetching.fetch_checks import assert_whole, causes, files, hasty
from tests.mix.fetching.loopback_answers import ANSWERS, CAUSES, picture
from tests.mix.fetching.loopback_images import LoopbackImages

ROOT = Path(__file__).parents[3]


@pytest.fixture
def server():
    with LoopbackImages() as running:
        yield running


def test_a_second_run_fetches_nothing_again_and_reports_the_same(server, tmp_path):
    urls = [server.url("good", number) for number in range(20)] + [server.url("gone", 1), server.url("page", 1)]
    first = fetch_images(urls + urls[:5], tmp_path, settings=hasty())
    assert (first.num_fetched, first.num_known, first.num_duplicates) == (20, 0, 5)
    asked = Counter(server.seen.requests)
    second = fetch_images([*urls, server.url("good", 99)], tmp_path, settings=hasty())
    assert server.seen.requests - asked == {"/good/99": 1}
    assert (second.num_fetched, second.num_known, second.num_duplicates) == (1, 20, 0)
    assert second.failures == first.failures == {"HTTP 404": 1, "not an image": 1}
    fetch_images(urls, tmp_path, settings=hasty(retry_failures=True))
    assert server.seen.requests - asked == {"/good/99": 1, "/gone/1": 1, "/page/1": 1}


def test_a_lost_file_is_fetched_again(server, tmp_path):
    urls = [server.url("good", number) for number in range(3)]
    fetch_images(urls, tmp_path, settings=hasty())
    files(tmp_path)[0].unlink()
    files(tmp_path)[0].write_bytes(b"cut")
    assert fetch_images(urls, tmp_path, settings=hasty()).num_fetched == 2
    assert_whole(tmp_path, 3)


def test_two_runs_cannot_fetch_into_one_folder_at_once(server, tmp_path):
    def urls():
        with pytest.raises(OSError, match=r"Another process is fetching into .* give this one another folder"):
            fetch_images([], tmp_path, settings=hasty())
        yield server.url("good", 1)

    assert fetch_images(urls(), tmp_path, settings=hasty()).num_fetched == 1


FETCH = """
import resource, sys
from mblip.mix.fetching.fetch import fetch_images
from tests.mix.fetching.fetch_checks import hasty
with open(sys.argv[1]) as urls:
    settings = hasty(num_connections=int(sys.argv[3]), read_timeout_seconds=2.0, total_timeout_seconds=8.0)
    report = fetch_images(urls, sys.argv[2], settings=settings)
print(report.num_urls, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def start_fetching(urls: list[str], folder: Path, num_connections: int) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    (folder / "urls.txt").write_text("\n".join(urls))
    arguments = [sys.executable, "-c", FETCH, str(folder / "urls.txt"), str(folder), str(num_connections)]
    return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("num_requests", [1, 40, 150])
def test_killed_and_started_again_nothing_is_lost_nothing_fetched_twice_and_nothing_half_there(
    server, tmp_path, num_requests
):
    urls = [server.url("slow", number) for number in range(200)]
    process = start_fetching(urls, tmp_path, 16)
    while server.seen.requests.total() < num_requests:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    fetched = FetchedImages(tmp_path)
    recorded = [url for url in urls if fetched.index.get(url) is not None]
    assert all(fetched.read(url) == picture(url.rpartition("/")[2]) for url in recorded)
    asked = Counter(server.seen.requests)
    report = fetch_images(urls, tmp_path, settings=hasty())
    assert (report.num_known, report.num_fetched) == (len(recorded), 200 - len(recorded))
    again = [path for path, count in (server.seen.requests - asked).items() if asked[path]]
    assert not {f"/slow/{url.rpartition('/')[2]}" for url in recorded} & set(again)
    assert len(again) <= 32  # what was on its way over 16 connections, or there and not yet looked at
    assert_whole(tmp_path, 200)


def without_time_outs(found: Iterable[str]) -> Counter[str]:
    """Which of its two time-outs a server runs into first depends on how busy this machine is."""
    return Counter("too slow" if cause in ("silent for too long", "not done in time") else cause for cause in found)


@pytest.mark.slow
def test_10_000_urls_of_every_kind_end_with_their_causes_in_memory_that_does_not_grow(server, tmp_path):
    kinds = [*ANSWERS, *["good"] * 40]
    sizes = {}
    for number_of_urls in (1_000, 10_000):
        urls = [server.url(kinds[number % len(kinds)], number) for number in range(number_of_urls)]
        urls = [url if "/hop/" not in url else server.url("hop", 2) + f"?{number}" for number, url in enumerate(urls)]
        folder = tmp_path / str(number_of_urls)
        process = start_fetching(urls, folder, 64)
        printed, _ = process.communicate(timeout=500)
        num_urls, sizes[number_of_urls] = map(int, printed.split())
        assert num_urls == number_of_urls
        expected = Counter(CAUSES[kind] for kind in (url.split("/")[3] for url in urls) if kind in CAUSES)
        assert without_time_outs(causes(folder).values()) == without_time_outs(expected.elements())
        assert list((folder / "partial").iterdir()) == []
    assert sizes[10_000] < sizes[1_000] + 30_000  # KB


def test_a_disk_without_room_is_a_clear_error_and_going_on_loses_nothing(server, tmp_path):
    urls = [server.url("good", number) for number in range(60)]
    process = os.fork()
    if process == 0:
        fetch_images(urls[:20], tmp_path, settings=hasty())
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # less than an image
        try:
            fetch_images(urls, tmp_path, settings=hasty())
        except StorageFullError:
            os._exit(3)
        os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 3
    assert_whole(tmp_path, 20)
    report = fetch_images(urls, tmp_path, settings=hasty())
    assert (report.num_known, report.num_fetched) == (20, 40)
    assert_whole(tmp_path, 60)


def test_the_error_of_a_full_disk_comes_whole_out_of_a_worker():
    error = pickle.loads(pickle.dumps(no_room(Path("folder/picture"))))
    assert (type(error), error.errno) == (StorageFullError, errno.ENOSPC)
    assert "There is no room for folder/picture" in str(error)
