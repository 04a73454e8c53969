"""What goes wrong on purpose: the loopback Hub answers with an error, or the connection ends after some bytes."""

import re
from dataclasses import dataclass


@dataclass
class Fault:
    """A failure of the next requests that match.

    Attributes:
        method: "GET", "PUT" ...
        path: a regular expression, searched in the request's path.
        status: answer with this status instead.
        upload_bytes: hang up after so many bytes of the request's body; nothing is answered.
        download_bytes: hang up after so many bytes of the answer's body; its headers promise all of them. What the
            request asked for has been done.
        stall_seconds: wait before hanging up.
        times: how many requests fail so.
    """

    method: str
    path: str
    status: int | None = None
    upload_bytes: int | None = None
    download_bytes: int | None = None
    stall_seconds: float = 0.0
    times: int = 1

    def matches(self, method: str, path: str) -> bool:
        return self.times > 0 and method == self.method and re.search(self.path, path) is not None
