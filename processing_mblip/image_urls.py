"""The bytes at an http or https URL, with a limit on their number, on the time of all together, and on the addresses.

A URL may come from a stranger, in a conversation or a data set. Only addresses of the public internet are asked,
unless private ones are allowed. We resolve a name, judge the addresses, and connect to exactly these, so a name that
resolves differently a second time gains nothing. Each redirect is judged anew.

Proxies come from the environment, as in urllib. A proxy resolves names and connects itself, so behind one its rules
hold in place of ours. Messages never hold a password, a query or a server's text.
"""

import http.client
import ipaddress
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from functools import partial
from typing import Any

from .image_refusal import RefusedImageError, check_size

URL_TIMEOUT_SECONDS = 30.0  # for redirects, headers and body together
MAX_REDIRECTS = 10
REDIRECTS = (301, 302, 303, 307, 308)
URL_CHARACTERS = "%:/?#[]@!$&'()*+,;=~"  # characters a URL may hold beside letters and digits (RFC 3986, section 2)
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # holds an IPv4 address in its last 32 bits (RFC 6052)


def fetch_url(url: str, *, max_bytes: int, allow_private_urls: bool = False) -> bytes:
    """The body at a URL, after at most `MAX_REDIRECTS` redirects.

    Raises:
        RefusedImageError: the server does not answer with a body of at most `max_bytes` within
            `URL_TIMEOUT_SECONDS`, or its address is private.
    """
    handler = _LimitedHandler(allow_private_urls)
    opener = urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.ProxyHandler())
    opener.add_handler(handler)
    timer = threading.Timer(URL_TIMEOUT_SECONDS, handler.cut)
    timer.daemon = True
    timer.start()
    try:
        for _ in range(MAX_REDIRECTS + 1):
            url = _checked(url)
            with opener.open(urllib.request.Request(url, headers={"User-Agent": "mblip"})) as response:
                location = response.headers.get("Location")
                if response.status not in REDIRECTS or location is None:
                    return _body(response, max_bytes, handler)
            url = urllib.parse.urljoin(url, location)
        raise RefusedImageError("missing", f"the server redirected more than {MAX_REDIRECTS} times")
    except RefusedImageError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        if handler.is_cut:
            raise RefusedImageError("missing", f"not read within {URL_TIMEOUT_SECONDS:g} seconds") from None
        # Other texts may repeat the URL or what the server sent.
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        detail = str(reason) if isinstance(reason, OSError) else type(error).__name__
        raise RefusedImageError("missing", f"the server gave no answer: {detail}") from None
    finally:
        timer.cancel()
        handler.cut()


def shown_url(url: str) -> str:
    """A URL for messages: without user name, password, query and fragment, which may be secret."""
    try:
        parts = urllib.parse.urlsplit(url.strip())
        port = "" if parts.port is None else f":{parts.port}"  # raises for a password with a "?" or "/"
    except ValueError:
        return "a URL"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    shown = f"{parts.scheme}://{host}{port}{'/...' if '@' in parts.path else parts.path}"
    return shown if len(shown) <= 200 else shown[:200] + "..."


def is_public(address: str) -> bool:
    """Whether a numeric address belongs to the public internet.

    Raises:
        ValueError: `address` is a name.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        embedded = ipaddress.IPv4Address(found.packed[-4:]) if found in NAT64 else None
        found = found.ipv4_mapped or found.sixtofour or embedded or found
    return found.is_global and not found.is_multicast and (found.version == 4 or found in GLOBAL_UNICAST)


def _checked(url: str) -> str:
    """The URL with spaces and other letters escaped, as a browser does."""
    parts = urllib.parse.urlsplit(urllib.parse.quote(url.strip(), safe=URL_CHARACTERS))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RefusedImageError("missing", f"found a URL or redirect of {parts.scheme}://, expected http(s)://host/")
    if "@" in parts.netloc:
        raise RefusedImageError("missing", "found a user name in the URL, which is not sent. Pass the bytes instead")
    return parts.geturl()


def _body(response: http.client.HTTPResponse, max_bytes: int, handler: "_LimitedHandler") -> bytes:
    if not 200 <= response.status < 300:
        raise RefusedImageError("missing", f"the server answered with status {response.status}")
    check_size(response.length or 0, max_bytes)  # as its header says; None: in chunks
    body = response.read(max_bytes + 1)
    if handler.is_cut:
        raise TimeoutError
    check_size(len(body), max_bytes)
    if response.length:
        raise RefusedImageError("cut off", f"the server left out the last {response.length:,} bytes")
    return body


class _LimitedHandler(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Opens connections to addresses that are allowed, and can cut them at any time, from another thread."""

    def __init__(self, allow_private: bool) -> None:
        super().__init__()
        self.is_cut = False
        self._allow_private = allow_private
        self._ends_at = time.monotonic() + URL_TIMEOUT_SECONDS
        self._sockets: list[socket.socket] = []

    def do_open(self, http_class: Any, req: urllib.request.Request, **kwargs: Any) -> Any:
        is_proxied = req.host != urllib.parse.unquote(urllib.parse.urlsplit(req.full_url).netloc)

        def connection(*args: Any, **settings: Any) -> Any:
            made = http_class(*args, **settings)
            made._create_connection = partial(self._connect, is_checked=not (is_proxied or self._allow_private))
            return made

        return super().do_open(connection, req, **kwargs)

    def cut(self) -> None:
        self.is_cut = True
        for each in self._sockets:
            with suppress(OSError):  # closed by the server
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _connect(self, address: tuple[str, int], *_: Any, is_checked: bool) -> socket.socket:
        found = {str(entry[4][0]): None for entry in socket.getaddrinfo(*address, type=socket.SOCK_STREAM)}
        targets = [number for number in found if not is_checked or is_public(number)]
        if found and not targets:
            message = f"{address[0]} is at a private address, which is asked only with `allow_private_urls=True`"
            raise RefusedImageError("missing", message)
        failed: OSError = TimeoutError("timed out")
        for target in targets:
            left = max(0.001, self._ends_at - time.monotonic())  # 0 would mean not to wait at all
            try:
                connected = socket.create_connection((target, address[1]), left)
            except OSError as error:
                failed = error
                continue
            self._sockets.append(connected.dup())  # TLS takes the first over
            if not self.is_cut:
                return connected
            connected.close()
            break
        raise failed
