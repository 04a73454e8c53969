"""Lay out the photos: `python quickstart/photos/prepare.py [--data FOLDER] [--output outputs/photos]`.

Unpacks Tiny-ImageNet, and sets every tenth training photo of each class aside, for choosing settings: the validation
photos are for the final figures alone. docs/photos.md says where the files come from.
"""

import argparse
import shutil
import zipfile
from pathlib import Path

ASIDE_EVERY = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("outputs/photos"))
    arguments = parser.parse_args()
    prepare(
        arguments.data / "tiny_imagenet" / "tiny-imagenet-200.zip",
        arguments.data / "imagenet" / "imagenet_classes.json",
        arguments.output,
    )


def prepare(archive: Path, classes: Path, output: Path) -> None:
    """Write `train`, `aside`, `val`, and the two files that tell their classes and names."""
    output.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as published:
        published.extractall(output)
    unpacked = output / "tiny-imagenet-200"
    for part in ("train", "val"):
        shutil.rmtree(output / part, ignore_errors=True)
        (unpacked / part).rename(output / part)
    shutil.rmtree(output / "aside", ignore_errors=True)
    for images in sorted((output / "train").glob("n*/images")):
        aside = output / "aside" / images.parent.name
        aside.mkdir(parents=True)
        for photo in sorted(images.iterdir())[::ASIDE_EVERY]:
            photo.rename(aside / photo.name)
    shutil.copy(classes, output / "imagenet_classes.json")
    shutil.copy(unpacked / "words.txt", output)
    shutil.rmtree(unpacked)


if __name__ == "__main__":
    main()
