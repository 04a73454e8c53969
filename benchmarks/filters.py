"""Near-duplicate captions compared with datasketch, and retrieval of hard negatives with torch and with FAISS.

    python benchmarks/filters.py [--captions 100000] [--pool 10000] [--images 1000] [--width 512]

The captions are artificial: ten words each, from a vocabulary with few frequent words. Every third caption is an
earlier one with one letter changed. datasketch gets the same shingles and bands, and we check its candidates exactly,
too, so both sides drop nearly the same captions. Each side runs in a separate process (peak_memory.py); memory is its
peak above the captions themselves. Embeddings are random. Both engines rank 308 captions for every image, as
`retrieve_negatives` does with the ranks of the original.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from peak_memory import peak_megabytes, run_alone

from mblip.data.example import Example
from mblip.data.normal_text import normal_text
from mblip.mix.filters.embeddings import EmbeddedBatch, store_embeddings
from mblip.mix.filters.minhash import jaccard, num_rows_of_bands, shingles
from mblip.mix.filters.near_duplicates import MIN_RECALL, NUM_HASHES, drop_near_duplicates
from mblip.mix.filters.nearest_captions import NearestCaptions

THRESHOLD = 0.8
NUM_RANKED = 308
SIDES = ("ours", "datasketch")
ENGINES = ("torch", "faiss")


def make_captions(num_captions: int) -> list[str]:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(20_000)]
    weights = [1 / (position + 10) for position in range(len(words))]
    captions: list[str] = []
    while len(captions) < num_captions:
        if len(captions) % 3 == 2:
            text, position = draw.choice(captions), draw.randrange(10)
            captions.append(text[:position] + draw.choice("aeiou") + text[position + 1 :])
        else:
            captions.append(" ".join(draw.choices(words, weights, k=10)))
    return captions


def count_ours(captions: list[str]) -> int:
    """How many captions stay."""
    examples = (Example((), "", text, "en", "captioning", "", str(i), "") for i, text in enumerate(captions))
    return sum(1 for _ in drop_near_duplicates(examples, threshold=THRESHOLD))


def count_with_datasketch(captions: list[str]) -> int:
    """How many captions stay."""
    from datasketch import MinHash, MinHashLSH

    first = MinHash(NUM_HASHES)
    num_rows = num_rows_of_bands(THRESHOLD, NUM_HASHES, MIN_RECALL)
    index, kept = MinHashLSH(num_perm=NUM_HASHES, params=(NUM_HASHES // num_rows, num_rows)), {}
    for number, caption in enumerate(captions):
        text = normal_text(caption)
        own = shingles(text)
        signature = MinHash(NUM_HASHES, permutations=first.permutations, scheme=first.scheme)
        signature.update_batch(shingle.encode() for shingle in own)
        if not any(jaccard(own, shingles(kept[other])) >= THRESHOLD for other in index.query(signature)):
            index.insert(number, signature)
            kept[number] = text
    return len(kept)


FILTERS: dict[str, Callable[[list[str]], int]] = {"ours": count_ours, "datasketch": count_with_datasketch}


def measure_side(side: str, num_captions: int) -> str:
    """Captions that stay, seconds and megabytes of one side."""
    captions = make_captions(num_captions)
    FILTERS[side](captions[:100])  # imports and buffers
    seconds: list[float] = []
    stayed: list[int] = []

    def run() -> None:
        start = time.perf_counter()
        stayed.append(FILTERS[side](captions))
        seconds.append(time.perf_counter() - start)

    megabytes = peak_megabytes(run, torch.device("cpu"))
    return f"{stayed[0]} {seconds[0]} {megabytes}"


def compare_filters(num_captions: int) -> None:
    print("| near-duplicate captions | stayed | captions/s | MB |")
    print("|---|---:|---:|---:|")
    for side in SIDES:
        options = ["--side", side, "--captions", str(num_captions)]
        stayed, seconds, megabytes = map(float, run_alone(Path(__file__), options).split())
        print(f"| {num_captions:,}, {side} | {stayed:,.0f} | {num_captions / seconds:,.0f} | {megabytes:,.0f} |")


def compare_engines(num_captions: int, num_images: int, width: int) -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(num_captions + num_images, width, generator=generator)
    embeddings = torch.nn.functional.normalize(embeddings, dim=1)
    images, ranked, num_wanted = embeddings[num_captions:], {}, min(NUM_RANKED, num_captions)
    print("| retrieval | index | search | images/s |")
    print("|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        rows = store_embeddings([EmbeddedBatch({}, embeddings[:num_captions].numpy())], Path(folder) / "captions")
        for engine in ENGINES:
            start = time.perf_counter()
            nearest = NearestCaptions(rows, engine=engine)
            built = time.perf_counter()
            ranked[engine] = nearest.ranked(images, num_wanted)
            seconds = time.perf_counter() - built
            what = f"{num_images:,} images in {num_captions:,} captions of width {width}, {engine}"
            print(f"| {what} | {built - start:.2f} s | {seconds:.2f} s | {num_images / seconds:,.0f} |")
    num_equal = int((ranked["torch"] == ranked["faiss"]).sum())
    print(f"{num_equal:,} of {num_images * num_wanted:,} ranks hold the same caption")


def main(command_line: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=int, default=100_000, help="to be searched for near-duplicates")
    parser.add_argument("--pool", type=int, default=10_000, help="captions to choose hard negatives from")
    parser.add_argument("--images", type=int, default=1_000, help="to find hard negatives for")
    parser.add_argument("--width", type=int, default=512, help="of embeddings")
    parser.add_argument("--side", choices=SIDES, help="print what one side keeps, its seconds and megabytes, no more")
    arguments = parser.parse_args(command_line)
    if arguments.side:
        print(measure_side(arguments.side, arguments.captions))
        return
    compare_filters(arguments.captions)
    print()
    compare_engines(arguments.pool, arguments.images, arguments.width)


if __name__ == "__main__":
    main(sys.argv[1:])
