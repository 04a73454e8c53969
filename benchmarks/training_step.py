"""A step of re-alignment: our model against transformers' BLIP-2, with 4 prompts per image and with 1.

    python benchmarks/training_step.py [--language-model bloomz-7b1] [--device cuda]

A step is forward, backward and AdamW. Q-Former, query tokens, projection and LoRA on the language model train; the ViT
is frozen and nothing is checkpointed. A prompt has 16 tokens besides its image, and a target has 24. For mT0-XL this
gives ViT : Q-Former : language model : head = 0.52 : 0.04 : 0.4 : 0.05 TFLOP. The script prints the counts of the
shape that it runs.
"""

import argparse
from collections.abc import Callable

import torch
from flop_counts import FULL_MODEL_TFLOP, count_part_flops
from model_pair import ModelPair, add_pair_arguments, build_pair, chosen_dtype, chosen_shape
from paired_inputs import PairedInputs, ask
from peak_memory import peak_megabytes
from peft import LoraConfig, inject_adapter_in_model
from side_by_side import Comparison, compare, print_columns, print_heading, print_row
from torch.optim import Optimizer

from mblip.training.trainable import linear_layers

NUM_TOKENS, NUM_TARGETS = 16, 24  # of a prompt beside its image, and of what is to be learnt


def train_as_in_re_alignment(pair: ModelPair) -> None:
    """Q-Former, query tokens, projection and LoRA on the language model train, the ViT is frozen, on both sides."""
    lora = LoraConfig(r=8, lora_alpha=16, target_modules=list(linear_layers(pair.ours)))
    inject_adapter_in_model(lora, pair.ours)
    for module in (pair.theirs.qformer, pair.theirs.language_projection):
        module.requires_grad_(True)
    pair.theirs.query_tokens.requires_grad_(True)
    pair.ours.train()
    pair.theirs.train()


def make_optimizer(pair: ModelPair) -> Optimizer:
    """One for both sides, as they share what trains."""
    trained = [parameter for parameter in pair.theirs.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(trained, lr=1e-5, fused=True)


def training_step(model: torch.nn.Module, inputs: dict[str, torch.Tensor], optimizer: Optimizer) -> Callable[[], None]:
    """Forward, backward and the optimizer's step, to be called again and again."""

    def step() -> None:
        model(**inputs).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def loss_difference(pair: ModelPair, inputs: PairedInputs) -> str:
    """How far the two losses are apart, as a share of the reference's."""
    with torch.no_grad():
        ours, theirs = pair.ours(**inputs.ours).loss.item(), pair.theirs(**inputs.theirs).loss.item()
    return f"losses differ by {abs(ours - theirs) / abs(theirs):.0e}"


def compare_steps(
    pair: ModelPair, optimizer: Optimizer, num_images: int, prompts_per_image: int, rounds: int
) -> Comparison:
    """One step of each side in turns, over the same prompts and images."""
    inputs = ask(pair, num_images, prompts_per_image, NUM_TOKENS, NUM_TARGETS)
    ours = training_step(pair.ours, inputs.ours, optimizer)
    theirs = training_step(pair.theirs, inputs.theirs, optimizer)
    agreement = loss_difference(pair, inputs)
    flops = count_part_flops(pair.theirs, inputs.theirs["pixel_values"], theirs)
    print(f"{flops.describe(inputs.num_prompts)} (full mT0-XL: {FULL_MODEL_TFLOP})")
    return compare(
        f"{inputs.num_prompts} prompts, {prompts_per_image} per image",
        ours,
        theirs,
        flops=flops,
        bound=flops.bound(inputs.image_share, inputs.label_share),
        agreement=agreement,
        rounds=rounds,
        device=pair.device,
    )


def print_peak_vram(pair: ModelPair, optimizer: Optimizer, num_images: int, prompts_per_image: int) -> None:
    inputs = ask(pair, num_images, prompts_per_image, NUM_TOKENS, NUM_TARGETS)
    ours = peak_megabytes(training_step(pair.ours, inputs.ours, optimizer), pair.device)
    theirs = peak_megabytes(training_step(pair.theirs, inputs.theirs, optimizer), pair.device)
    print(f"peak VRAM above weights and optimizer: {ours:,.0f} MB ours, {theirs:,.0f} MB theirs")


def main(command_line: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_pair_arguments(parser)
    parser.add_argument("--prompts", type=int, default=16, help="of a step, a multiple of 4")
    arguments = parser.parse_args(command_line)
    pair = build_pair(chosen_shape(arguments), arguments.device, chosen_dtype(arguments))
    train_as_in_re_alignment(pair)
    optimizer = make_optimizer(pair)
    print_heading("Training step", pair, arguments.rounds)
    for prompts_per_image in (4, 1):
        num_images = arguments.prompts // prompts_per_image
        row = compare_steps(pair, optimizer, num_images, prompts_per_image, arguments.rounds)
        print_columns()
        print_row(row, pair.device)
        if pair.device.type == "cuda":
            print_peak_vram(pair, optimizer, num_images, prompts_per_image)


if __name__ == "__main__":
    main()
