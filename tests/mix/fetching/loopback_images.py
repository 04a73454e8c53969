"""A server of images on this machine that answers in every way a server on the web does: slow, broken, huge,
redirecting, looping, lying.

What it does with a request stands in the path: /good/7 is an image, /loop/7 a redirect to itself. It notes how often
each path was asked for, how many requests were open at once, and when each came.
"""

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.mix.fetching.loopback_answers import ANSWERS


@dataclass
class Seen:
    """What the server saw."""

    requests: Counter[str] = field(default_factory=Counter)
    times: list[tuple[str, float]] = field(default_factory=list)  # host and second
    num_open: Counter[str] = field(default_factory=Counter)
    most_open: Counter[str] = field(default_factory=Counter)


class LoopbackImages:
    """`with LoopbackImages() as server: server.url("good", 7)`. Addresses of this machine stand for hosts."""

    def __init__(self, num_hosts: int = 1) -> None:
        self.seen = Seen()
        self.hosts = [f"127.0.0.{number + 1}" for number in range(num_hosts)]
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> "LoopbackImages":
        self._thread.start()
        for host in self.hosts:
            start = asyncio.start_server(self._answer, host, self.port, backlog=512)
            server = asyncio.run_coroutine_threadsafe(start, self._loop).result(10)
            self.port = server.sockets[0].getsockname()[1]
            self._servers.append(server)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def url(self, kind: str, name: object = 0, host: int = 0) -> str:
        return f"http://{self.hosts[host]}:{self.port}/{kind}/{name}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = writer.get_extra_info("sockname")[0]
        self.seen.num_open[host] += 1
        self.seen.most_open[host] = max(self.seen.most_open[host], self.seen.num_open[host])
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ")[1]
            self.seen.requests[path] += 1
            self.seen.times.append((host, time.monotonic()))
            kind, _, name = path.strip("/").partition("/")
            await ANSWERS[kind](self.seen.requests, writer, name)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client had enough, or the server is stopped
        finally:
            self.seen.num_open[host] -= 1
            writer.close()
