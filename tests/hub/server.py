"""A Hub on loopback for the true `huggingface_hub` client: the HTTP side. What it answers stands in `routes.py`.

Two servers share one state, as on the Hub: the Hub itself, and a storage for large files at another address, to which
it redirects and where the client must not show its token. Every request is recorded; faults are injected by pattern.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub.faults import Fault
from tests.hub.messages import Request, Response
from tests.hub.repositories import HubState, Repository, StoredFile
from tests.hub.routes import answer

TOKEN = "hf_" + "Zq7" * 11  # of the user "tester"; looks like a token, belongs to nobody


class LoopbackHub(HubState):
    """The Hub and its two servers, which run while it is open as a context manager.

    Attributes:
        requests: all of them, in order.
        faults: what goes wrong; see `fail`.
    """

    def __init__(self) -> None:
        super().__init__(users={TOKEN: "tester"})
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.lock = threading.RLock()
        self.servers = [_Server(self, is_storage) for is_storage in (False, True)]
        self.url, self.storage_url = (f"http://127.0.0.1:{server.server_port}" for server in self.servers)

    def __enter__(self) -> Self:
        for server in self.servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for server in self.servers:
            server.is_closing.set()
            server.shutdown()
            server.server_close()

    def add(self, name: str, files: dict[str, StoredFile], **settings: bool) -> Repository:
        """A repository with these files on `main`."""
        repository = self.repositories[name] = Repository(name, **settings)
        self.objects |= {file.sha256: file.data for file in files.values() if file.is_large}
        repository.commit("main", repository.files | files, "files")
        return repository

    def fail(self, fault: Fault) -> Fault:
        """Inject a fault; the returned one counts down."""
        self.faults.append(fault)
        return fault

    def asked(self, method: str, ending: str) -> list[Request]:
        """The requests of a method whose path ends so."""
        return [request for request in self.requests if request.method == method and request.path.endswith(ending)]

    def take_fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            fault = next((fault for fault in self.faults if fault.matches(method, path)), None)
            if fault is not None:
                fault.times -= 1
            return fault


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: LoopbackHub, is_storage: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub, self.is_storage = hub, is_storage
        self.is_closing = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that hangs up is part of the tests. A wrong answer shows in the client."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body leave separately, and would wait 40 ms for each other
    server: _Server

    def _serve(self) -> None:
        hub, parts = self.server.hub, urlsplit(self.path)
        request = Request(
            self.command,
            unquote(parts.path),
            parts.path,
            parse_qs(parts.query),
            {name.lower(): value for name, value in self.headers.items()},
            is_to_storage=self.server.is_storage,
        )
        with hub.lock:
            hub.requests.append(request)
        fault = hub.take_fault(request.method, request.path)
        if fault is not None and fault.upload_bytes is not None:
            self._read(fault.upload_bytes)
            self.close_connection = True
            return
        request.body = self._read()
        if fault is not None and fault.status is not None:
            response = Response(fault.status)
        else:
            with hub.lock:
                response = answer(hub, request)
        self._send(response, None if fault is None else fault.download_bytes)
        if fault is not None and fault.stall_seconds:
            self.server.is_closing.wait(fault.stall_seconds)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 (http.server's names)

    def _read(self, limit: int | None = None) -> bytes:
        """The request's body, or its first `limit` bytes."""
        if self.headers.get("transfer-encoding") != "chunked":
            size = int(self.headers.get("content-length", 0))
            return self.rfile.read(size if limit is None else min(size, limit))
        body = b""
        while limit is None or len(body) < limit:
            size = int(self.rfile.readline(), 16)
            body += self.rfile.read(size)
            self.rfile.readline()
            if not size:
                break
        return body

    def _send(self, response: Response, limit: int | None) -> None:
        self.send_response(response.status)
        for name, value in ({"Content-Length": str(len(response.body))} | response.headers).items():
            self.send_header(name, value)
        self.end_headers()
        body = b"" if self.command == "HEAD" else response.body
        self.wfile.write(body[:limit])
        self.wfile.flush()
        self.close_connection = self.close_connection or limit is not None

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: `LoopbackHub.requests` holds everything."""
