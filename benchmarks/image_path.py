"""JPEG bytes to `pixel_values`: our image processor against transformers' (PIL backend), on one thread and on all.

    python benchmarks/image_path.py [FOLDER_OF_JPEGS] [--batch-size 16] [--rounds 10]

Both sides decode every image in every round and take turns within a round, so that a busy machine slows both equally.
The bound counts only Pillow's decoding and resizing on one thread, which both sides need for the same pixel values.
transformers' processor uses one thread; ours resizes on torch's threads. We compare pixel values first and assert
nothing about time.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from transformers import BlipImageProcessorPil

from processing_mblip import MBlipImageProcessor

SIZE = {"height": 224, "width": 224}


def read_jpegs(folder: Path | None, num_drawn: int) -> list[bytes]:
    """The JPEG files in a folder and below; without a folder, drawn ones of COCO's usual size, 640 x 480."""
    if folder is None:
        return [draw_jpeg(i) for i in range(num_drawn)]
    jpegs = [path.read_bytes() for path in sorted(folder.rglob("*.jpg"))]
    if not jpegs:
        raise SystemExit(f"{folder} holds no .jpg file. Give a folder of photos, or none to have images drawn.")
    return jpegs


def draw_jpeg(seed: int) -> bytes:
    noise = Image.effect_noise((80, 60), 40 + seed % 40).resize((640, 480), Image.Resampling.BICUBIC)
    gradient = Image.linear_gradient("L").resize((640, 480)).rotate(seed * 37)
    buffer = io.BytesIO()
    Image.merge("RGB", (noise, gradient, noise.transpose(Image.Transpose.FLIP_LEFT_RIGHT))).save(
        buffer, "JPEG", quality=85
    )
    return buffer.getvalue()


def milliseconds_per_image(
    jpegs: list[bytes], batch_size: int, sides: dict[str, Callable[[list[bytes]], object]]
) -> dict[str, float]:
    """One round over all images; the sides take turns batch by batch."""
    seconds = dict.fromkeys(sides, 0.0)
    for i in range(0, len(jpegs), batch_size):
        for name, process in sides.items():
            start = time.perf_counter()
            process(jpegs[i : i + batch_size])
            seconds[name] += time.perf_counter() - start
    return {name: value * 1000 / len(jpegs) for name, value in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="JPEG files; by default drawn images")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    ours, theirs = MBlipImageProcessor(size=SIZE), BlipImageProcessorPil(size=SIZE)

    def run_ours(batch: list[bytes]) -> torch.Tensor:
        return ours(batch, return_tensors="pt")["pixel_values"]

    def run_theirs(batch: list[bytes]) -> torch.Tensor:
        return theirs([Image.open(io.BytesIO(jpeg)) for jpeg in batch], return_tensors="pt")["pixel_values"]

    def run_pillow_alone(batch: list[bytes]) -> list[Image.Image]:
        return [Image.open(io.BytesIO(jpeg)).resize((224, 224), Image.Resampling.BICUBIC) for jpeg in batch]

    jpegs = read_jpegs(arguments.folder, num_drawn=64)
    difference = (run_ours(jpegs) - run_theirs(jpegs)).abs().max().item()
    sides = {"ours": run_ours, "theirs": run_theirs, "pillow": run_pillow_alone}
    print(f"{len(jpegs)} JPEGs, batches of {arguments.batch_size}, median of {arguments.rounds} rounds, ms per image")
    print(f"{'threads':>7} {'ours':>8} {'theirs':>8} {'ratio':>6} {'bound':>6} {'largest difference':>20}")
    for num_threads in sorted({1, torch.get_num_threads()}):
        torch.set_num_threads(num_threads)
        rounds = [milliseconds_per_image(jpegs, arguments.batch_size, sides) for _ in range(arguments.rounds)]
        median = {name: statistics.median(times[name] for times in rounds) for name in sides}
        ratio, bound = median["theirs"] / median["ours"], median["theirs"] / median["pillow"]
        times = f"{median['ours']:8.3f} {median['theirs']:8.3f}"
        print(f"{num_threads:7} {times} {ratio:6.2f} {bound:6.2f} {difference:20.1e}")


if __name__ == "__main__":
    main()
