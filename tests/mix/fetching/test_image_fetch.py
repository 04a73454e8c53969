"""Fetching from a server that does everything a server can do wrong: it ends, and every failure has its cause."""

import json
import math
import time
from collections import Counter
from pathlib import Path

import pytest
from multidict import CIMultiDict

from mblip.data.images import RefusedImageError
from mblip.data.images.check import ImageSettings, check_location
from mblip.mix.fetching.download import opt_out
from mblip.mix.fetching.fetch import fetch_images, main
from mblip.mix.fetching.fetched_images import FetchedImages
from mblip.mix.fetching.settings import FetchSettings
from tests.mix.fetching.fetch_checks import assert_whole, causes, files, hasty
from tests.mix.fetching.loopback_answers import ANSWERS, CAUSES, picture
from tests.mix.fetching.loopback_images import LoopbackImages

ROOT = Path(__file__).parents[3]


@pytest.fixture
def server():
    with LoopbackImages() as running:
        yield running


@pytest.mark.slow
def test_every_kind_of_answer_is_fetched_or_fails_with_its_cause(server, tmp_path):
    urls = [server.url(kind, number) for kind in ANSWERS for number in range(4)]
    assert len(urls) > 150
    report = fetch_images(urls, tmp_path, settings=hasty())
    assert causes(tmp_path) == {server.url(kind, number): CAUSES[kind] for kind in CAUSES for number in range(4)}
    assert report.failures == Counter(causes(tmp_path).values())
    good = [(kind, number) for kind in ANSWERS.keys() - CAUSES.keys() for number in range(4)]
    fetched = FetchedImages(tmp_path)
    for kind, number in good:
        is_of_0 = kind in ("hop", "no-ai-on-the-way")
        assert fetched.read(server.url(kind, number)) == picture(str(0 if is_of_0 else number)), kind
    assert (report.num_fetched, report.num_urls) == (len(good), len(urls))
    assert_whole(tmp_path, 4)  # equal images share a file


def test_what_may_pass_is_tried_again_and_what_may_not_is_not(server, tmp_path):
    kinds = ("error-once", "closed-once", "cut-once", "busy", "gone", "page", "loop")
    report = fetch_images([server.url(kind, 7) for kind in kinds], tmp_path, settings=hasty(num_attempts=3))
    asked = {kind: server.seen.requests[f"/{kind}/7"] for kind in kinds}
    assert asked == {"error-once": 2, "closed-once": 2, "cut-once": 2, "busy": 3, "gone": 1, "page": 1, "loop": 1}
    assert report.num_attempts == 12
    assert report.num_fetched == 3


OPTED_OUT = ("no-ai", "to-no-ai", "no-index", "reserved")
NOT_OPTED_OUT = ("no-bot", "no-ai-on-the-way", "good")


def test_an_image_whose_server_opts_out_is_not_fetched_and_not_asked_for_again(server, tmp_path):
    urls = [server.url(kind, 7) for kind in (*OPTED_OUT, *NOT_OPTED_OUT)]
    report = fetch_images(urls, tmp_path, settings=hasty())
    assert (dict(report.failures), report.num_fetched, report.num_attempts) == ({"opted out": 4}, 3, 7)
    lines = (tmp_path / "failures.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["detail"] for line in lines) == [
        "X-Robots-Tag: noai",
        "X-Robots-Tag: noai",
        "X-Robots-Tag: noindex",
        "tdm-reservation: 1",
    ]
    with pytest.raises(RefusedImageError, match="opted out: its server says X-Robots-Tag: noindex"):
        FetchedImages(tmp_path).read(server.url("no-index", 7))
    again = fetch_images(urls, tmp_path, settings=hasty())
    assert (dict(again.failures), again.num_known, again.num_attempts) == ({"opted out": 4}, 3, 0)


