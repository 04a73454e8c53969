"""Requests and responses of the loopback Hub, and its errors with the headers that the client reads them from."""

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """What a client asked for.

    Attributes:
        path: decoded; `target` is as it stood in the request, where `%2F` in a revision is still told from `/`.
        headers: their names in small letters.
    """

    method: str
    path: str
    target: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes = b""
    is_to_storage: bool = False

    @property
    def token(self) -> str | None:
        return self.headers.get("authorization", "").removeprefix("Bearer ") or None


@dataclass
class Response:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def json_response(content: Any, status: int = 200) -> Response:
    return Response(status, {"Content-Type": "application/json"}, json.dumps(content).encode())


class HubError(Exception):
    """An error response: `code` is the Hub's `X-Error-Code`, from which the client chooses its exception."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, headers

    def response(self) -> Response:
        response = json_response({"error": self.message}, self.status)
        response.headers |= {"X-Error-Message": self.message}
        response.headers |= {name.replace("_", "-"): value for name, value in self.headers.items()}
        if self.code is not None:
            response.headers["X-Error-Code"] = self.code
        return response
