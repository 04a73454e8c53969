"""Why an image is refused, as a reason that can be counted.

A refused image is skipped or reported, never replaced. The original replaced every unreadable file by a black image,
and trained on it with "a photo of ...".
"""

from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "missing",  # no such file, member of an archive, row or fetched URL
    "opted out",  # its server forbids to train on it
    "unreadable",  # present, but without readable bytes: a folder, a pipe, no permission, a broken archive
    "too large",  # more bytes or pixels than allowed
    "not an image",
    "unsupported",  # a format or values that we do not read
    "no pixels",
    "cut off",
    "damaged",
]


@dataclass(frozen=True)
class Refused:
    """A refused image: `reason` to count by, and `detail` for what exactly was found."""

    reason: Reason
    detail: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class RefusedImageError(ValueError):
    """Raised by the functions that read and decode, with the refusal in `refused`."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)  # both, so that the error can be pickled on its way out of a worker
        self.refused = Refused(reason, detail)

    def __str__(self) -> str:
        return str(self.refused)


def check_size(num_bytes: int, max_bytes: int) -> None:
    """Raise RefusedImageError for an encoded image of too many bytes."""
    if num_bytes > max_bytes:
        raise RefusedImageError("too large", f"{num_bytes:,} bytes, more than the {max_bytes:,} allowed")