def test_another_setting_for_opt_outs_holds_for_what_an_earlier_run_asked_for(server, tmp_path):
    urls = [server.url(kind, 7) for kind in (*OPTED_OUT, *NOT_OPTED_OUT)]
    fetch_images(urls, tmp_path, settings=hasty())
    ignoring = fetch_images(urls, tmp_path, settings=hasty(ignore_opt_outs=True))
    assert (ignoring.num_fetched, ignoring.num_known, dict(ignoring.failures)) == (4, 3, {})
    assert FetchedImages(tmp_path).read(server.url("reserved", 7)) == picture("7")
    honouring = fetch_images(urls, tmp_path, settings=hasty())
    assert (honouring.num_known, dict(honouring.failures), honouring.num_attempts) == (3, {"opted out": 4}, 0)
    with pytest.raises(RefusedImageError, match="opted out: its server says tdm-reservation: 1"):
        FetchedImages(tmp_path).read(server.url("reserved", 7))


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["noai"], "noai"),
        (["all", " NOIMAGEAI "], "noimageai"),
        (["nofollow,noimageindex"], "noimageindex"),
        (["none"], "none"),
        (["Mblip-Image-Fetch: noindex"], "noindex"),
        (["*: noai"], "noai"),
        (["otherbot: nofollow, mblip-image-fetch: noai"], "noai"),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noai"], "noai"),
        (["unavailable_after: Wednesday, 25-Jun-30 15:00:00 GMT, noai"], "noai"),
        (["unavailable_after: 25 Jun 2030, 15:00:00 PST, noai"], "noai"),
        (["max-image-preview: none, noarchive"], None),
        (["otherbot: noai, noindex", "nofollow"], None),
        (["noaix, xnoai, no ai"], None),
        ([""], None),
        ([], None),
    ],
)
def test_a_robots_tag_opts_out_if_it_names_us_or_nobody(values, found):
    headers = CIMultiDict([("X-Robots-Tag", value) for value in values])
    assert opt_out(headers, "mblip-image-fetch/1.0 (+https://host)") == (found and f"X-Robots-Tag: {found}")


@pytest.mark.slow
def test_a_host_that_says_when_to_come_again_is_left_in_peace(server, tmp_path):
    urls = [server.url("later-once", 1), *(server.url("good", number) for number in range(3))]
    fetch_images(urls, tmp_path, settings=hasty(connections_per_host=1))
    seconds = [second for _, second in server.seen.times]
    assert seconds[1] - seconds[0] >= 0.9  # Retry-After: 1
    assert server.seen.requests["/later-once/1"] == 2


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("nonsense", "not a URL"),
        ("http://", "not a URL"),
        ("file:///etc/passwd", "not a URL"),
        ("ftp://host/a.jpg", "not a URL"),
        ("http://[::1/a.jpg", "not a URL"),
        ("http://a..b/a.jpg", "not a URL"),
        ("http://localhost:1/a.jpg", "no connection"),
        ("http://no-such-host.invalid/a.jpg", "host not found"),
    ],
)
def test_what_cannot_be_asked_for_has_its_cause(tmp_path, url, cause):
    fetch_images([url, "", "\n"], tmp_path, settings=hasty(num_attempts=1))
    assert causes(tmp_path) == {url: cause}


def test_private_addresses_are_refused_unless_allowed(server, tmp_path):
    port = server.port
    private = [f"http://{host}:{port}/good/1" for host in ("127.0.0.1", "localhost", "0x7f.1", "[::1]", "0.0.0.0")]
    report = fetch_images([*private, "http://10.0.0.1/a.jpg"], tmp_path, settings=hasty(allow_private_addresses=False))
    assert dict(report.failures) == {"private address": 6}
    assert server.seen.requests == {}


