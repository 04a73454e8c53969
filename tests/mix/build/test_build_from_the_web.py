"""A mix of images of the web: they are fetched politely, and what cannot be had is named."""

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mblip.data import load_rows
from mblip.mix.build.command import main
from mblip.mix.build.images import shared_settings
from mblip.mix.build.recipe import read_mix_recipe
from tests.mix.build.mix_files import SCENES, write_captions, write_mix_recipe
from tests.mix.fetching.loopback_images import LoopbackImages


def build(recipe, output, *options):
    main([str(recipe), "--output", str(output), *options])


class OptingOut(SimpleHTTPRequestHandler):
    """The server of photos opts out for number 4."""

    def log_message(self, *_):
        pass

    def end_headers(self):
        if self.path.endswith("4.jpg"):
            self.send_header("X-Robots-Tag", "noindex, noimageai")
        super().end_headers()


@pytest.fixture
def photo_server(tmp_path):
    """The address of a server of the photos of `write_captions`."""
    handler = partial(OptingOut, directory=str(tmp_path / "photos"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_images_of_the_web_are_fetched_and_what_cannot_be_had_is_named(photo_server, tmp_path):
    write_captions(tmp_path)
    records = [
        {"url": f"{photo_server}/{number:012d}.jpg", "caption": f"thing {number}"} for number in (1, 2, 3, 4, 99)
    ]
    (tmp_path / "web.json").write_text(json.dumps(records))
    fetching = {"allow_private_addresses": True, "num_attempts": 1}
    source = {"source": "capfilt", "path": str(tmp_path / "web.json")}
    build(write_mix_recipe(tmp_path, source, fetching=fetching), tmp_path / "out")
    targets = [target for row in load_rows(tmp_path / "out" / "data") for target in row["targets"]]
    assert sorted(targets) == ["thing 1", "thing 2"]
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert card.count("| image refused: opted out | 1 | capfilt/") == 1
    assert card.count("| image refused: missing | 2 | ") == 1
    assert "127.0.0.1" not in card.split("## Recipe")[0]


def test_without_a_network_nothing_is_built_and_it_goes_on_when_there_is_one(tmp_path):
    """Addresses of this machine stand for hosts."""
    with LoopbackImages() as server:
        pass  # nobody listens at its port any more
    urls = [f"http://127.0.0.{host}:{server.port}/good/1" for host in range(1, 26)]
    records = [{"url": url, "caption": f"thing {number}"} for number, url in enumerate(urls)]
    (tmp_path / "web.json").write_text(json.dumps(records))
    fetching = {"allow_private_addresses": True, "num_attempts": 1}
    source = {"source": "capfilt", "path": str(tmp_path / "web.json")}
    recipe = write_mix_recipe(tmp_path, source, fetching=fetching, num_shards=1)
    for _ in range(2):
        with pytest.raises(OSError, match=r"Reached 0 of 25 image hosts \(no connection\)\. Check"):
            build(recipe, tmp_path / "out")
    assert not (tmp_path / "out" / "data").exists()
    again = LoopbackImages(num_hosts=25)
    again.port = server.port
    with again:
        build(recipe, tmp_path / "out")
    assert len(load_rows(tmp_path / "out" / "data")) == 25


@pytest.mark.parametrize(("num_at_once", "rate", "connections"), [(1, 10.0, 4), (2, 5.0, 2), (16, 0.625, 1)])
def test_tasks_that_fetch_at_a_time_are_as_polite_together_as_one(tmp_path, num_at_once, rate, connections):
    recipe = read_mix_recipe(write_mix_recipe(tmp_path, SCENES, fetching={"num_attempts": 2}))
    settings = shared_settings(recipe.fetching, num_at_once)
    assert settings.requests_per_second_per_host == rate
    assert settings.connections_per_host == connections
    assert settings.num_attempts == 2
