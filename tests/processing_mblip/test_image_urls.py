"""Images from URLs: as a browser fetches them, within limits of time, bytes and addresses."""

import io
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image
from tiny_processor import make_tokenizer
from transformers import SiglipImageProcessorPil

from processing_mblip import MBlipProcessor, image_processing_mblip, image_urls, load_upright_rgb
from processing_mblip.image_urls import fetch_url, is_public


def red_png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 1), "red").save(buffer, "PNG")
    return buffer.getvalue()


class Handler(BaseHTTPRequestHandler):
    paths: list[str]

    def do_GET(self):
        self.paths.append(self.path)
        name = self.path.partition("?")[0].strip("/")
        if name.startswith("to"):
            self.send_response(302)
            self.send_header("Location", self.path.partition("?")[2] or "/a.png")
            self.end_headers()
            self.wfile.write(b"x" * 100)
        elif name == "missing":
            self.send_error(404, "geheim")
        elif name == "slow_header":
            self.slowly(b"HTTP/1.0 200 OK\r\n" + b"X-Header: 1\r\n" * 100)
        else:
            self.send_response(200)
            if name == "short":
                self.send_header("Content-Length", "10000")
            if name == "said":
                self.send_header("Content-Length", "10000000000")
            self.end_headers()
            if name == "slow":
                self.slowly(red_png() * 10)
            while name == "endless":
                self.wfile.write(bytes(10_000))
            self.wfile.write(red_png())

    def slowly(self, content: bytes):
        for byte in content:
            self.wfile.write(bytes([byte]))
            time.sleep(0.02)

    def handle(self):
        with suppress(OSError):  # the client has closed the connection
            super().handle()

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    """A server of this machine, with the paths it was asked for."""
    paths: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Recording", (Handler,), {"paths": paths})) as found:
        found.daemon_threads = True
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        found.url, found.paths = f"http://127.0.0.1:{found.server_port}", paths
        yield found
        found.shutdown()
        thread.join()


def test_a_url_is_fetched_as_a_browser_does(server):
    for path in ("a.png?size=2", "Kölner Dom.png", "K%C3%B6ln.png", "图.png", "to", "to?to"):
        assert load_upright_rgb(f" {server.url}/{path}", allow_private_urls=True).getpixel((1, 0)) == (255, 0, 0)
    direct = ["/a.png?size=2", "/K%C3%B6lner%20Dom.png", "/K%C3%B6ln.png", "/%E5%9B%BE.png"]
    assert server.paths == [*direct, "/to", "/a.png", "/to?to", "/to", "/a.png"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing?sig=geheim", "missing: the server answered with status 404"),
        ("to" + "?/to" * 11, "missing: the server redirected more than 10 times"),
        ("to?ftp://user:geheim@127.0.0.1/a", "missing: found a URL or redirect of ftp://, expected http"),
        ("to?file:///etc/geheim", "missing: found a URL or redirect of file://, expected http"),
        ("to?data:image/png;base64,geheim", "missing: found a URL or redirect of data://, expected http"),
        ("short", "cut off: the server left out the last"),
        ("said", "too large: 10,000,000,000 bytes"),
    ],
)
def test_what_a_server_does_not_give_is_named_without_secrets(server, path, reason):
    with pytest.raises(ValueError, match=rf"image 3 \('{server.url}/\w+'\) .*\({reason}") as caught:
        load_upright_rgb(f"{server.url}/{path}", "image 3", allow_private_urls=True)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("path", ["slow", "slow_header"])
def test_a_url_ends_after_its_time_in_all(server, monkeypatch, path):
    monkeypatch.setattr(image_urls, "URL_TIMEOUT_SECONDS", 0.3)
    began = time.monotonic()
    with pytest.raises(ValueError, match=r"missing: not read within 0\.3 seconds"):
        load_upright_rgb(f"{server.url}/{path}", allow_private_urls=True)
    assert time.monotonic() - began < 1


def test_attempts_to_connect_end_after_the_time_in_all(monkeypatch):
    monkeypatch.setattr(image_urls, "URL_TIMEOUT_SECONDS", 0.3)
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"93.184.216.{i}", 80)) for i in range(4)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: addresses)

    def create_connection(address, timeout):
        time.sleep(timeout)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", create_connection)
    began = time.monotonic()
    with pytest.raises(ValueError, match=r"missing: not read within 0\.3 seconds"):
        load_upright_rgb("http://silent.test/a.png")
    assert time.monotonic() - began < 0.6


