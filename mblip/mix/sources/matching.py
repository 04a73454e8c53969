"""Caption matching: does a caption describe an image? Examples are made from the captions of other sources.

Half of the examples ask about the image's own caption, half about a wrong one. The choice is drawn by the caption's
(seed, source, id). A function gives the wrong captions, for example by retrieval (filters/). Hard ones come from
similar images, so some may be right. A wrong caption that equals one of the image's own, except in case, punctuation
and spacing, is not used. The original used those too; `as_released` repeats that.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import datasets

from mblip.data.example import Example
from mblip.data.normal_text import normal_text
from mblip.data.recipes.ranges import Count
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
    """Folders of embeddings (mblip/mix/filters/embeddings.py), of the captions and of the images to ask about.

    Also the search engine and its device. A wrong caption has one of `ranks` or, with `random`, any rank.
    """

    captions: Path
    images: Path
    ranks: tuple[Count, ...] = (3, 10, 30, 100, 300)
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
    """Does a caption describe an image? Asks about another source's captions, right and wrong.

    With embeddings, the wrong captions are those of similar images. Without, they are those of any other image.
    """
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
    """An example for each caption, in order. If no wrong caption is found, the example is skipped and counted.

    Args:
        captions: returns the captions, untranslated. It is called twice, first to learn each image's captions; memory
            holds some 70 bytes per caption.
        negatives: gives the wrong caption for an example of `captions`, or None.
        as_released: use every result of `negatives`, even if it is the image's own caption.
    Raises:
        ValueError: an example of `captions` is not of the task "captioning".
    """
    skipped = SkipReport() if skipped is None else skipped
    own = set() if as_released else {_key(caption.image_id, caption.target) for caption in captions()}
    for caption in captions():
        if caption.task != "captioning":
            raise ValueError(
                f"{caption.name} has the task {caption.task!r}, expected 'captioning'. Only captions can be matched."
            )
        draw = stable_random(seed, SOURCE, caption.source, caption.id)
        if draw.random() < 0.5:
            yield _example(caption, caption.target, "yes", {})
        else:
            yield from _wrong_example(caption, negatives, own, skipped)


def _wrong_example(caption: Example, negatives: Negatives, own: set[int], skipped: SkipReport) -> Iterator[Example]:
    """The example about a wrong caption, if there is one."""
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
    """A 64-bit number that equal captions of an image share."""
    key = f"{image_id}\n{normal_text(caption)}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
