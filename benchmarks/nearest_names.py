"""ImageNet's classes in order of their similarity to each photo, for the hard options of `babel_imagenet_mc`.

    python benchmarks/nearest_names.py --photos imagenet/val --labels babel_imagenet.json --out nearest.jsonl

One JSON line for each photo: its name, and the indices of all classes with an English label, the most similar to the
photo first. The similarity is that of CLIP between the photo and "an image of a LABEL". Prompt and model are those of
`generate_options_idx` in gregor-ge/FOCI-Benchmark; its English labels are another list than Babel-ImageNet's.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoModel, AutoProcessor

from mblip.atomic_write import write_text
from mblip.data.sources.babel_imagenet import BabelImageNet


def nearest_names(read: BabelImageNet, model: str, batch_size: int) -> Iterator[dict[str, object]]:
    """The classes of each photo, the most similar first."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    clip, processor = AutoModel.from_pretrained(model).to(device).eval(), AutoProcessor.from_pretrained(model)
    classes, names = zip(*read.labels["en"].items(), strict=True)
    texts = [f"an image of a {name}" for name in names]
    for start in range(0, len(read.photos), batch_size):
        photos = read.photos[start : start + batch_size]
        images = [Image.open(photo.path).convert("RGB") for photo in photos]
        inputs = processor(text=texts, images=images, return_tensors="pt", padding=True).to(device)
        with torch.inference_mode():
            order = clip(**inputs).logits_per_image.argsort(dim=1, descending=True, stable=True)
        for photo, positions in zip(photos, order.tolist(), strict=True):
            yield {"photo": photo.stem, "classes": [classes[i] for i in positions]}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="laion/CLIP-ViT-L-14-laion2B-s32B-b82K")
    parser.add_argument("--batch_size", type=int, default=64)
    given = parser.parse_args(arguments)
    read = BabelImageNet.read(given.photos, given.labels, languages=("en",))
    lines = [json.dumps(line) for line in nearest_names(read, given.model, given.batch_size)]
    write_text(given.out, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
