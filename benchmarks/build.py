"""Building a mix: examples per second for each step, and memory as the mix grows.

    python benchmarks/build.py [--examples 10000 100000 1000000] [--examples-a-shard 10000]

The source is artificial and has the layout of the released mix: an array of {"context", "label", "image_id"}, with ten
prompts per image of 64 pixels. Reading (records to examples in shards) and building (examples to rows, with images
checked and stored as parquet) run one after the other, each in a separate process that is watched from outside
(watched_command.py). Time and peak anonymous memory are those above the imports. Steps below one second get no rate.
"""

import argparse
import json
import random
import tempfile
from pathlib import Path

import yaml
from PIL import Image
from watched_command import Watched, run_watched

PROMPTS_PER_IMAGE = 10
LANGUAGES = ("German", "Swahili", "Hindi", "Chinese", "Arabic")


def write_source(folder: Path, num_examples: int) -> None:
    """Images, and the JSON about them."""
    images = folder / "images"
    images.mkdir()
    draw = random.Random(0)
    with (folder / "mix.json").open("w", encoding="utf-8") as file:
        file.write("[")
        for number in range(num_examples):
            name = f"{number // PROMPTS_PER_IMAGE:07d}.jpg"
            if number % PROMPTS_PER_IMAGE == 0:
                colour = tuple(draw.randbytes(3))
                Image.new("RGB", (64, 64), colour).save(images / name)
            words = " ".join(draw.choice(("red", "small", "dog", "house", "tree", "sky")) for _ in range(8))
            record = {"context": f"Caption in {draw.choice(LANGUAGES)}: ", "label": words, "image_id": name}
            file.write(("," if number else "") + json.dumps(record))
        file.write("]")


def measure(num_examples: int, num_shards: int) -> tuple[Watched, Watched]:
    """Reading, and then building."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_source(folder, num_examples)
        source = {"source": "released_json", "path": str(folder / "mix.json"), "images": str(folder / "images")}
        (folder / "recipe.yaml").write_text(yaml.safe_dump({"sources": [source], "num_shards": num_shards}))
        command = ["-m", "mblip", "build", str(folder / "recipe.yaml"), "--output", str(folder / "out")]
        return run_watched([*command, "--tables_only"], []), run_watched(command, [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--examples-a-shard", type=int, default=10_000)
    arguments = parser.parse_args()
    imports = run_watched(["-c", "import mblip.mix.build.command"], [])
    print(f"imports: {imports.seconds:.1f} s, {imports.peak_anonymous_bytes / 1e6:.0f} MB\n")
    print("| examples | shards | step | examples/s | memory, MB |\n|---:|---:|---|---:|---:|")
    for num_examples in arguments.examples:
        num_shards = max(1, num_examples // arguments.examples_a_shard)
        for step, watched in zip(("reading", "building"), measure(num_examples, num_shards), strict=True):
            seconds = watched.seconds - imports.seconds
            rate = f"{num_examples / seconds:,.0f}" if seconds > 1 else "–"
            memory = (watched.peak_anonymous_bytes - imports.peak_anonymous_bytes) / 1e6
            print(f"| {num_examples:,} | {num_shards} | {step} | {rate} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
