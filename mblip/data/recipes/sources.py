"""What a recipe's `data.sources` may name: functions from a seed and the recipe's arguments to examples.

To add a source, write the function and name it in `SOURCES`: its keyword parameters, with their types, are the keys
that a recipe may say. `seed` is the recipe's.
"""

from collections.abc import Callable, Iterator, Mapping
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
from ..scenes.languages import SCENE_LANGUAGES
from ..sources.babel_imagenet import BabelImageNet, HoldOut
from ..sources.scenes import read_scenes
from . import fine_tuning_sources, mix_sources
from .source_arguments import LanguageCode, NestedSource, counted_once, reports_left_out

__all__ = ["SOURCES", "LanguageCode", "Source"]


@reports_left_out
def scenes(
    seed: int,
    left_out: LeftOut,
    *,
    num_images: int,
    languages: tuple[LanguageCode, ...] = tuple(map(LanguageCode, SCENE_LANGUAGES)),
    num_prompts: int = 4,
    question_share: float = 0.2,
) -> Iterator[Example]:
    """Pictures of the drawn world with captions and questions; none is left out."""
    return read_scenes(
        num_images, seed=seed, languages=languages, num_prompts=num_prompts, question_share=question_share
    )


@reports_left_out
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


@reports_left_out
def matching(
    seed: int,
    left_out: LeftOut,
    *,
    captions: NestedSource,
    embeddings: Embeddings | None = None,
    as_released: bool = False,
) -> Iterator[Example]:
    """Does a caption describe an image? Asked about the captions of another source and about wrong ones: captions of
    images that look alike, found by their embeddings, or without these captions of any other image."""
    name, arguments = captions["source"], {key: value for key, value in captions.items() if key != "source"}
    read = counted_once(lambda counted: SOURCES[name](seed, counted, **arguments), left_out)
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


Source = Callable[..., Iterator[Example]]

SOURCES: Mapping[str, Source] = {
    "scenes": scenes,
    "babel_imagenet": babel_imagenet,
    # anybody's own data
    "own_folder": fine_tuning_sources.own_folder,
    "own_dataset": fine_tuning_sources.own_dataset,
    # training data of benchmarks
    "gqa": fine_tuning_sources.gqa,
    "xgqa": fine_tuning_sources.xgqa,
    "snli_ve": fine_tuning_sources.snli_ve,
    "xvnli": fine_tuning_sources.xvnli,
    "nlvr2": fine_tuning_sources.nlvr2,
    "marvl": fine_tuning_sources.marvl,
    "flickr30k": fine_tuning_sources.flickr30k,
    "xflickrco": fine_tuning_sources.xflickrco,
    # single sources of the mix
    "capfilt": mix_sources.capfilt,
    "coco_captions": mix_sources.coco_captions,
    "karpathy_captions": mix_sources.karpathy_captions,
    "vqav2": mix_sources.vqav2,
    "aokvqa": mix_sources.aokvqa,
    "llava_conversations": mix_sources.llava_conversations,
    "llava_details": mix_sources.llava_details,
    "matching": matching,
    "released_json": mix_sources.released_json,
}
