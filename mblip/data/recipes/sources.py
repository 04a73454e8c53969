"""What a recipe's `data.sources` may name: functions from a seed and the recipe's arguments to examples.

A function's keyword parameters, with their types, are the keys that a recipe may say. `seed` is the recipe's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import datasets

from mblip.mix.filters.hard_negatives import retrieve_negatives
from mblip.mix.filters.nearest_captions import SearchEngine
from mblip.mix.filters.negatives import Negatives, RandomNegatives
from mblip.mix.sources.matching import read_matching

from ..example import Example
from ..left_out import LeftOut
from ..sources.babel_imagenet import BabelImageNet, HoldOut
from .source_arguments import LanguageCode, counted_once
from .source_recipes import Source


def babel_imagenet(
    seed: int,
    left_out: LeftOut,
    *,
    photos: Path,
    labels: Path,
    languages: tuple[LanguageCode, ...] | None = None,
    split: Literal["train", "held_out"] = "train",
    held_out_share: float = 0.1,
    held_out_by_language: bool = True,
    held_out_seed: int = 0,
    tasks: tuple[Literal["image_naming", "image_deciding"], ...] = (
        "image_naming",
        "image_deciding",
    ),
    rounds: int | None = None,
    as_released: bool = False,
) -> Iterator[Example]:
    """Photos of a folder with the names that a Babel-ImageNet label file gives their classes.

    `held_out_seed` is not the training's seed, so that every run holds out the same names. `rounds` takes so many
    photos of each class in each language; `as_released` lets a wrong name be the right one.
    """
    hold_out = HoldOut(share=held_out_share, by_language=held_out_by_language, seed=held_out_seed)
    read = BabelImageNet.read(photos, labels, languages=languages)
    return read.examples(
        split,
        hold_out=hold_out,
        tasks=tasks,
        rounds=rounds,
        as_released=as_released,
        seed=seed,
        left_out=left_out,
    )


@dataclass(frozen=True)
class Embeddings:
    """Folders of embeddings (mblip/mix/filters/embeddings.py): of the captions, and of the images to be asked about;
    who searches in them, and where. A wrong caption is that of one of `ranks` or, with `random`, any one."""

    captions: Path
    images: Path
    ranks: tuple[int, ...] = (3, 10, 30, 100, 300)
    random: bool = True
    engine: SearchEngine = "torch"
    device: str = "cpu"


def matching(
    seed: int,
    left_out: LeftOut,
    *,
    captions: Source,
    embeddings: Embeddings | None = None,
    as_released: bool = False,
) -> Iterator[Example]:
    """Does a caption describe an image? Asked about the captions of another source and about wrong ones: captions of
    images that look alike, found by their embeddings, or without these captions of any other image."""
    read = counted_once(lambda counted: captions.examples(seed, counted), left_out)
    negatives: Negatives
    if embeddings is None:
        negatives = RandomNegatives(read(), seed=seed)
    else:
        negatives = retrieve_negatives(
            datasets.load_from_disk(embeddings.images),
            datasets.load_from_disk(embeddings.captions),
            seed=seed,
            ranks=(*embeddings.ranks, "random") if embeddings.random else embeddings.ranks,
            engine=embeddings.engine,
            device=embeddings.device,
            as_released=as_released,
        )
    return read_matching(read, negatives, seed=seed, as_released=as_released, left_out=left_out)
