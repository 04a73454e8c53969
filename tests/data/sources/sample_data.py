"""Small files in published layouts, and where samples of the published ones lie on machines that have them."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

SAMPLES = Path(os.environ.get("MBLIP_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))


def needs_samples(folder: str) -> pytest.MarkDecorator:
    """Skips a test where there is no sample of a corpus."""
    return pytest.mark.skipif(
        not (SAMPLES / folder).is_dir(), reason=f"no sample of {folder}: set MBLIP_DATA to a folder with {folder}/"
    )


def write_lines(path: Path, records: Iterable[Any]) -> Path:
    """Records as JSON lines."""
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


def write_json(path: Path, value: Any) -> Path:
    """A value as JSON."""
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path
