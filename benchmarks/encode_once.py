"""A training step from features of `mblip encode`: against encoding its images on the fly, with our model alone.

    python benchmarks/encode_once.py [--language-model bloomz-7b1] [--device cuda]

Both sides start from the JPEG files of the images. One reads their features, memory-mapped, and the other decodes and
encodes them. Then come forward, backward and AdamW. A re-alignment reads the image encoder's output, a warm-up the
Q-Former's. A prompt has 16 tokens besides its image, and a target has 24, as in training_step.py. An epoch is such
steps, so the ratio is that of epochs. The bound is that of the floating-point operations.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from flop_counts import count_flops
from image_path import draw_jpeg
from model_pair import ModelPair, add_pair_arguments, build_pair, chosen_dtype, chosen_shape
from paired_inputs import ask
from re_alignment import NUM_TARGETS, NUM_TOKENS, make_optimizer, train_as_in_re_alignment, training_step
from side_by_side import print_heading, time_in_turns

from mblip.data.features import FeatureInput, FeatureSet, FeatureWriter, begin_set, finish_set, image_key
from mblip.data.images import open_image
from processing_mblip import MBlipImageProcessor


def pixel_values_of(pair: ModelPair, jpegs: list[bytes]) -> torch.Tensor:
    size = dict.fromkeys(("height", "width"), pair.shape.vision["image_size"])
    images = [open_image(jpeg, name="a drawn image") for jpeg in jpegs]
    pixels = MBlipImageProcessor(size=size)(images, return_tensors="pt")["pixel_values"]
    return pixels.to(pair.device, pair.theirs.dtype)


@torch.no_grad()
def encode(pair: ModelPair, name: FeatureInput, jpegs: list[bytes], folder: Path) -> FeatureSet:
    """The features of the images, written and opened."""
    features = pair.ours.encode_vision(pixel_values_of(pair, jpegs))
    if name == "query_features":
        features = pair.ours.query_images(features)
    identity = {"input": name, "augmentations": None}
    begin_set(folder, identity, files=[])
    with FeatureWriter(folder, features[0].nbytes) as writer:
        writer.add([image_key(jpeg, name="") for jpeg in jpegs], features.cpu())
    finish_set(folder)
    print(f"{name}: {features[0].nbytes:,} bytes an image, {tuple(features[0].shape)} in {features.dtype}")
    return FeatureSet(folder, identity)


def compare_steps(
    pair: ModelPair, stored: FeatureSet, jpegs: list[bytes], prompts_per_image: int, rounds: int, what: str
) -> None:
    """Time a step of each side in turns, and print the row."""
    optimizer = make_optimizer(pair)
    inputs = ask(pair, len(jpegs), prompts_per_image, NUM_TOKENS, NUM_TARGETS).ours
    del inputs["pixel_values"]

    def step(images: Callable[[], dict[str, torch.Tensor]]) -> Callable[[], None]:
        return lambda: training_step(pair.ours, inputs | images(), optimizer)()

    def read() -> dict[str, torch.Tensor]:
        keys = [image_key(jpeg, name="") for jpeg in jpegs]
        return {stored.input: stored.read(keys, [""] * len(keys)).to(pair.device)}

    from_features, on_the_fly = step(read), step(lambda: {"pixel_values": pixel_values_of(pair, jpegs)})
    with torch.no_grad():
        losses = [
            pair.ours(**inputs, **images).loss.item()
            for images in (read(), {"pixel_values": pixel_values_of(pair, jpegs)})
        ]
    bound = count_flops(on_the_fly) / count_flops(from_features)
    ours, theirs = time_in_turns(from_features, on_the_fly, rounds, pair.device)
    ratios = [each / mine for mine, each in zip(ours, theirs, strict=True)]
    print(
        f"{what}, {prompts_per_image} per image: {statistics.median(ours):.3f} s from features, "
        f"{statistics.median(theirs):.3f} s on the fly, ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f}-{max(ratios):.2f}), bound {bound:.2f}; losses differ by {abs(losses[0] - losses[1]):.0e}"
    )


def main(command_line: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_pair_arguments(parser)
    parser.add_argument("--prompts", type=int, default=16, help="of a step, a multiple of 4")
    arguments = parser.parse_args(command_line)
    pair = build_pair(chosen_shape(arguments), arguments.device, chosen_dtype(arguments))
    jpegs = [draw_jpeg(seed) for seed in range(arguments.prompts)]
    print_heading("Training from features", pair, arguments.rounds)
    with tempfile.TemporaryDirectory() as folder:
        names: tuple[FeatureInput, ...] = ("query_features", "vision_features")
        stored = {name: encode(pair, name, jpegs, Path(folder, name)) for name in names}
        pair.theirs.language_projection.requires_grad_(True)
        pair.ours.train()
        for what, name in (("warm-up", "query_features"), ("re-alignment", "vision_features")):
            if what == "re-alignment":
                train_as_in_re_alignment(pair)
            for prompts_per_image in (4, 1):
                used = jpegs[: arguments.prompts // prompts_per_image]
                compare_steps(
                    pair,
                    stored[name],
                    used,
                    prompts_per_image,
                    arguments.rounds,
                    f"{what}, {arguments.prompts} prompts",
                )


if __name__ == "__main__":
    main()
