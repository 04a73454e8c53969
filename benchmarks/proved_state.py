"""What it costs to prove state: the digests of a checkpoint beside its save, and the digest of a model's weights.

    python benchmarks/proved_state.py [FOLDER] [--megabytes 400] [--rounds 9]

A save writes trained parameters (safetensors) and AdamW's two moments (torch.save), and syncs them to FOLDER's disk.
Saves with and without our manifest (xxh3_128, read while the disk writes) take turns. Beside them: SHA-256 of the
files, the check of a checkpoint before a resume, and `digest_weights`, which an evaluation calls before it takes up
partial answers. The table has the fastest rounds, which other work on the machine disturbs least.
"""

import argparse
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from mblip import atomic_write
from mblip.evaluation.run_identity import digest_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="where to write; default: a temporary folder")
    parser.add_argument("--megabytes", type=int, default=400, help="of one checkpoint")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    parts = {name: torch.randn(given.megabytes * 10**6 // 12) for name in ("trained", "exp_avg", "exp_avg_sq")}
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        rounds = [measure(Path(name) / "checkpoint-1", parts) for _ in range(given.rounds)]
    fastest = {what: min(each[what] for each in rounds) for what in rounds[0]}
    for what, seconds in fastest.items():
        share = f"{seconds / fastest['save']:6.1%} of the save, {given.megabytes / 1000 / seconds:5.1f} GB/s"
        print(f"{what:<24}{seconds:8.3f} s  {share}")


def measure(folder: Path, parts: dict[str, torch.Tensor]) -> dict[str, float]:
    """Seconds of one save and of each proof."""
    model = nn.ParameterDict(parts)

    files = [folder / "trained.safetensors", folder / "optimizer.pt"]

    def save(is_sealed: bool) -> None:
        save_file({"trained": parts["trained"]}, files[0])
        torch.save([parts["exp_avg"], parts["exp_avg_sq"]], files[1])
        if is_sealed:
            atomic_write.write_manifest(folder)
        else:
            atomic_write.sync_tree(folder)

    seconds = {}
    for what, is_sealed in (("save", False), ("save with digests", True)):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        seconds[what] = timed(lambda is_sealed=is_sealed: save(is_sealed))
    return seconds | {
        "SHA-256 of the files": timed(lambda: [hash_file(path) for path in files]),
        "check of the checkpoint": timed(lambda: atomic_write.find_damage(folder)),
        "digest_weights": timed(lambda: digest_weights(model)),
    }


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
