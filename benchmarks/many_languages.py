"""Captions of the same images in 36 languages: our model against transformers' BLIP-2, batched on both sides.

    python benchmarks/many_languages.py [--images 1] [--language-model bloomz-7b1] [--device cuda]

We decode greedily with 20 forced tokens, and with 5 beams and 50 tokens, as for XM3600. The reference encodes an image
once per prompt, because it cannot batch prompts in another way; ours encodes it once.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch
from flop_counts import count_part_flops
from model_pair import ModelPair, add_pair_arguments, build_pair, chosen_dtype, chosen_shape
from paired_inputs import PairedInputs, ask
from peak_memory import peak_megabytes
from side_by_side import Comparison, compare, print_columns, print_heading, print_row

NUM_LANGUAGES = 36
NUM_TOKENS = 8  # "Caption in {Language}: "
MODES = {
    "greedy, 20 tokens": {"min_new_tokens": 20, "max_new_tokens": 20},
    "5 beams, 50 tokens": {"min_new_tokens": 50, "max_new_tokens": 50, "num_beams": 5},
}


def generation(model: Any, inputs: dict[str, torch.Tensor], decoding: dict[str, int]) -> Callable[[], torch.Tensor]:
    """A run of `generate`, to be called again and again."""
    return lambda: model.generate(**inputs, **decoding, do_sample=False)


def equal_rows(ours: torch.Tensor, theirs: torch.Tensor) -> str:
    """How many prompts got the very same tokens."""
    theirs = theirs[:, -ours.shape[1] :]
    return f"{int((ours == theirs).all(dim=1).sum())} of {len(ours)} texts equal"


def compare_mode(pair: ModelPair, inputs: PairedInputs, name: str, rounds: int) -> Comparison:
    """One generation mode of each side in turns."""
    ours = generation(pair.ours, inputs.ours, MODES[name])
    theirs = generation(pair.theirs, inputs.theirs, MODES[name])
    outputs: dict[str, torch.Tensor] = {}
    flops = count_part_flops(pair.theirs, inputs.theirs["pixel_values"], lambda: outputs.update(theirs=theirs()))
    outputs["ours"] = ours()
    print(flops.describe(inputs.num_prompts))
    return compare(
        f"{inputs.num_prompts} prompts, {name}",
        ours,
        theirs,
        flops=flops,
        bound=flops.bound(inputs.image_share),
        agreement=equal_rows(outputs["ours"], outputs["theirs"]),
        rounds=rounds,
        device=pair.device,
    )


def main(command_line: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_pair_arguments(parser)
    parser.add_argument("--images", type=int, default=1, help="each asked in all languages in one batch")
    parser.add_argument("--decoding", choices=list(MODES), nargs="*", default=list(MODES))
    arguments = parser.parse_args(command_line)
    pair = build_pair(chosen_shape(arguments), arguments.device, chosen_dtype(arguments))
    inputs = ask(pair, arguments.images, NUM_LANGUAGES, NUM_TOKENS)
    print_heading(f"{NUM_LANGUAGES} languages", pair, arguments.rounds)
    for name in arguments.decoding:
        row = compare_mode(pair, inputs, name, arguments.rounds)
        print_columns()
        print_row(row, pair.device)
        if pair.device.type == "cuda":
            print_peak_vram(pair, inputs, MODES[name])


def print_peak_vram(pair: ModelPair, inputs: PairedInputs, decoding: dict[str, int]) -> None:
    ours = peak_megabytes(generation(pair.ours, inputs.ours, decoding), pair.device)
    theirs = peak_megabytes(generation(pair.theirs, inputs.theirs, decoding), pair.device)
    print(f"peak VRAM above the weights: {ours:,.0f} MB ours, {theirs:,.0f} MB theirs")


if __name__ == "__main__":
    main()
