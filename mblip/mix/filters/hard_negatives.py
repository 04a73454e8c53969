"""Wrong captions for caption matching: those of similar images, found by CLIP, or random ones.

For each caption we draw a rank: 3, 10, 30, 100 or 300 among the captions most similar to its image, or one at random
(code of gregor-ge/mBLIP, commit 0380e68, with a CLIP ViT-L/14). The original took the caption at that rank. It could
be the image's own caption, or another image's in the same words. We take the next rank that is neither.

    negatives = retrieve_negatives(images, captions, seed=42)     # rows from embeddings.py
    examples = read_matching(read_captions, negatives)
    print(negatives.table())
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import Literal

import datasets
import torch

from mblip.data.example import Example
from mblip.data.normal_text import normal_text
from mblip.data.skipped import SkipReport
from mblip.data.stable_random import stable_random

from .embeddings import embeddings_of
from .nearest_captions import NearestCaptions, SearchEngine
from .negatives import Negative

Rank = int | Literal["random"]

RANKS: tuple[Rank, ...] = (3, 10, 30, 100, 300, "random")
IMAGES_AT_ONCE = 256
NUM_SPARE = 8  # ranks searched beyond the drawn one, in case it is unsuitable


@dataclass(frozen=True)
class HardNegatives:
    """The wrong caption of each example, by (source, id). Call it with an example to get its negative, or None.

    `num_drawn` counts how often each rank was drawn, `num_moved` how often a later one was taken.
    """

    by_example: Mapping[tuple[str, str], Negative]
    num_drawn: Mapping[Rank, int]
    num_moved: Mapping[Rank, int]

    def __call__(self, example: Example) -> Negative | None:
        return self.by_example.get((example.source, example.id))

    def table(self) -> str:
        """A Markdown table of the ranks."""
        lines = ["| rank | drawn | own or equal caption, so a later one taken |", "|---|---:|---:|"]
        lines += [
            f"| {rank} | {count:,} | {self.num_moved.get(rank, 0):,} |" for rank, count in self.num_drawn.items()
        ]
        return "\n".join(lines)


def retrieve_negatives(
    images: datasets.Dataset,
    captions: datasets.Dataset,
    *,
    seed: int,
    ranks: Sequence[Rank] = RANKS,
    engine: SearchEngine = "torch",
    device: str | torch.device = "cpu",
    as_released: bool = False,
    skipped: SkipReport | None = None,
) -> HardNegatives:
    """Find a wrong caption for each caption whose image is among `images`.

    The rank is drawn by (seed, source, id). FAISS and torch find the same captions. Memory holds all captions and
    negatives, and the embeddings of captions (nearest_captions.py) and images.

    Args:
        images: image_id, model, revision, embedding, as from `Embedder.embed_images`.
        captions: the captions to choose from, all in one language, with source, id, image_id, language, text, model,
            revision, embedding, as from `Embedder.embed_captions`.
        as_released: take the caption at the drawn rank, even if it is right.
    Raises:
        ValueError: a rank is out of range, the embeddings come from several models, the captions are in several
            languages, or an image or caption is repeated.
        ImportError: FAISS is requested but not installed.
    """
    _check(images, captions, ranks)
    skipped = skipped if skipped is not None else SkipReport()
    pool = _Pool(captions, NearestCaptions(captions, engine=engine, device=device), as_released=as_released)
    negatives: dict[tuple[str, str], Negative] = {}
    num_drawn: Counter[Rank] = Counter(dict.fromkeys(ranks, 0))
    num_moved: Counter[Rank] = Counter()
    for image_D, own_rows, ranked in _ranked_images(images, pool, ranks):
        for row in own_rows:
            # draw a rank for each caption of the image
            name = pool.names[row]
            draw = stable_random(seed, "hard negative", *name)
            rank = draw.choice(ranks)
            # from that rank on, take the first caption of another image
            found = pool.find(rank, image_D, own_rows, ranked, draw)
            if found is None:
                skipped.add("no caption of another image at the rank drawn or later", "/".join(name))
                continue
            num_drawn[rank] += 1
            num_moved[rank] += found.num_passed > 0
            negatives[name] = pool.negative(rank, found)
    return HardNegatives(negatives, num_drawn, num_moved)


@dataclass(frozen=True)
class _Found:
    """A row of the pool, and how many rows before it were skipped."""

    row: int
    num_passed: int


class _Pool:
    """The captions to choose from."""

    def __init__(self, captions: datasets.Dataset, nearest: NearestCaptions, *, as_released: bool) -> None:
        self.names = list(zip(captions["source"], captions["id"], strict=True))
        self.nearest = nearest
        self.rows_of: dict[str, list[int]] = {}
        for row, image_id in enumerate(captions["image_id"]):
            self.rows_of.setdefault(image_id, []).append(row)
        self._texts = list(captions["text"])
        self._normal_texts = [normal_text(text) for text in self._texts]
        self._as_released = as_released
        (model,), (revision,) = captions.unique("model"), captions.unique("revision")
        self._provenance = {"negative.model": model, "negative.revision": revision}

    def find(
        self, rank: Rank, image_D: torch.Tensor, own_rows: list[int], ranked: list[int], draw: Random
    ) -> _Found | None:
        """The first row, from the rank on, that is not a caption of the image, in the same or equal words."""
        rows = self._rows_from(draw) if rank == "random" else self._rows_from_rank(rank, image_D, ranked)
        own = set() if self._as_released else {self._normal_texts[row] for row in own_rows}
        fitting = (_Found(row, i) for i, row in enumerate(rows) if self._normal_texts[row] not in own)
        return next(fitting, None)

    def negative(self, rank: Rank, found: _Found) -> Negative:
        """The caption of a row with its provenance."""
        source, id_ = self.names[found.row]
        origin = {
            "negative.drawn_rank": str(rank),
            "negative.rank": rank if rank == "random" else str(rank + found.num_passed),
            "negative.source": source,
            "negative.id": id_,
        }
        return Negative(self._texts[found.row], origin | self._provenance)

    def _rows_from(self, draw: Random) -> Iterator[int]:
        """All rows, starting at a random one."""
        start = draw.randrange(len(self.names))
        return chain(range(start, len(self.names)), range(start))

    def _rows_from_rank(self, rank: int, image_D: torch.Tensor, ranked: list[int]) -> Iterator[int]:
        """The rows from a rank on. At the end of the results, it searches again for twice as many."""
        yield from ranked[rank - 1 :]
        while len(ranked) < len(self.names):
            num_known = len(ranked)
            num_wanted = min(2 * num_known, len(self.names))
            ranked = self.nearest.ranked(image_D[None], num_wanted)[0].tolist()
            yield from ranked[num_known:]


def _ranked_images(
    images: datasets.Dataset, pool: _Pool, ranks: Sequence[Rank]
) -> Iterator[tuple[torch.Tensor, list[int], list[int]]]:
    """For each image with captions: its embedding, their rows, and the rows of the most similar captions."""
    own_rows = [pool.rows_of.get(image_id, []) for image_id in images["image_id"]]
    asked = [image for image, rows in enumerate(own_rows) if rows]
    embeddings_ND = torch.tensor(embeddings_of(images))
    highest = max((rank for rank in ranks if rank != "random"), default=0)
    num_wanted = min(highest + NUM_SPARE, len(pool.names)) if highest else 0
    for start in range(0, len(asked), IMAGES_AT_ONCE):
        batch = asked[start : start + IMAGES_AT_ONCE]
        embeddings_QD = embeddings_ND[batch]
        ranked = pool.nearest.ranked(embeddings_QD, num_wanted).tolist() if num_wanted else [[] for _ in batch]
        yield from zip(embeddings_QD, (own_rows[image] for image in batch), ranked, strict=True)


def _check(images: datasets.Dataset, captions: datasets.Dataset, ranks: Sequence[Rank]) -> None:
    for rank in ranks:
        if rank != "random" and not (type(rank) is int and 1 <= rank <= len(captions)):
            raise ValueError(
                f"Found the rank {rank!r}, expected 'random' or a number from 1 to {len(captions)}, the number of "
                "captions to choose from. Give more captions or lower ranks."
            )
    for column in ("model", "revision"):
        found = sorted({*images.unique(column), *captions.unique(column)})
        if len(found) != 1:
            raise ValueError(
                f"The embeddings have the {column}s {found}, expected one. Embeddings of different models cannot be "
                "compared. Embed images and captions with the same model."
            )
    languages = captions.unique("language")
    if len(languages) != 1:
        raise ValueError(
            f"The captions are in {languages}, expected one language: another language gives the wrong caption away. "
            "Retrieve for each language separately, and translate afterwards."
        )
    _check_distinct("image", images["image_id"])
    _check_distinct(
        "caption", [f"{source}/{id_}" for source, id_ in zip(captions["source"], captions["id"], strict=True)]
    )


def _check_distinct(what: str, names: Iterable[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"The {what} {twice[0]!r} is repeated, as are {len(twice) - 1} others. Keep one of each.")
