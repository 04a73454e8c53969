"""Which addresses may be asked: those of the public internet, unless private ones are allowed.

A name is judged by the addresses it resolves to, the very ones that are then connected to, so a name that points into
a private network, or does so only the second time it is asked, reaches nothing.
"""

import ipaddress
import socket

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from .settings import FetchError


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


def is_public(address: str) -> bool:
    """Whether a numeric address belongs to the public internet."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or found
    return found.is_global and not found.is_multicast


def parse_url(text: str, base: URL | None = None) -> URL:
    """The address of a URL, or of a redirect from `base`.

    Raises:
        FetchError: it is no URL, or not one of http or https.
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
    """Raises FetchError for a URL with a private address in place of a name."""
    try:
        is_private = not is_public(url.host or "")
    except ValueError:  # a name, which the resolver judges
        return
    if is_private:
        raise FetchError("private address", str(url.host))
