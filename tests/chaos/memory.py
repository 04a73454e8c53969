"""How much memory a call takes at its peak, from /proc (Linux)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"


def _megabytes(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) // 1024


@contextmanager
def growing_less_than(megabytes: int) -> Iterator[None]:
    """Fail if the process takes so much more memory at any time within the block."""
    CLEAR_REFS.write_text(RESET_PEAK)
    before = _megabytes("VmRSS")
    yield
    grown = _megabytes("VmHWM") - before
    assert grown < megabytes, f"memory grew by {grown} MB"
