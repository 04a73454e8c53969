"""`mblip serve` under load: the requests of many clients at once, broken ones and clients that go away among them.

    python benchmarks/serve_load.py MODEL [--images FOLDER] [--clients 8] [--requests 300]

The server is a process of its own, and OpenAI's client asks it. One request in six is broken and must be refused, one
in twelve is a stream that its client leaves. The others ask about zero to three images, half of them as a stream. It
prints the outcomes, the images asked about and those that the vision tower encoded, and the server's memory.
"""

import argparse
import base64
import io
import itertools
import multiprocessing
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import openai
import uvicorn
from PIL import Image, ImageDraw

NUM_DRAWN = 40
MARKS = (50, 150, 300)  # answered requests at which memory is read
PROMPTS = ("Caption in German: ", "Caption in Swahili: ", "Question: what is this? Answer in French: ")
BROKEN: tuple[Any, ...] = (
    {"messages": []},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "/etc/passwd"}}]}]},
    {
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}]}
        ]
    },
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://127.0.0.1/"}}]}]},
    {"messages": [{"role": "user", "content": "a " * 100_000}]},
    {"messages": [{"role": "user", "content": "a"}], "model": "another"},
    {"messages": [{"role": "user", "content": "a"}], "max_tokens": -1},
    "{",
)


@dataclass
class Outcome:
    """What became of the requests. `megabytes`: number of answered requests -> the server's resident memory."""

    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    num_asked: int = 0
    num_encoded: int = 0
    seconds: float = 0.0
    megabytes: dict[int, float] = field(default_factory=dict)

    def table(self) -> str:
        memory = ", ".join(f"{number:.0f} MB at {at}" for at, number in self.megabytes.items())
        lines = [
            *(f"{name}: {number}" for name, number in sorted(self.counts.items())),
            f"errors: {len(self.errors)} {self.errors[:3] or ''}",
            f"distinct images in each request, added up: {self.num_asked}; encoded: {self.num_encoded}",
            f"{sum(self.counts.values()) / self.seconds:.1f} requests/s, {self.seconds:.1f} s",
            f"resident memory of the server: {memory} requests",
        ]
        return "\n".join(lines)


def serve(model: str, ready: Connection, encoded: Any) -> None:
    """The server's process. It counts the images that its vision tower encodes."""
    from mblip.loading import load_checkpoint
    from mblip.serve import ChatHandler, build_app

    loaded, processor = load_checkpoint(model)

    def count(_: Any, given: tuple[Any, ...]) -> None:
        with encoded.get_lock():
            encoded.value += len(given[0])

    loaded.vision_model.register_forward_pre_hook(count)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        ready.send(bound.getsockname()[1])
        app = build_app(ChatHandler(loaded, processor, model))
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[bound])


def load(model: str, images: Sequence[bytes], *, num_clients: int, num_requests: int, seed: int = 0) -> Outcome:
    """Send the requests, and count what comes back."""
    spawn = multiprocessing.get_context("spawn")
    encoded, (ours, theirs) = spawn.Value("q", 0), spawn.Pipe()
    process = spawn.Process(target=serve, args=(model, theirs, encoded), daemon=True)
    process.start()
    theirs.close()
    url = f"http://127.0.0.1:{ours.recv()}/v1"
    outcome, lock = Outcome(), threading.Lock()
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=600)
    client.models.list()  # waits until it is ready

    def send(number: int) -> None:
        kind, num_asked, error = _send(client, random.Random(f"{seed} {number}"), number, images)
        with lock:
            outcome.counts[kind] += 1
            outcome.num_asked += num_asked
            if error:
                outcome.errors.append(error)
            done = outcome.counts.total()
            if done in (*MARKS, num_requests):
                outcome.megabytes[done] = _resident_megabytes(process.pid)

    began = time.monotonic()
    with ThreadPoolExecutor(num_clients) as clients:
        list(clients.map(send, range(num_requests)))
    outcome.seconds, outcome.num_encoded = time.monotonic() - began, encoded.value
    process.terminate()
    process.join()
    return outcome


def _send(client: openai.OpenAI, chance: random.Random, number: int, images: Sequence[bytes]) -> tuple[str, int, str]:
    """One request: the kind of its outcome, its number of distinct images, and an error that is none of ours or ""."""
    if number % 6 == 5:
        body = chance.choice(BROKEN)
        return (
            "refused",
            0,
            _error_of(lambda: client.post("/chat/completions", body=body, cast_to=object), is_wanted=True),
        )
    shown = [chance.choice(images) for _ in range(chance.choice((0, 1, 1, 1, 2, 3)))]
    parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": _data_uri(image)}} for image in shown]
    content = [*parts, {"type": "text", "text": chance.choice(PROMPTS)}]
    arguments: dict[str, Any] = {
        "model": client.models.list().data[0].id,
        "messages": [{"role": "user", "content": content}],
        "temperature": 0,
        "max_tokens": 20,
    }
    if number % 12 == 2:
        with client.chat.completions.create(**(arguments | {"max_tokens": 100}), stream=True) as stream:
            next(itertools.islice(stream, 2, None), None)  # the role, and two pieces of text
        return "left by the client", len(set(shown)), ""
    kind = "answered as a stream" if number % 2 else "answered"
    return (
        kind,
        len(set(shown)),
        _error_of(lambda: _text(client.chat.completions.create(**arguments, stream=number % 2 == 1))),
    )


def _text(answer: Any) -> str:
    """The text of an answer, which may be a stream."""
    if isinstance(answer, openai.Stream):
        return "".join(chunk.choices[0].delta.content or "" for chunk in answer)
    return answer.choices[0].message.content


def _error_of(ask: Callable[[], Any], *, is_wanted: bool = False) -> str:
    """What is wrong: an error, or the want of one. A status of 4xx is wanted of broken requests."""
    try:
        ask()
    except openai.APIStatusError as error:
        return "" if is_wanted and 400 <= error.status_code < 500 else str(error)
    except openai.APIError as error:
        return str(error)
    return "a broken request was answered" if is_wanted else ""


def _data_uri(image: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(image).decode()}"


def _resident_megabytes(pid: int | None) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1000


def drawn(number: int) -> bytes:
    """A JPEG of 640 x 480 with some shapes."""
    chance = random.Random(number)
    image = Image.new("RGB", (640, 480), chance.choice(("white", "grey", "black")))
    for _ in range(20):
        box = sorted(chance.sample(range(640), 2)), sorted(chance.sample(range(480), 2))
        corners = [box[0][0], box[1][0], box[0][1], box[1][1]]
        ImageDraw.Draw(image).ellipse(corners, chance.choice(("red", "green", "blue", "yellow")))
    written = io.BytesIO()
    image.save(written, "JPEG")
    return written.getvalue()


def main(arguments: Sequence[str] | None = None) -> Outcome:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--images", type=Path, help="a folder of JPEGs; default: drawn ones")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=300)
    given = parser.parse_args(arguments)
    images = [path.read_bytes() for path in sorted(given.images.rglob("*.jpg"))] if given.images else []
    outcome = load(
        given.model,
        images or [drawn(number) for number in range(NUM_DRAWN)],
        num_clients=given.clients,
        num_requests=given.requests,
    )
    print(outcome.table())
    return outcome


if __name__ == "__main__":
    main()
