"""Where the time of a run goes, ours beside transformers' BLIP-2: by part of the model, and by kind of operation.

    python benchmarks/where_time_goes.py {loss,step,greedy,beams} [--vision-layers 3] [--language-model bloomz-7b1]

`loss` is the step of `loss_memory.py`, `step` that of `training_step.py` with 4 prompts an image, `greedy` and `beams`
the decoding of `many_languages.py`. Each side runs once to warm up, once with clocks at the parts, and once under
torch's profiler, which is slower. With `OMP_NUM_THREADS=1` the parts are measured in CPU seconds.

The bound by time is the reference's time over what is left of it with the image side as fast as ours is. It is below
the bound by operations (flop_counts.py) where the image side does more of them in a second than the language model.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import loss_memory
import torch
from many_languages import MODES, NUM_LANGUAGES, generation
from many_languages import NUM_TOKENS as NUM_PROMPT_TOKENS
from model_pair import ModelPair, add_pair_arguments, build_pair, chosen_dtype, chosen_shape
from paired_inputs import ask
from side_by_side import machine, seconds_now
from torch import nn
from torch.profiler import ProfilerActivity, profile
from training_step import NUM_TARGETS, NUM_TOKENS, make_optimizer, train_as_in_re_alignment, training_step

from modeling_mblip.label_loss import output_head

NUM_PROMPTS = 16
IMAGE_SIDE = ("image encoder", "Q-Former")
DECODING = {"greedy": "greedy, 20 tokens", "beams": "5 beams, 50 tokens"}
# The kind of an operation is the first whose word its name holds.
KINDS = {
    "matrix products": ("mm", "addmm", "bmm", "linear", "scaled_dot_product", "convolution"),
    "softmax and loss": ("softmax", "nll_loss", "exp", "gather", "scatter", "amax"),
    "reordering and gathering rows": ("index", "embedding", "repeat"),
    "copies and casts": ("copy_", "cat", "clone", "contiguous", "fill_", "zero_", "empty", "resize"),
    "optimizer": ("adam", "Optimizer"),
    "norms, activations, sums": ("aten::",),
}
Run = Callable[[], object]


def runs(pair: ModelPair, what: str) -> dict[str, Run]:
    """The same work on both sides, to be called again and again."""
    if what in DECODING:
        inputs = ask(pair, 1, NUM_LANGUAGES, NUM_PROMPT_TOKENS)
        decoding = MODES[DECODING[what]]
        return {side: generation(getattr(pair, side), getattr(inputs, side), decoding) for side in loss_memory.SIDES}
    train_as_in_re_alignment(pair)
    inputs, optimizer = ask(pair, NUM_PROMPTS // 4, 4, NUM_TOKENS, NUM_TARGETS), make_optimizer(pair)
    return {side: training_step(getattr(pair, side), getattr(inputs, side), optimizer) for side in loss_memory.SIDES}


def parts(model: Any) -> dict[str, nn.Module]:
    """The parts that take time, none within another."""
    language_model = model.language_model
    found = {"image encoder": model.vision_model, "Q-Former": model.qformer, "head": output_head(language_model)}
    if model.config.text_config.is_encoder_decoder:
        return found | {"encoder": language_model.get_encoder(), "decoder": language_model.get_decoder()}
    return found | {"decoder": language_model.base_model}


@contextmanager
def clocked(modules: dict[str, nn.Module], device: torch.device) -> Iterator[Counter[str]]:
    """In this context, sum up the seconds of the forward passes of these modules."""
    seconds: Counter[str] = Counter()
    with ExitStack() as hooks:
        for name, module in modules.items():
            # A list, because bound arguments of the two hooks must share the time of the start.
            start = [0.0]

            def begin(*_: Any, start: list[float] = start) -> None:
                start[0] = seconds_now(device)

            def end(*_: Any, start: list[float] = start, name: str = name) -> None:
                seconds[name] += seconds_now(device) - start[0]

            hooks.callback(module.register_forward_pre_hook(begin).remove)
            hooks.callback(module.register_forward_hook(end).remove)
        yield seconds


def seconds_by_part(model: Any, run: Run) -> Counter[str]:
    """Seconds of the forward passes; the rest is the backward pass, or what `generate` does beside the model."""
    with clocked(parts(model), model.device) as seconds:
        start = seconds_now(model.device)
        run()
        whole = seconds_now(model.device) - start
    seconds["the rest"] = whole - seconds.total()
    return seconds


def seconds_by_kind(run: Run) -> Counter[str]:
    """Seconds of the operations by kind; what no operation takes is Python's."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        start = time.perf_counter()
        run()
        whole = time.perf_counter() - start
    seconds: Counter[str] = Counter()
    for event in recorded.key_averages():
        kind = next((kind for kind, words in KINDS.items() if any(word in event.key for word in words)), None)
        if kind is not None:
            seconds[kind] += event.self_cpu_time_total / 1e6
    seconds["Python and the profiler"] = whole - seconds.total()
    return seconds


def print_table(title: str, ours: Counter[str], theirs: Counter[str]) -> None:
    print(f"{title:32} {'ours s':>8} {'share':>6} {'theirs s':>8} {'share':>6}")
    for name in sorted(ours | theirs, key=lambda name: -theirs[name]):
        shares = ours[name] / ours.total(), theirs[name] / theirs.total()
        print(f"{name:32} {ours[name]:8.3f} {shares[0]:6.1%} {theirs[name]:8.3f} {shares[1]:6.1%}")
    print(f"{'':32} {ours.total():8.3f} {'':6} {theirs.total():8.3f}")


def main(command_line: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["loss", "step", *DECODING])
    add_pair_arguments(parser)
    arguments = parser.parse_args(command_line)
    shape = loss_memory.loss_shape(arguments) if arguments.what == "loss" else chosen_shape(arguments)
    pair = build_pair(shape, arguments.device, chosen_dtype(arguments))
    both = runs(pair, arguments.what)
    for run in both.values():
        run()
    print(f"{arguments.what}: {pair.shape.describe()}; {machine(pair.device)}")
    ours, theirs = (seconds_by_part(getattr(pair, side), run) for side, run in both.items())
    print_table("part (forward)", ours, theirs)
    spared = sum(theirs[name] - ours[name] for name in IMAGE_SIDE)
    bound = theirs.total() / (theirs.total() - spared)
    print(f"ratio {theirs.total() / ours.total():.2f}, bound by time {bound:.2f}\n")
    print_table("kind of operation", *(seconds_by_kind(run) for run in both.values()))


if __name__ == "__main__":
    main()
