"""A complete checkpoint of a few bytes."""

import json
from pathlib import Path
from typing import Any

from mblip.atomic_write import write_manifest


def write_checkpoint(folder: Path, steps: int, **state: Any) -> Path:
    """A complete checkpoint with three small files."""
    checkpoint = folder / f"checkpoint-{steps}"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trained.safetensors").write_bytes(b"weights")
    (checkpoint / "optimizer.pt").write_bytes(b"moments")
    (checkpoint / "trainer_state.json").write_text(json.dumps({"global_step": steps, "max_steps": 9} | state))
    write_manifest(checkpoint)
    return checkpoint
