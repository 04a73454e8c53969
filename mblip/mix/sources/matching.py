"""Caption matching: does a caption describe an image? Made from the captions of other sources.

Half of the examples ask about the image's own caption, half about a wrong one; which, is drawn by (seed, source, id)
of the caption. Wrong captions come from a function, such as retrieval gives (filters/): hard ones are captions of
images that look alike, so they may happen to be right. One that equals a caption of the image itself, in all but case,
punctuation and spacing, is not asked about. The original asked about those too; `as_released` repeats that.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import datasets

from mblip.data.example import Example
from mblip.data.normal_text import normal_text
from mblip.data.recipes.sources import Source
from mblip.data.skipped import SkipReport, counted_once, has_usable_texts
from mblip.data.sources import published
from mblip.data.stable_random import stable_random

from ..filters.hard_negatives import retrieve_negatives
from ..filters.nearest_captions import SearchEngine
from ..filters.negatives import Negatives, RandomNegatives

SOURCE = "matching"


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


@published("does a caption describe an image?", "made of the captions that it names", "theirs")
def matching(
    seed: int,
    skipped: SkipReport | None = None,
    *,
    captions: Source,
    embeddings: Embeddings | None = None,
    as_released: bool = False,
) -> Iterator[Example]:
    """Does a caption describe an image? Asked about the captions of another source and about wrong ones: captions of
    images that look alike, found by their embeddings, or without these captions of any other image."""
    skipped = SkipReport() if skipped is None else skipped
    read = counted_once(lambda counted: captions.examples(seed, counted), skipped)
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
    return read_matching(read, negatives, seed=seed, as_released=as_released, skipped=skipped)


def read_matching(
    captions: Callable[[], Iterable[Example]],
    negatives: Negatives,
    *,
    seed: int = 0,
    as_released: bool = False,
    skipped: SkipReport | None = None,
) -> Iterator[Example]:
    """An example for each caption, in their order; one without a wrong caption to ask about is skipped and counted.

    Args:
        captions: gives the captions, in their source's language and not translated yet. It is called twice, first to
            learn which captions an image has: memory holds some 70 bytes for each.
        negatives: gives the wrong caption for an example of `captions`, or None.
        as_released: take what `negatives` gives, be it the image's own caption.

    Raises:
        ValueError: an example of `captions` is none of the task "captioning".
    """
    skipped = SkipReport() if skipped is None else skipped
    own = set() if as_released else {_key(caption.image_id, caption.target) for caption in captions()}
    for caption in captions():
        if caption.task != "captioning":
            raise ValueError(
                f"{caption.name} is of the task {caption.task!r}, expected 'captioning'. Only captions can be matched."
            )
        draw = stable_random(seed, SOURCE, caption.source, caption.id)
        if draw.random() < 0.5:
            yield _example(caption, caption.target, "yes", {})
        else:
            yield from _wrong_example(caption, negatives, own, skipped)


def _wrong_example(caption: Example, negatives: Negatives, own: set[int], skipped: SkipReport) -> Iterator[Example]:
    """The example that asks about a wrong caption, unless there is none."""
    name = f"{SOURCE}/{_id(caption)}"
    negative = negatives(caption)
    if negative is None:
        skipped.add("no wrong caption found", name)
    elif _key(caption.image_id, negative.text) in own:
        skipped.add("wrong caption equal to one of the image's own", name)
    elif has_usable_texts([negative.text], name=name, skipped=skipped):
        yield _example(caption, negative.text, "no", negative.provenance)


def _example(caption: Example, text: str, target: str, provenance: Mapping[str, str]) -> Example:
    return Example(
        images=caption.images,
        prompt="",
        target=target,
        language=caption.language,
        task="matching",
        source=SOURCE,
        id=_id(caption),
        image_id=caption.image_id,
        inputs={"caption": text},
        provenance=provenance,
    )


def _id(caption: Example) -> str:
    return f"{caption.source}/{caption.id}"


def _key(image_id: str, caption: str) -> int:
    """What equal captions of an image share, as a number of 64 bits."""
    key = f"{image_id}\n{normal_text(caption)}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