@pytest.mark.slow
def test_hosts_get_no_more_connections_and_requests_than_is_polite(tmp_path):
    with LoopbackImages(num_hosts=3) as server:
        urls = [server.url("slow", number, host) for number in range(10) for host in range(3)]
        began = time.monotonic()
        settings = hasty(connections_per_host=2, requests_per_second_per_host=20, num_connections=5)
        report = fetch_images(urls, tmp_path, settings=settings)
        seconds = time.monotonic() - began
        assert report.num_fetched == 30
        assert set(server.seen.most_open.values()) == {2}
        for host in server.hosts:
            times = [second for name, second in server.seen.times if name == host]
            assert times[-1] - times[0] >= 9 / 20 * 0.9
        assert seconds < 3


def test_a_slow_host_does_not_hold_up_the_others(tmp_path):
    with LoopbackImages(num_hosts=2) as server:
        urls = [server.url("good", number, 0) for number in range(30)]
        urls += [server.url("good", number, 1) for number in range(30, 32)]
        fetch_images(urls, tmp_path, settings=hasty(connections_per_host=1, requests_per_second_per_host=40))
        order = [host for host, _ in server.seen.times]
        assert max(location for location, host in enumerate(order) if host == server.hosts[1]) < 10


def test_fetched_images_are_read_by_url(server, tmp_path):
    good, gone, never = server.url("good", 1), server.url("gone", 1), server.url("good", 2)
    fetch_images([good, gone], tmp_path / "fetched", settings=hasty())
    fetched = FetchedImages(tmp_path / "fetched")
    with pytest.raises(RefusedImageError, match=r"missing: fetching failed: HTTP 404 \(Not Found\)"):
        fetched.read(gone)
    as_is = ImageSettings(store="as_is")
    assert check_location(good, as_is, fetched=fetched.read).bytes == picture("1")
    assert str(check_location(gone, fetched=fetched.read)) == f"missing: {gone}: fetching failed: HTTP 404 (Not Found)"
    assert "it is not fetched yet" in str(check_location(never, fetched=fetched.read))


def test_a_fetched_file_that_was_changed_or_lost_is_noticed(server, tmp_path):
    url = server.url("good", 1)
    fetch_images([url], tmp_path, settings=hasty())
    (stored,) = files(tmp_path)
    stored.write_bytes(stored.read_bytes()[:-5] + b"other")
    with pytest.raises(RefusedImageError, match=r"damaged: .* does not match the digest in its name"):
        FetchedImages(tmp_path).read(url)
    stored.unlink()
    with pytest.raises(RefusedImageError, match="missing: there is no file"):
        FetchedImages(tmp_path).read(url)


def test_a_line_that_is_no_utf8_is_named_like_any_other(server, tmp_path):
    (tmp_path / "urls.txt").write_bytes(server.url("good", 1).encode() + b"\n\xff\xfe.jpg\n")
    main([str(tmp_path / "urls.txt"), str(tmp_path / "images"), "--allow-private-addresses"])
    assert causes(tmp_path / "images") == {r"\udcff\udcfe.jpg": "not a URL"}
    assert len(files(tmp_path / "images")) == 1


def test_the_command_prints_the_table(server, tmp_path, capsys):
    (tmp_path / "urls.txt").write_text(f"{server.url('good', 1)}\n\n{server.url('gone', 1)}\nnonsense|x\n")
    main([str(tmp_path / "urls.txt"), str(tmp_path / "images"), "--allow-private-addresses", "--num-attempts", "1"])
    printed = capsys.readouterr().out
    assert "| fetched | 1 | 33.3% |  |\n| HTTP 404 | 1 | 33.3% | http://127.0.0.1:" in printed
    assert "| not a URL | 1 | 33.3% | nonsense%7Cx |" in printed
    assert "3 URLs, 3 attempts" in printed


@pytest.mark.parametrize(
    "wrong", [{"num_connections": 0}, {"read_timeout_seconds": -1.0}, {"backoff_seconds": math.nan}, {"max_bytes": 0}]
)
def test_a_limit_that_allows_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match=rf"`{next(iter(wrong))}` is .*, expected a"):
        FetchSettings(**wrong)
