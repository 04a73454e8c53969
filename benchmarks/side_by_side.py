"""Two sides timed in turns, their floating-point operations counted, and the table that both give.

The bound is the ratio that counting operations allows: the reference's, part by part, over what of them is left once
every distinct image is encoded once and logits exist only where a label stands. Bytes moved and operations too small
to keep a core busy cost time that no count sees, so a ratio may stay below its bound, or go beyond it.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import transformers
from model_pair import ModelPair
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count
from transformers import Blip2ForConditionalGeneration

# Dense bf16 products, TFLOP/s, from NVIDIA's data sheets.
PEAK_TFLOPS = {"A100": 312, "H100": 989, "H200": 989}
FULL_MODEL_TFLOP = "0.52 : 0.04 : 0.4 : 0.05"


@dataclass(frozen=True)
class PartFlops:
    """Floating-point operations of one run of the reference; the language model without its head."""

    vision: int
    qformer: int
    language_model: int
    head: int

    @property
    def total(self) -> int:
        return self.vision + self.qformer + self.language_model + self.head

    def bound(self, image_share: float, label_share: float = 1.0) -> float:
        """The ratio that is left if only these shares of the images and of the head's rows are computed."""
        images = self.vision + self.qformer
        return self.total / (images * image_share + self.language_model + self.head * label_share)

    def describe(self, num_prompts: int) -> str:
        """The parts in TFLOP per prompt, and scaled to the full ViT's 0.52."""
        parts = (self.vision, self.qformer, self.language_model, self.head)
        each = " : ".join(f"{part / num_prompts / 1e12:.4f}" for part in parts)
        scaled = " : ".join(f"{0.52 * part / self.vision:.2f}" for part in parts)
        return f"ViT : Q-Former : language model : head = {each} TFLOP a prompt, as {scaled}"


@dataclass(frozen=True)
class Comparison:
    """One row of a table; seconds are medians over the rounds, the ratio the median of the rounds' ratios."""

    what: str
    ours_seconds: float
    theirs_seconds: float
    ratio: float
    bound: float
    ours_tflop: float
    theirs_tflop: float
    agreement: str


def _attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(
    gradient: torch.Size, query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object
) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


# torch counts the attention kernels of CUDA by itself; these are the CPU's.
CPU_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}


def count_flops(run: Callable[[], object]) -> float:
    """TFLOP of one run."""
    with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
        run()
    return counter.get_total_flops() / 1e12


def count_part_flops(model: Blip2ForConditionalGeneration, run: Callable[[], object]) -> PartFlops:
    """The reference's operations by part, of its backward pass as well if `run` has one."""
    with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
        run()
    by_module = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    name = type(model).__name__
    text = f"{name}.language_model" if f"{name}.language_model" in by_module else type(model.language_model).__name__
    vision = by_module.get(f"{name}.vision_model") or by_module[type(model.vision_model).__name__]
    head = by_module[f"{text}.lm_head"]
    language_model = by_module[text] - head
    total = counter.get_total_flops()
    # The projection belongs to the Q-Former: both are computed once per image.
    return PartFlops(vision, total - vision - language_model - head, language_model, head)


def time_in_turns(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int, device: torch.device
) -> tuple[list[float], list[float]]:
    """Seconds of every round; who begins changes from round to round."""
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    sides = [("ours", ours), ("theirs", theirs)]
    for _ in range(rounds):
        for name, run in sides:
            seconds[name].append(_seconds(run, device))
        sides.reverse()
    return seconds["ours"], seconds["theirs"]


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


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
    ours_tflop = count_flops(ours)
    ours_seconds, theirs_seconds = time_in_turns(ours, theirs, rounds, device)
    return Comparison(
        what,
        statistics.median(ours_seconds),
        statistics.median(theirs_seconds),
        statistics.median(b / a for a, b in zip(ours_seconds, theirs_seconds, strict=True)),
        bound,
        ours_tflop,
        flops.total / 1e12,
        agreement,
    )


def print_heading(title: str, pair: ModelPair, rounds: int) -> None:
    """What runs, on what."""
    device, dtype = pair.device, str(pair.theirs.dtype).removeprefix("torch.")
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    print(f"{title}: {pair.shape.describe()}; {dtype}")
    print(f"{where}, torch {torch.__version__}, transformers {transformers.__version__}, median of {rounds} rounds")


def print_columns() -> None:
    print(
        f"{'':34} {'ours s':>8} {'theirs s':>8} {'ratio':>6} {'bound':>6} {'of bound':>8} "
        f"{'ours TFLOP/s':>13} {'theirs':>7}  agreement"
    )


def print_row(row: Comparison, device: torch.device) -> None:
    """One comparison; on a known GPU with the share of its peak (MFU) that each side reaches."""
    speeds = row.ours_tflop / row.ours_seconds, row.theirs_tflop / row.theirs_seconds
    print(
        f"{row.what:34} {row.ours_seconds:8.3f} {row.theirs_seconds:8.3f} {row.ratio:6.2f} {row.bound:6.2f} "
        f"{row.ratio / row.bound:8.0%} {speeds[0]:13.3f} {speeds[1]:7.3f}  {row.agreement}"
    )
    print(f"{'':34} counted: {row.ours_tflop:.3f} TFLOP ours, {row.theirs_tflop:.3f} theirs{_mfu(speeds, device)}")


def _mfu(speeds: tuple[float, float], device: torch.device) -> str:
    if device.type != "cuda":
        return ""
    name = torch.cuda.get_device_name(device)
    peaks = [peak for known, peak in PEAK_TFLOPS.items() if known in name]
    if not peaks:
        return f"; no MFU, as the peak of {name} is not listed"
    return f"; MFU {speeds[0] / peaks[0]:.1%} ours, {speeds[1] / peaks[0]:.1%} theirs of {peaks[0]} TFLOP/s"
