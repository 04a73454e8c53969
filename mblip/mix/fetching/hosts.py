"""Which hosts may be asked, and how often.

Only addresses of the public internet are allowed, unless private ones are enabled. A name is judged by the addresses
it resolves to, and we connect to exactly these. So a name that points into a private network reaches nothing, even if
it does so only when it is resolved a second time.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from mblip.data.images import is_public

from .settings import FetchError, FetchSettings


def parse_url(text: str, base: URL | None = None) -> URL:
    """Parse a URL, or a redirect from `base`.

    Raises:
        FetchError: it is not an http or https URL.
    """
    cause = "not a URL" if base is None else "redirect to no URL"
    try:
        url = URL(text) if base is None else base.join(URL(text))
        host, _ = url.host, url.port
    except ValueError as error:
        raise FetchError(cause, str(error)) from error
    if url.scheme not in ("http", "https"):
        raise FetchError(cause, f"expected http:// or https://, found {text[:100]!r}")
    if not host:
        raise FetchError(cause, f"{text[:100]!r} names no host")
    return url.with_fragment(None)


def check_numeric_host(url: URL) -> None:
    """Raise FetchError for a URL with a private address in place of a name."""
    try:
        is_private = not is_public(url.host or "")
    except ValueError:  # a name; the resolver checks it
        return
    if is_private:
        raise FetchError("private address", str(url.host))


class PrivateAddressError(OSError):
    """A name resolves to private addresses only."""


class PublicResolver(AbstractResolver):
    """Resolves names to their public addresses."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        public = [result for result in found if is_public(result["host"])]
        if found and not public:
            raise PrivateAddressError(f"{host} is at {found[0]['host']}")
        return public

    async def close(self) -> None:
        await self._resolver.close()


class PoliteHosts:
    """Turns at hosts. A host without users is forgotten, so memory does not grow with the number of hosts."""

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings
        self._connections = asyncio.Semaphore(settings.num_connections)
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Wait until a request may be sent to the host. The connection is released at the end."""
        host = self._hosts.setdefault(name, _Host(asyncio.Semaphore(self._settings.connections_per_host)))
        host.num_users += 1
        try:
            async with host.connections, self._connections:
                now = asyncio.get_running_loop().time()
                begin = max(now, host.next_request)
                host.next_request = begin + 1 / self._settings.requests_per_second_per_host
                await asyncio.sleep(begin - now)
                yield
        finally:
            host.num_users -= 1
            self._forget(name)

    def leave_in_peace(self, name: str, seconds: float) -> None:
        """Send no request to the host for `seconds`, as it asked."""
        host = self._hosts.get(name)
        if host is not None:
            host.next_request = max(host.next_request, asyncio.get_running_loop().time() + seconds)

    def _forget(self, name: str) -> None:
        """Forget a host without users once its next request would be allowed."""
        host = self._hosts.get(name)
        if host is None or host.num_users > 0:
            return
        loop = asyncio.get_running_loop()
        if loop.time() >= host.next_request:
            del self._hosts[name]
        else:
            loop.call_at(host.next_request, self._forget, name)


@dataclass
class _Host:
    connections: asyncio.Semaphore
    num_users: int = 0
    next_request: float = 0.0  # seconds on the event loop's clock