def test_an_endless_body_ends_at_the_limit(server, monkeypatch):
    monkeypatch.setattr(image_processing_mblip, "MAX_BYTES", 100_000)
    with pytest.raises(ValueError, match=r"too large: 100,001 bytes, more than the 100,000 allowed"):
        load_upright_rgb(f"{server.url}/endless", allow_private_urls=True)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "LOCALHOST", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]"]
)
def test_a_private_address_is_not_asked_in_any_form(server, host):
    with pytest.raises(ValueError, match=r"private address, which is asked only with `allow_private_urls=True`"):
        load_upright_rgb(f"http://{host}:{server.server_port}/a.png")
    assert server.paths == []


def test_the_address_that_is_judged_is_the_one_that_is_asked(server, monkeypatch):
    """A name may resolve to another address the second time, and a redirect may lead into the private network."""
    answers, real = [["93.184.216.34"], ["127.0.0.1"]], socket.getaddrinfo
    asked = []

    def getaddrinfo(host, port, *args, **kwargs):
        if host != "rebinding.test":
            return real(host, port, *args, **kwargs)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port)) for number in answers.pop(0)]

    def create_connection(address, timeout):
        asked.append(address)
        return real_connection(("127.0.0.1", server.server_port), timeout)

    real_connection = socket.create_connection
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket, "create_connection", create_connection)
    with pytest.raises(ValueError, match=r"127\.0\.0\.1 is at a private address"):
        load_upright_rgb(f"http://rebinding.test/to?http://127.0.0.1:{server.server_port}/a.png")
    assert asked == [("93.184.216.34", 80)]
    with pytest.raises(ValueError, match=r"rebinding\.test is at a private address"):
        load_upright_rgb("http://rebinding.test/a.png")
    assert server.paths == [f"/to?http://127.0.0.1:{server.server_port}/a.png"]


def test_a_proxy_is_used_and_resolves_the_names(server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    assert load_upright_rgb("http://name.test/a.png").size == (2, 1)
    assert server.paths == ["http://name.test/a.png"]


def test_private_urls_are_allowed_by_the_caller_alone_and_never_saved(server, tmp_path, processor):
    url, refused = f"{server.url}/a.png", pytest.raises(ValueError, match=r"image 0 .*private address")
    assert processor(images=url, text="a", allow_private_urls=True, return_tensors="pt")["pixel_values"].shape[0] == 1
    messages = [{"role": "user", "content": [{"type": "image", "url": url}, {"type": "text", "text": "a"}]}]
    with refused:
        processor.apply_chat_template(messages, tokenize=True, return_dict=True)
    processor.apply_chat_template(
        messages, tokenize=True, return_dict=True, processor_kwargs={"allow_private_urls": True}
    )
    other = MBlipProcessor(SiglipImageProcessorPil(), make_tokenizer(), num_query_tokens=2)
    with refused:
        other(images=url, text="a")
    assert "pixel_values" in other(images=url, text="a", allow_private_urls=True)
    # from_pretrained takes it, nothing saves it, and no file of a folder sets it
    processor.save_pretrained(tmp_path)
    allowing = MBlipProcessor.from_pretrained(tmp_path, allow_private_urls=True)
    assert "pixel_values" in allowing(images=url, text="a")
    allowing.save_pretrained(tmp_path)
    for path in tmp_path.glob("*_config.json"):
        text = path.read_text()
        assert "allow_private_urls" not in text
        path.write_text(
            text.replace("{", '{"allow_private_urls": true, "images_kwargs": {"allow_private_urls": true}, ', 1)
        )
        path.write_text(path.read_text().replace('"do_resize"', '"allow_private_urls": true, "do_resize"'))
    with refused:
        MBlipProcessor.from_pretrained(tmp_path)(images=url, text="a")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("64:ff9b::5db8:d822", True),
        ("192.168.1.1", False),
        ("172.16.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("::ffff:127.0.0.1", False),
        ("::127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
    ],
)
def test_an_address_is_public_or_not(address, public):
    assert is_public(address) == public


def test_the_body_comes_unchanged(server):
    assert fetch_url(f"{server.url}/a.png", max_bytes=1000, allow_private_urls=True) == red_png()
