"""CIDEr-D, BLEU and ROUGE-L: ours compared with pycocoevalcap and its Java tokenizer, on the same captions.

    python benchmarks/caption_metrics.py [RECORDS] [--images 600] [--languages 36] [--reorder]

RECORDS holds COCO annotations and results for each language of XM3600 (xm3600/xm3600_coco_de.json, results_de.json).
We repeat the records and languages until there are enough of them; `--images 3600` is the size of XM3600. `--reorder`
shuffles the words of every repetition, so that no caption comes twice and no cache helps. The two sides take turns,
language by language, in one process (Java in another), and we compare every score of every image. Neither side
computes METEOR or SPICE.

Japanese, Thai and Chinese have a table of their own: their captions are joined and segmented again, which both sides
do by the same libraries (metrics/segmentation.py), as pycocoevalcap has no segmentation.

`pip install pycocoevalcap` and a Java runtime first.
"""

import argparse
import json
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mblip.evaluation.metrics.bleu import bleu
from mblip.evaluation.metrics.caption_tokens import tokenize_captions
from mblip.evaluation.metrics.cider import cider_d
from mblip.evaluation.metrics.figure_sums import ratio
from mblip.evaluation.metrics.image_scores import ImageScores
from mblip.evaluation.metrics.ngram_counts import count_ngrams
from mblip.evaluation.metrics.rouge_l import rouge_l
from mblip.evaluation.metrics.segmentation import load_segmenter

RECORDS = Path(os.environ.get("MBLIP_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")) / "caption_scores"
TOLERANCE = 1e-6
STAGES = ("segmentation", "tokenizer", "CIDEr-D", "BLEU-1 to BLEU-4", "ROUGE-L")

Seconds = dict[str, float]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Captions:
    """One hypothesis and its references for each image, in one language."""

    language: str
    hypotheses: list[str]
    references: list[list[str]]


def read_records(folder: Path) -> list[Captions]:
    """The captions of every language that has any."""
    paths = sorted(folder.glob("xm3600/xm3600_coco_*.json"))
    if not paths:
        raise SystemExit(
            f"{folder} holds no xm3600/xm3600_coco_*.json. Give a folder with such files of COCO annotations, and "
            "results_*.json of COCO results beside them."
        )
    read = [_read_language(path) for path in paths]
    return [captions for captions in read if captions.hypotheses]


def _read_language(path: Path) -> Captions:
    language = path.stem.removeprefix("xm3600_coco_")
    references = defaultdict(list)
    for annotation in json.loads(path.read_text(encoding="utf-8"))["annotations"]:
        references[annotation["image_id"]].append(annotation["caption"])
    results = json.loads((path.parent / f"results_{language}.json").read_text(encoding="utf-8"))
    return Captions(language, [row["caption"] for row in results], [references[row["image_id"]] for row in results])


def repeat(captions: Captions, num_images: int, reorder: bool) -> Captions:
    """The records over and over; `reorder` puts the words of each caption of a repetition into another order."""
    num_records, draw = len(captions.hypotheses), random.Random(captions.language)

    def text(caption: str, position: int) -> str:
        if not reorder or position < num_records:
            return caption
        words = caption.split()
        draw.shuffle(words)
        return " ".join(words)

    positions = range(num_images)
    return Captions(
        captions.language,
        [text(captions.hypotheses[i % num_records], i) for i in positions],
        [[text(reference, i) for reference in captions.references[i % num_records]] for i in positions],
    )


def segment(captions: Captions, seconds: Seconds) -> Captions:
    """The captions with spaces between words, in a language that writes none."""
    segmenter = load_segmenter(captions.language)
    if segmenter is None:
        return captions
    segmenter.words("一")  # loads its dictionary, which is not timed

    def spaced(text: str) -> str:
        return " ".join(segmenter.words(text.replace(" ", "")))

    def segment_all() -> Captions:
        references = [[spaced(text) for text in group] for group in captions.references]
        return Captions(captions.language, [spaced(text) for text in captions.hypotheses], references)

    return _timed("segmentation", segment_all, seconds)


