"""One attempt at one URL. It gives the body in a file, as an image that can be decoded, or the cause of failure.

We trust nothing that a server says. We count bytes as they come, decompress piece by piece, follow redirects by hand,
and decode the image whatever its Content-Type. A connection serves one request, so bytes sent after an answer can
never become the answer of the next URL.
"""

import asyncio
import re
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from multidict import MultiMapping
from yarl import URL

from mblip.atomic_write import StorageFullError
from mblip.data.images import Refused, RefusedImageError, decode

from .fetched_images import ContentFolder, PartialFile
from .hosts import PoliteHosts, PrivateAddressError, PublicResolver, check_numeric_host, parse_url
from .settings import OPTED_OUT, FetchError, FetchSettings

CHUNK_BYTES = 65_536
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PACKINGS = frozenset({"gzip", "x-gzip", "deflate"})
GZIP_OR_ZLIB = 47  # zlib's value for both headers
OPT_OUTS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})  # none: noindex and nofollow
CRAWLER = re.compile(r"\s*(?!unavailable_after|max-)([a-z*][^\s:]*)\s*:(.*)")  # "googlebot: noindex", no time of day
SMALLEST_SIDE = 32  # pixels: JPEGs are decoded at this size, which reads all data but computes few pixels


@dataclass(frozen=True)
class Fetched:
    """An image in the content folder. `opt_out` is the header by which its server opts out, if it does."""

    key: str
    num_bytes: int
    opt_out: str | None


class Downloader:
    """Fetches URLs into a content folder. Images are decoded one at a time, in a separate thread."""

    def __init__(self, content: ContentFolder, settings: FetchSettings) -> None:
        self._content = content
        self._settings = settings
        self._hosts = PoliteHosts(settings)
        self._decoder = ThreadPoolExecutor(1, thread_name_prefix="decode")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, force_close=True, resolver=None if settings.allow_private_addresses else PublicResolver()
            ),
            timeout=aiohttp.ClientTimeout(
                total=settings.total_timeout_seconds,
                connect=settings.connect_timeout_seconds,
                sock_read=settings.read_timeout_seconds,
            ),
            headers={"User-Agent": settings.user_agent, "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            middlewares=[_ask_once],
        )

    async def close(self) -> None:
        await self._session.close()
        self._decoder.shutdown(cancel_futures=True)

    async def download(self, url: str) -> Fetched:
        """Fetch a URL.

        Raises:
            FetchError: the attempt failed.
            StorageFullError: the disk is full.
        """
        with self._content.writing() as file:
            await self._follow(parse_url(url), file)
            refused = await asyncio.get_running_loop().run_in_executor(self._decoder, self._look_at, file)
            if refused is not None:
                is_transient = refused.reason in ("cut off", "damaged")
                raise FetchError(refused.reason, refused.detail, is_transient=is_transient)
            return Fetched(self._content.finish(file), file.num_bytes, file.opt_out)

    async def _follow(self, target: URL, file: PartialFile) -> None:
        """Write the body that the URL leads to."""
        seen = {target}
        while (redirect := await self._ask(target, file)) is not None:
            target = parse_url(redirect, target)
            if target in seen:
                raise FetchError("redirect loop", str(target))
            seen.add(target)
            if len(seen) > self._settings.max_redirects + 1:
                raise FetchError("too many redirects", f"more than {self._settings.max_redirects}")

    async def _ask(self, target: URL, file: PartialFile) -> str | None:
        """Send a request. Write the answer's body into the file, or return the target of a redirect."""
        if not self._settings.allow_private_addresses:
            check_numeric_host(target)
        async with self._hosts.turn(target.host or ""):
            with _causes_named():
                async with self._session.get(target, allow_redirects=False) as response:
                    if response.status in REDIRECTS:
                        return _location(response)
                    self._check_status(response, target.host or "")
                    file.opt_out = opt_out(response.headers, self._settings.user_agent)
                    if file.opt_out is not None and not self._settings.ignore_opt_outs:
                        raise FetchError(OPTED_OUT, file.opt_out)
                    await self._write_body(response, file)
                    return None

    def _check_status(self, response: aiohttp.ClientResponse, host: str) -> None:
        if response.status == 200:
            return
        wait_seconds = min(_retry_after(response), self._settings.max_backoff_seconds)
        if wait_seconds > 0:
            self._hosts.leave_in_peace(host, wait_seconds)
        raise FetchError(
            f"HTTP {response.status}",
            (response.reason or "")[:100],
            is_transient=response.status in TRANSIENT_STATUSES,
            retry_after_seconds=wait_seconds,
        )

    async def _write_body(self, response: aiohttp.ClientResponse, file: PartialFile) -> None:
        max_bytes = self._settings.max_bytes
        if (response.content_length or 0) > max_bytes:
            raise FetchError("too large", f"{response.content_length:,} bytes, more than the {max_bytes:,} allowed")
        inflater = _inflater(response)
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            for part in [chunk] if inflater is None else _inflated(inflater, chunk):
                if file.num_bytes + len(part) > max_bytes:
                    raise FetchError("too large", f"more than the {max_bytes:,} bytes allowed")
                file.write(part)
        if inflater is not None and not inflater.eof:
            raise FetchError("cut off", "the packed answer ends too early", is_transient=True)

    def _look_at(self, file: PartialFile) -> Refused | None:
        """Decode the file. Returns why it is not an image, or None."""
        try:
            decode(file.path.read_bytes(), max_pixels=self._settings.max_pixels, shorter_side=SMALLEST_SIDE)
        except RefusedImageError as error:
            return error.refused
        return None


