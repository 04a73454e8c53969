"""What the tests of fetching share: impatient settings, and what is in a folder afterwards."""

import hashlib
import json
from pathlib import Path

from mblip.mix.fetching.settings import FetchSettings

HASTY = {
    "connections_per_host": 64,
    "requests_per_second_per_host": 1e6,
    "num_attempts": 2,
    "backoff_seconds": 0.05,
    "read_timeout_seconds": 0.5,
    "total_timeout_seconds": 1.5,
    "max_bytes": 2_000_000,
    "max_pixels": 10_000_000,
    "max_redirects": 3,
    "allow_private_addresses": True,
}


def hasty(**changed) -> FetchSettings:
    return FetchSettings(**(HASTY | changed))


def causes(folder: Path) -> dict[str, str]:
    lines = (folder / "failures.jsonl").read_text().splitlines()
    return {record["url"]: record["cause"] for record in map(json.loads, lines)}


def files(folder: Path) -> list[Path]:
    return [path for path in (folder / "content").rglob("*") if path.is_file()]


def assert_whole(folder: Path, number: int) -> None:
    found = files(folder)
    assert len(found) == number
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.name for path in found)
    assert list((folder / "partial").iterdir()) == []
