"""In which ways the loopback server answers, and what a fetcher should make of each."""

import asyncio
import gzip
import socket
import struct
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.data.images.image_zoo import IMAGE, JPEG, PNG, encode

Writer = asyncio.StreamWriter
Requests = Counter[str]  # how often each path was asked for
Answer = Callable[[Requests, Writer, str], Awaitable[None]]

SIXTEEN_MEGABYTES_PACKED = gzip.compress(bytes(1 << 24), 9)


def picture(name: str) -> bytes:
    """An image that differs from name to name, in the comment alone."""
    return encode(IMAGE, "JPEG", quality=95, comment=name.encode())


def send(writer: Writer, body: bytes = b"", status: str = "200 OK", length: int | None = None, **headers: str) -> None:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)


def fixed(make: Callable[[str], bytes], status: str = "200 OK", **headers: str) -> Answer:
    """An answer whose body is made of the name."""

    async def answer(requests: Requests, writer: Writer, name: str) -> None:
        send(writer, make(name), status, **headers)

    return answer


def redirect(goal: str, status: str = "302 Found") -> Answer:
    return fixed(lambda name: b"", status, Location=goal)


async def slow(requests: Requests, writer: Writer, name: str) -> None:
    """A good image, in eight parts."""
    body = picture(name)
    send(writer, b"", length=len(body))
    for begin in range(0, len(body), len(body) // 8):
        await asyncio.sleep(0.02)
        writer.write(body[begin : begin + len(body) // 8])
        await writer.drain()


async def dripping(requests: Requests, writer: Writer, name: str) -> None:
    """A byte at a time, never silent and never done."""
    send(writer, b"", length=10_000)
    while True:
        writer.write(b"\xff")
        await writer.drain()
        await asyncio.sleep(0.05)


async def silent(requests: Requests, writer: Writer, name: str) -> None:
    await asyncio.sleep(3600)


async def silent_after_headers(requests: Requests, writer: Writer, name: str) -> None:
    send(writer, JPEG[:100], length=len(JPEG))
    await asyncio.sleep(3600)


async def endless(requests: Requests, writer: Writer, name: str) -> None:
    """No length said, and no end."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(bytes(65_536))
        await writer.drain()


async def endless_headers(requests: Requests, writer: Writer, name: str) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: " + b"x" * 1000 + b"\r\n")
        await writer.drain()


async def chunked(requests: Requests, writer: Writer, name: str) -> None:
    body = picture(name)
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for begin in range(0, len(body), 300):
        part = body[begin : begin + 300]
        writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
    writer.write(b"0\r\n\r\n")


async def chunked_without_end(requests: Requests, writer: Writer, name: str) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" + JPEG[:100] + b"\r\n")


async def lies_longer(requests: Requests, writer: Writer, name: str) -> None:
    send(writer, JPEG, length=len(JPEG) + 1000)


async def lies_shorter(requests: Requests, writer: Writer, name: str) -> None:
    """Says half the length; what is behind it looks like a second answer."""
    send(writer, JPEG + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", length=len(JPEG) // 2)


async def gzip_bomb(requests: Requests, writer: Writer, name: str) -> None:
    """64 members of 16 MB of zeros: a GB in a MB."""
    send(writer, SIXTEEN_MEGABYTES_PACKED * 64, Content_Encoding="gzip")


async def closed(requests: Requests, writer: Writer, name: str) -> None:
    writer.close()


async def reset(requests: Requests, writer: Writer, name: str) -> None:
    """A connection that is not closed, but thrown away."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def no_http(requests: Requests, writer: Writer, name: str) -> None:
    writer.write(b"220 mail server ready\r\n")


async def hop(requests: Requests, writer: Writer, name: str) -> None:
    """/hop/3 leads to /hop/2 and so on, /hop/0 is an image."""
    number = int(name.partition("?")[0])
    if number:
        send(writer, b"", "301 Moved", Location=f"/hop/{number - 1}")
    else:
        send(writer, picture(name))


def at_first(kind: str, first: Answer) -> dict[str, Answer]:
    """The first time as said, an image from then on."""

    async def answer(requests: Requests, writer: Writer, name: str) -> None:
        is_first = requests[f"/{kind}/{name}"] == 1
        await (first if is_first else fixed(picture))(requests, writer, name)

    return {kind: answer}


ANSWERS: dict[str, Answer] = {
    "good": fixed(picture),
    "wrong-type": fixed(picture, Content_Type="text/html; charset=utf-8"),
    "slow": slow,
    "chunked": chunked,
    "packed": fixed(lambda name: gzip.compress(picture(name)), Content_Encoding="gzip"),
    "deflated": fixed(lambda name: zlib.compress(picture(name)), Content_Encoding="deflate"),
    "hop": hop,
    **at_first("error-once", fixed(lambda name: b"", "503 Busy")),
    **at_first("later-once", fixed(lambda name: b"", "429 Too Many", Retry_After="1")),
    **at_first("closed-once", closed),
    **at_first("cut-once", fixed(lambda name: JPEG[:500])),
    "gone": fixed(lambda name: b"", "404 Not Found"),
    "busy": fixed(lambda name: b"", "503 Busy"),
    "part": fixed(lambda name: JPEG, "206 Partial Content"),
    "empty": fixed(lambda name: b""),
    "page": fixed(lambda name: b"<!DOCTYPE html><html>Sign in", Content_Type="image/jpeg"),
    "cut": fixed(lambda name: PNG[:100]),
    "bomb": fixed(
        lambda name: JPEG[: JPEG.index(b"\xff\xc0") + 5] + b"\xff\xdc\xff\xdc" + JPEG[JPEG.index(b"\xff\xc0") + 9 :]
    ),
    "huge": fixed(lambda name: bytes(3_000_000)),
    "says-huge": fixed(lambda name: b"", length=10**12),
    "endless": endless,
    "endless-headers": endless_headers,
    "gzip-bomb": gzip_bomb,
    "broken-gzip": fixed(lambda name: b"no gzip at all", Content_Encoding="gzip"),
    "brotli": fixed(picture, Content_Encoding="br"),
    "lies-longer": lies_longer,
    "lies-shorter": lies_shorter,
    "chunked-without-end": chunked_without_end,
    "dripping": dripping,
    "silent": silent,
    "silent-after-headers": silent_after_headers,
    "closed": closed,
    "reset": reset,
    "no-http": no_http,
    "loop": redirect("/loop/0"),
    "ping": redirect("/pong/0"),
    "pong": redirect("/ping/0"),
    "nowhere": fixed(lambda name: b"", "302 Found"),
    "to-file": redirect("file:///etc/passwd"),
    "to-ftp": redirect("ftp://127.0.0.1/a.jpg"),
    "to-nonsense": redirect("http://[broken"),
    "no-ai": fixed(picture, X_Robots_Tag="noai, noimageai"),
    "to-no-ai": redirect("/no-ai/0"),
    "no-index": fixed(picture, X_Robots_Tag="nofollow\r\nx-robots-tag:NoIndex"),
    "no-index-but-gone": fixed(lambda name: b"", "404 Not Found", X_Robots_Tag="noindex"),
    "reserved": fixed(picture, TDM_Reservation="1"),
    "no-bot": fixed(picture, X_Robots_Tag="otherbot: noindex, noai", TDM_Reservation="0"),
    "no-ai-on-the-way": fixed(lambda name: b"", "302 Found", Location="/good/0", X_Robots_Tag="noai"),
}
# What becomes of each answer; those that are not here are fetched.
CAUSES = {
    "gone": "HTTP 404",
    "busy": "HTTP 503",
    "part": "HTTP 206",
    "empty": "not an image",
    "page": "not an image",
    "cut": "cut off",
    "bomb": "too large",
    "huge": "too large",
    "says-huge": "too large",
    "endless": "too large",
    "endless-headers": "malformed answer",
    "gzip-bomb": "too large",
    "broken-gzip": "damaged",
    "brotli": "unknown packing",
    "lies-longer": "cut off",
    "lies-shorter": "malformed answer",
    "chunked-without-end": "cut off",
    "dripping": "not done in time",
    "silent": "silent for too long",
    "silent-after-headers": "silent for too long",
    "closed": "closed without an answer",
    "reset": "connection broken off",
    "no-http": "malformed answer",
    "loop": "redirect loop",
    "ping": "redirect loop",
    "pong": "redirect loop",
    "nowhere": "redirect without a goal",
    "to-file": "redirect to no URL",
    "to-ftp": "redirect to no URL",
    "to-nonsense": "redirect to no URL",
    "no-ai": "opted out",
    "to-no-ai": "opted out",
    "no-index": "opted out",
    "no-index-but-gone": "HTTP 404",
    "reserved": "opted out",
}