def score_ours(captions: Captions, seconds: Seconds) -> list[ImageScores]:
    captions = segment(captions, seconds)

    def tokenize() -> tuple[list[list[str]], list[list[list[str]]]]:
        tokens = tokenize_captions(
            captions.hypotheses, captions.references, language=captions.language, tokenization="segmented"
        )
        return tokens.hypotheses, tokens.references

    hypotheses, references = _timed("tokenizer", tokenize, seconds)
    # BLEU and CIDEr-D share the counts; their time stands with CIDEr-D.
    counts = _timed("CIDEr-D", lambda: count_ngrams(hypotheses, references), seconds)
    return [
        _timed("CIDEr-D", lambda: cider_d(counts), seconds),
        *_timed("BLEU-1 to BLEU-4", lambda: bleu(counts), seconds),
        _timed("ROUGE-L", lambda: rouge_l(hypotheses, references), seconds),
    ]


def score_theirs(captions: Captions, seconds: Seconds) -> list[ImageScores]:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    captions = segment(captions, seconds)

    def tokenize() -> tuple[dict[int, list[str]], dict[int, list[str]]]:
        tokenizer, groups = PTBTokenizer(), enumerate(captions.references)
        references = {i: [{"caption": text} for text in group] for i, group in groups}
        hypotheses = {i: [{"caption": text}] for i, text in enumerate(captions.hypotheses)}
        return tokenizer.tokenize(references), tokenizer.tokenize(hypotheses)

    texts = _timed("tokenizer", tokenize, seconds)
    cider = _timed("CIDEr-D", lambda: Cider().compute_score(*texts), seconds)
    overall, per_image = _timed("BLEU-1 to BLEU-4", lambda: Bleu(4).compute_score(*texts, verbose=0), seconds)
    rouge = _timed("ROUGE-L", lambda: Rouge().compute_score(*texts), seconds)
    pairs = [cider, *zip(overall, per_image, strict=True), rouge]
    return [ImageScores(float(value), tuple(map(float, values)), ratio(values)) for value, values in pairs]


def _timed(stage: str, run: Callable[[], Result], seconds: Seconds) -> Result:
    start = time.perf_counter()
    result = run()
    seconds[stage] += time.perf_counter() - start
    return result


def largest_difference(ours: Sequence[ImageScores], theirs: Sequence[ImageScores]) -> float:
    """Between any two scores, those of the sets and of the images."""
    pairs = list(zip(ours, theirs, strict=True))
    overall = max(abs(a.overall - b.overall) for a, b in pairs)
    per_image = max(abs(x - y) for a, b in pairs for x, y in zip(a.per_image, b.per_image, strict=True))
    return max(overall, per_image)


def main(command_line: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, nargs="?", default=RECORDS, help="folder of caption_scores")
    parser.add_argument("--images", type=int, default=600, help="in each language")
    parser.add_argument("--languages", type=int, default=36)
    parser.add_argument("--reorder", action="store_true", help="no caption twice")
    arguments = parser.parse_args(command_line)
    records = read_records(arguments.records)
    ours, theirs = ({is_segmented: dict.fromkeys(STAGES, 0.0) for is_segmented in (False, True)} for _ in range(2))
    difference, num_captions = 0.0, 0
    for i in range(arguments.languages):
        captions = repeat(records[i % len(records)], arguments.images, arguments.reorder)
        num_captions += len(captions.hypotheses) + sum(map(len, captions.references))
        is_segmented = load_segmenter(captions.language) is not None
        pair = score_ours(captions, ours[is_segmented]), score_theirs(captions, theirs[is_segmented])
        if (found := largest_difference(*pair)) > TOLERANCE:
            raise SystemExit(f"{captions.language}: scores differ by {found:.1e}, expected {TOLERANCE:.0e} at most.")
        difference = max(difference, found)
    print(
        f"{arguments.languages} languages ({len(records)} different) x {arguments.images:,} images, "
        f"{num_captions:,} captions{', reordered' if arguments.reorder else ''}; largest difference {difference:.1e}"
    )
    for is_segmented, name in ((False, "Languages that are not segmented"), (True, "Japanese, Thai, Chinese")):
        if sum(ours[is_segmented].values()):
            print(f"\n{name}:\n")
            print_table(ours[is_segmented], theirs[is_segmented])


def print_table(ours: Seconds, theirs: Seconds) -> None:
    print("| stage | ours | pycocoevalcap | ratio |")
    print("|---|---:|---:|---:|")
    for stage in (*(stage for stage in STAGES if ours[stage]), "all"):
        own, other = (sum(each.values()) if stage == "all" else each[stage] for each in (ours, theirs))
        print(f"| {stage} | {own:.1f} s | {other:.1f} s | {other / own:.1f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
