"""Politeness: how many connections and requests a host gets, and when it is left in peace."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from .settings import FetchSettings


@dataclass
class _Host:
    connections: asyncio.Semaphore
    num_users: int = 0
    next_request: float = 0.0  # of the event loop's clock


class PoliteHosts:
    """Turns at hosts. A host that nobody uses is forgotten, so that memory does not grow with their number."""

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings
        self._connections = asyncio.Semaphore(settings.num_connections)
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Waits until a request may be sent to the host; its connection is given back at the end."""
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
        """No request to the host for so long, as it asked."""
        host = self._hosts.get(name)
        if host is not None:
            host.next_request = max(host.next_request, asyncio.get_running_loop().time() + seconds)

    def __len__(self) -> int:
        return len(self._hosts)

    def _forget(self, name: str) -> None:
        """Forget a host without users, once its next request would be free."""
        host = self._hosts.get(name)
        if host is None or host.num_users > 0:
            return
        loop = asyncio.get_running_loop()
        if loop.time() >= host.next_request:
            del self._hosts[name]
        else:
            loop.call_at(host.next_request, self._forget, name)
