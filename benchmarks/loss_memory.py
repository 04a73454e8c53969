"""Peak memory and time of the loss over the full vocabulary: our chunked loss against transformers' BLIP-2.

    python benchmarks/loss_memory.py [--language-model bloomz-7b1] [--device cuda]
    python benchmarks/loss_memory.py --label-tokens-per-chunk 64 96 128 192

We run a training step of a model with one layer of each component at its real width and the whole vocabulary of
250,112 tokens, so that the loss dominates. Memory is the step's peak above weights and optimizer (peak_memory.py): the
resident set on a CPU, in a separate process for each side, or the memory of torch's allocator on CUDA. There is no
bound for memory. The bound for time comes from the operations, as in the other benchmarks.

With `--label-tokens-per-chunk` we time the loss and its gradient alone, over mT0-XL's head, in chunks of these sizes.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import torch
from flop_counts import count_part_flops
from model_pair import ModelPair, add_pair_arguments, build_pair, chosen_dtype
from model_shapes import LANGUAGE_MODELS, Shape, cut_shape, toy_shape, with_full_vocabulary
from paired_inputs import PairedInputs, ask
from peak_memory import peak_megabytes, run_alone
from side_by_side import compare, machine, print_columns, print_heading, print_row, seconds_now
from torch import nn
from training_step import (
    NUM_TARGETS,
    NUM_TOKENS,
    loss_difference,
    make_optimizer,
    train_as_in_re_alignment,
    training_step,
)

from modeling_mblip import label_loss

SIDES = ("ours", "theirs")


def loss_shape(arguments: argparse.Namespace) -> Shape:
    """One layer of everything under the full vocabulary."""
    if arguments.shape == "toy":
        return toy_shape(arguments.language_model)
    return with_full_vocabulary(cut_shape(arguments.language_model, 1), arguments.language_model)


def build(arguments: argparse.Namespace) -> tuple[ModelPair, PairedInputs]:
    pair = build_pair(loss_shape(arguments), arguments.device, chosen_dtype(arguments))
    train_as_in_re_alignment(pair)
    return pair, ask(pair, arguments.prompts // 4, 4, NUM_TOKENS, NUM_TARGETS)


def measure_side(arguments: argparse.Namespace) -> float:
    """Peak megabytes of one side's step; the step before it makes the optimizer's state and the libraries' buffers."""
    pair, inputs = build(arguments)
    side = arguments.memory_of
    step = training_step(getattr(pair, side), getattr(inputs, side), make_optimizer(pair))
    step()
    return peak_megabytes(step, pair.device)


def compare_times(arguments: argparse.Namespace) -> None:
    pair, inputs = build(arguments)
    optimizer = make_optimizer(pair)
    ours = training_step(pair.ours, inputs.ours, optimizer)
    theirs = training_step(pair.theirs, inputs.theirs, optimizer)
    agreement = loss_difference(pair, inputs)
    flops = count_part_flops(pair.theirs, inputs.theirs["pixel_values"], theirs)
    print_heading("Loss over the full vocabulary", pair, arguments.rounds)
    print(flops.describe(inputs.num_prompts))
    row = compare(
        f"{inputs.num_prompts} prompts, {int(inputs.label_share * inputs.theirs['labels'].numel())} label tokens",
        ours,
        theirs,
        flops=flops,
        bound=flops.bound(inputs.image_share, inputs.label_share),
        agreement=agreement,
        rounds=arguments.rounds,
        device=pair.device,
    )
    print_columns()
    print_row(row, pair.device)


def compare_chunks(sizes: Sequence[int], rounds: int, num_labels: int = 384) -> None:
    """The seconds of the loss over all tokens and of its gradient for the hidden states, by label tokens a chunk."""
    vocab_size, width = (LANGUAGE_MODELS["mt0-xl"][key] for key in ("vocab_size", "d_model"))
    head = torch.randn(vocab_size, width) * 0.02
    hidden = torch.randn(num_labels, width, requires_grad=True)
    labels = torch.randint(vocab_size, (num_labels,))

    def seconds(size: int) -> float:
        start = seconds_now(head.device)
        with mock.patch.object(label_loss, "NUM_LOGITS_PER_CHUNK_ON_CPU", size * vocab_size):
            loss = label_loss.label_loss_sum(hidden, labels, lambda h: nn.functional.linear(h, head), [], vocab_size)
        loss.backward()
        return seconds_now(head.device) - start

    found = [[seconds(size) for size in sizes] for _ in range(rounds + 1)][1:]  # the first warms up
    print(f"{num_labels} label tokens, width {width}, vocabulary {vocab_size:,}; {machine(head.device)}")
    for size, column in zip(sizes, zip(*found, strict=True), strict=True):
        print(f"{size:4} a chunk: {statistics.median(column):6.2f} s ({min(column):.2f} to {max(column):.2f})")


def main(command_line: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_pair_arguments(parser)
    parser.add_argument("--prompts", type=int, default=16, help="of a step, a multiple of 4")
    parser.add_argument("--memory-of", choices=SIDES, help="print the peak megabytes of one side and nothing else")
    parser.add_argument("--label-tokens-per-chunk", type=int, nargs="+", help="time the loss alone in such chunks")
    command_line = sys.argv[1:] if command_line is None else command_line
    arguments = parser.parse_args(command_line)
    if arguments.label_tokens_per_chunk:
        compare_chunks(arguments.label_tokens_per_chunk, arguments.rounds)
        return
    if arguments.memory_of:
        print(measure_side(arguments))
        return
    ours, theirs = (float(run_alone(Path(__file__), [*command_line, "--memory-of", side])) for side in SIDES)
    compare_times(arguments)
    print(f"peak memory: {ours:,.0f} MB ours, {theirs:,.0f} MB theirs, ratio {theirs / ours:.2f}")


if __name__ == "__main__":
    main()