def opt_out(headers: MultiMapping[str], user_agent: str) -> str | None:
    """The header by which a server forbids to train on its answer, or None.

    A directive may name a crawler, whose name then holds for those behind it, too: "googlebot: noindex, noai". We are
    meant by none, by "*" and by the first word of `user_agent` without its version.
    """
    ours = ("*", user_agent.lower().partition("/")[0].partition(" ")[0])
    for value in headers.getall("X-Robots-Tag", []):
        is_ours = True
        for directive in value.lower().split(","):
            if crawler := CRAWLER.fullmatch(directive):
                is_ours, directive = crawler[1] in ours, crawler[2]
            if is_ours and directive.strip() in OPT_OUTS:
                return f"X-Robots-Tag: {directive.strip()}"
    return "tdm-reservation: 1" if "1" in headers.getall("tdm-reservation", []) else None


def _location(response: aiohttp.ClientResponse) -> str:
    location = response.headers.get("Location", "")
    if not location:
        raise FetchError("redirect without a goal", f"HTTP {response.status} without Location")
    return location


def _retry_after(response: aiohttp.ClientResponse) -> float:
    """Seconds to wait, from a header with seconds or a date; 0 without one."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # not a date, or one without a time zone
        return 0.0


def _inflater(response: aiohttp.ClientResponse) -> "zlib._Decompress | None":
    packing = response.headers.get("Content-Encoding", "identity").strip().lower()
    if packing in ("", "identity"):
        return None
    if packing not in PACKINGS:
        raise FetchError("unknown packing", f"Content-Encoding {packing[:50]!r}, though none was asked for")
    return zlib.decompressobj(GZIP_OR_ZLIB)


def _inflated(inflater: "zlib._Decompress", chunk: bytes) -> Iterator[bytes]:
    """The decompressed chunk, in parts: a few bytes may expand to gigabytes of zeros."""
    while chunk and not inflater.eof:
        try:
            yield inflater.decompress(chunk, CHUNK_BYTES)
        except zlib.error as error:
            raise FetchError("damaged", f"the packed answer cannot be unpacked: {error}", is_transient=True) from error
        chunk = inflater.unconsumed_tail


async def _ask_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Names the causes before aiohttp handles them. aiohttp would retry at once if a server hangs up."""
    with _causes_named():
        return await send(request)


@contextmanager
def _causes_named() -> Iterator[None]:
    """Turn network errors into `FetchError`s with a cause to count."""
    try:
        yield
    except (FetchError, StorageFullError):
        raise
    except aiohttp.ClientConnectorDNSError as error:
        if isinstance(error.os_error, PrivateAddressError):
            raise FetchError("private address", str(error.os_error)) from error
        raise FetchError("host not found", str(error.os_error), is_transient=True) from error
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError) as error:
        raise FetchError("no secure connection", str(error)) from error
    except aiohttp.ConnectionTimeoutError as error:
        raise FetchError("no connection in time", is_transient=True) from error
    except aiohttp.SocketTimeoutError as error:
        raise FetchError("silent for too long", is_transient=True) from error
    except TimeoutError as error:
        raise FetchError("not done in time", is_transient=True) from error
    except aiohttp.ClientConnectorError as error:
        raise FetchError("no connection", str(error.os_error), is_transient=True) from error
    except aiohttp.ServerDisconnectedError as error:
        raise FetchError("closed without an answer", is_transient=True) from error
    except aiohttp.ClientPayloadError as error:
        raise FetchError("cut off", f"the answer ends too early ({error})", is_transient=True) from error
    except aiohttp.ClientResponseError as error:
        raise FetchError("malformed answer", " ".join(error.message.split())[:200]) from error
    except aiohttp.ClientOSError as error:
        raise FetchError("connection broken off", str(error), is_transient=True) from error
    except (aiohttp.ClientError, ValueError) as error:  # no request is possible, for example to an invalid host
        raise FetchError("not a URL", f"{type(error).__name__}: {error}") from error
