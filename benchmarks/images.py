"""Images per second for reading, checking, storing and fetching the images of a mix.

    python benchmarks/images.py [FOLDER_OF_JPEGS] [--rounds 5] [--num-urls 2000]

We time every step against its bound, the part that it cannot avoid: decoding by Pillow for every check, and plain
aiohttp requests over the same number of connections for every fetch. The sides take turns round by round, so that a
busy machine slows both equally. A separate process on this machine serves the URLs. Nothing is asserted about time.
"""

import argparse
import asyncio
import io
import multiprocessing
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import aiohttp
from image_path import read_jpegs
from PIL import Image

from mblip.data.images.check import ImageSettings, check_image
from mblip.data.images.locations import open_bytes
from mblip.mix.fetching.fetch import fetch_images
from mblip.mix.fetching.settings import FetchSettings

NUM_DRAWN = 64
NUM_CONNECTIONS = 64
SETTINGS = FetchSettings(
    num_connections=NUM_CONNECTIONS,
    connections_per_host=NUM_CONNECTIONS,
    requests_per_second_per_host=1e6,
    allow_private_addresses=True,
)


def decode_alone(jpegs: Sequence[bytes]) -> None:
    for jpeg in jpegs:
        Image.open(io.BytesIO(jpeg)).load()


def check(jpegs: Sequence[bytes], settings: ImageSettings) -> None:
    for jpeg in jpegs:
        assert not isinstance(check_image(jpeg, settings), str)


def write_files(jpegs: Sequence[bytes], folder: Path) -> list[Path]:
    paths = [folder / f"{number}.jpg" for number in range(len(jpegs))]
    for path, jpeg in zip(paths, jpegs, strict=True):
        path.write_bytes(jpeg)
    with tarfile.open(folder / "images.tar", "w") as tar:
        for path in paths:
            tar.add(path, path.name)
    return paths


async def serve(jpegs: Sequence[bytes], port: "multiprocessing.Queue[int]") -> None:
    """Answers GET /NUMBER with an image of that number."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        number = request.split()[1].strip(b"/")
        jpeg = jpegs[int(number) % len(jpegs)] + number  # no two are equal, so that each is written
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(jpeg) + jpeg)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=512)
    port.put(server.sockets[0].getsockname()[1])
    await server.serve_forever()


@contextmanager
def served(jpegs: Sequence[bytes]) -> Iterator[int]:
    """A port of this machine where the images are served."""
    context = multiprocessing.get_context("fork")
    port = context.Queue()
    process = context.Process(target=lambda: asyncio.run(serve(jpegs, port)), daemon=True)
    process.start()
    try:
        yield port.get(timeout=60)
    finally:
        process.terminate()
        process.join()


async def ask_alone(urls: Sequence[str]) -> None:
    """aiohttp with as many connections, and nothing else."""
    connector = aiohttp.TCPConnector(limit=NUM_CONNECTIONS, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(url: str) -> None:
            async with session.get(url) as response:
                await response.read()

        await asyncio.gather(*map(ask, urls))


def fetch(urls: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = fetch_images(urls, folder, settings=SETTINGS)
        assert report.num_fetched == len(urls), report.table()


def in_turns(steps: dict[str, Callable[[], object]], num_images: int, rounds: int) -> dict[str, float]:
    """Images a second of each step: the median of the rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - began)
    return {name: num_images / statistics.median(found) for name, found in seconds.items()}


def print_rows(speeds: dict[str, float]) -> None:
    bound = next(iter(speeds.values()))
    for name, speed in speeds.items():
        print(f"{name:<44} {speed:>9,.0f} {speed / bound:>8.2f}")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="JPEG files; by default drawn images of 640 x 480")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--num-urls", type=int, default=2000)
    given = parser.parse_args(arguments)
    jpegs = read_jpegs(given.folder, num_drawn=NUM_DRAWN)
    print(f"{len(jpegs)} JPEGs of {sum(map(len, jpegs)) / len(jpegs) / 1000:.0f} KB, median of {given.rounds} rounds")
    print(f"{'':<44} {'images/s':>9} {'of bound':>8}")
    as_is, at_size, smaller = ImageSettings(store="as_is"), ImageSettings(), ImageSettings(shorter_side=128)
    with tempfile.TemporaryDirectory() as name:
        paths = write_files(jpegs, Path(name))
        locations = [f"tar://{path.name}::{name}/images.tar" for path in paths]
        steps: dict[str, Callable[[], object]] = {
            "bound: decode by Pillow alone": lambda: decode_alone(jpegs),
            "check, stored as it is": lambda: check(jpegs, as_is),
            "check, stored with shorter side 256": lambda: check(jpegs, at_size),
            "check, stored with shorter side 128": lambda: check(jpegs, smaller),
            "read from a tar, not decoded": lambda: list(map(open_bytes, locations)),
        }
        print_rows(in_turns(steps, len(jpegs), given.rounds))
    with served(jpegs) as port:
        urls = [f"http://127.0.0.1:{port}/{number}" for number in range(given.num_urls)]
        fetching = {"bound: aiohttp alone, 64 connections": lambda: asyncio.run(ask_alone(urls))}
        fetching["fetch, decode and keep, 64 connections"] = lambda: fetch(urls)
        print_rows(in_turns(fetching, len(urls), given.rounds))


if __name__ == "__main__":
    main(sys.argv[1:])
