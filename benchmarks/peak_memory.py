"""Measures the peak memory of a step above the memory in use before it.

On CUDA we ask torch's allocator. On a CPU we read the high-water mark of the resident set (VmHWM of /proc/self/status)
and reset it by writing to /proc/self/clear_refs, so this needs Linux. malloc keeps pages after a `free`, which would
hide the memory of a step. `run_alone` therefore starts a process in which every block from 64 KiB on comes from the
kernel and returns to it at once.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

PRESENT_SIZE, HIGHEST_SIZE = "VmRSS", "VmHWM"
RETURN_MEMORY_AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}


def peak_megabytes(step: Callable[[], object], device: torch.device) -> float:
    """Megabytes (10^6 bytes) that one run of `step` takes at its highest, above what was taken before."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        return (torch.cuda.max_memory_allocated(device) - before) / 1e6
    Path("/proc/self/clear_refs").write_text("5")
    before = status_bytes(PRESENT_SIZE)
    step()
    return (status_bytes(HIGHEST_SIZE) - before) / 1e6


def status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise ValueError(f"/proc/self/status has no {field}: this kernel does not report the memory of a process.")


def run_alone(script: Path, arguments: Sequence[str]) -> str:
    """What a script prints in a process of its own, where freed memory returns to the kernel at once."""
    finished = subprocess.run(
        [sys.executable, str(script), *arguments],
        env=os.environ | RETURN_MEMORY_AT_ONCE,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return finished.stdout
