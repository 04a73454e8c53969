"""Times two sides in turns within one run, and prints a table of both.

A busy machine slows both equally, so the ratio is reliable even if the seconds are not. With `OMP_NUM_THREADS=1` we
count CPU seconds, which other work on the machine changes least.
"""

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from flop_counts import PartFlops, count_flops
from model_pair import ModelPair

# Dense bf16 products, TFLOP/s, of the SXM boards.
PEAK_TFLOPS = {"A100": 312, "H100": 989, "H200": 989}


@dataclass(frozen=True)
class Comparison:
    """One row of a table: seconds of every round, and floating-point operations of one."""

    what: str
    ours_seconds: tuple[float, ...]
    theirs_seconds: tuple[float, ...]
    bound: float
    ours_flops: int
    theirs_flops: int
    agreement: str

    @property
    def ratios(self) -> list[float]:
        """The reference's time over ours, round by round."""
        return [theirs / ours for ours, theirs in zip(self.ours_seconds, self.theirs_seconds, strict=True)]


def time_in_turns(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int, device: torch.device
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The seconds of every round. The sides alternate in starting a round."""
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    sides = [("ours", ours), ("theirs", theirs)]
    for _ in range(rounds):
        for name, run in sides:
            start = seconds_now(device)
            run()
            seconds[name].append(seconds_now(device) - start)
        sides.reverse()
    return tuple(seconds["ours"]), tuple(seconds["theirs"])


def seconds_now(device: torch.device) -> float:
    """Of the wall clock, after all work on the device; with a single CPU thread those of the CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif torch.get_num_threads() == 1:
        return time.process_time()
    return time.perf_counter()


def compare(
    what: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    flops: PartFlops,
    bound: float,
    agreement: str,
    rounds: int,
    device: torch.device,
) -> Comparison:
    """Count ours, which warms it up as counting `flops` did the reference, and time both."""
    ours_flops = count_flops(ours)
    ours_seconds, theirs_seconds = time_in_turns(ours, theirs, rounds, device)
    return Comparison(what, ours_seconds, theirs_seconds, bound, ours_flops, flops.total, agreement)


def print_heading(title: str, pair: ModelPair, rounds: int) -> None:
    """What runs, on what."""
    dtype = str(pair.theirs.dtype).removeprefix("torch.")
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    print(f"{title}: {pair.shape.describe()}; {dtype}")
    print(f"{machine(pair.device)}, {versions}, median of {rounds} rounds")


def machine(device: torch.device) -> str:
    """The processor, and how many threads of it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    known = Path("/proc/cpuinfo")  # of Linux
    lines = known.read_text().splitlines() if known.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    num_threads = torch.get_num_threads()
    unit = "1 thread, CPU seconds" if num_threads == 1 else f"{num_threads} threads"
    return f"{names[0] if names else platform.processor()}, {unit}"


def print_columns() -> None:
    print(
        f"{'':34} {'ours s':>8} {'theirs s':>8} {'ratio':>6} {'(range)':>13} {'bound':>6} {'of bound':>8} "
        f"{'GFLOP ours':>10} {'theirs':>8}  agreement"
    )


def print_row(row: Comparison, device: torch.device) -> None:
    """Medians over the rounds, the ratio with its range; on CUDA also the share of the peak that each side reaches."""
    ours, theirs, ratio = (statistics.median(each) for each in (row.ours_seconds, row.theirs_seconds, row.ratios))
    spread = f"({min(row.ratios):.2f}-{max(row.ratios):.2f})"
    print(
        f"{row.what:34} {ours:8.3f} {theirs:8.3f} {ratio:6.2f} {spread:>13} {row.bound:6.2f} {ratio / row.bound:8.0%} "
        f"{row.ours_flops / 1e9:10,.1f} {row.theirs_flops / 1e9:8,.1f}  {row.agreement}"
    )
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        print(
            f"MFU on {name}: {_mfu(row.ours_flops / ours, name)} ours, {_mfu(row.theirs_flops / theirs, name)} theirs"
        )


def _mfu(flops_per_second: float, device_name: str) -> str:
    """Model FLOPs utilisation in bf16; without a known peak, TFLOP/s."""
    tflops = flops_per_second / 1e12
    for known, peak in PEAK_TFLOPS.items():
        if known in device_name:
            return f"{tflops / peak:.1%} ({tflops:,.0f} of {peak} TFLOP/s)"
    return f"{tflops:,.0f} TFLOP/s (its peak is not listed)"
