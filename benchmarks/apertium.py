"""English captions translated by Apertium: kept and refused by each check, unknown words, captions a CPU second.

    python benchmarks/apertium.py ../shared/data/coco/annotations/captions_*2017.json
    python benchmarks/apertium.py --show      # the twenty captions below, for someone who reads the languages

The captions are those of COCO's files, each once. Every language gets all of them, in parts of 256 texts as in a mix.
Asturian is not among the 96 languages of a mix, and py3langid does not know it: its script is checked alone.
"""

import argparse
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mblip.data.languages import LANGUAGES, Language, get_language
from mblip.mix.translation.checks import UNKNOWN_SYMBOL, check_translation
from mblip.mix.translation.engines import OwnEngine
from mblip.mix.translation.texts import TranslatedText, translate_texts

ENGINE = "mblip.mix.translation.apertium:translate"
ASTURIAN = Language("ast", "Asturian", "Latn", "ast_Latn", "ast_Latn", 0.0, 0.0)
TARGETS = [*(LANGUAGES[code] for code in ("es", "ca", "gl", "eo", "pt", "fr", "it")), ASTURIAN]
PART = 256
# Written for this file, in the manner of COCO's.
CAPTIONS = (
    "A man is riding a horse on the beach.",
    "Two dogs are playing with a ball in the park.",
    "A woman in a red dress holds an umbrella.",
    "There are three cups of coffee on the wooden table.",
    "A small boat on a lake with mountains in the background.",
    "A child eating an apple next to a window.",
    "An old train stops at the station.",
    "People are waiting for the bus in the rain.",
    "A black cat is sleeping on a chair.",
    "A bowl of fruit with bananas, oranges and grapes.",
    "A group of young people sitting around a table with laptops.",
    "A bird stands on the branch of a tree.",
    "The kitchen has a white refrigerator and a stove.",
    "A man wearing a hat takes a picture of a church.",
    "Several cows are eating grass in a green field.",
    "A plane is flying over the city at night.",
    "Two children look at an elephant in a zoo.",
    "A close up of a sandwich on a white plate.",
    "A street with many shops and parked cars.",
    "A girl brushes her teeth in front of a mirror.",
)


def main(command_line: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", nargs="*", type=Path, help="files in COCO's layout")
    parser.add_argument("--labels", action="store_true", help="measure what the checks do not see, too")
    parser.add_argument("--show", action="store_true", help="print translations of the captions of this file")
    arguments = parser.parse_args(command_line)
    if arguments.show:
        show()
    if arguments.annotations:
        texts = [
            entry["caption"] for path in arguments.annotations for entry in json.loads(path.read_text())["annotations"]
        ]
        measure(sorted({" ".join(text.split()) for text in texts}), with_labels=arguments.labels)


def show() -> None:
    engine, english = OwnEngine(ENGINE), get_language("en")
    for target in TARGETS:
        print(f"\n{target.name}")
        found = translate_texts(CAPTIONS, engine, english, target)
        for number, translated in enumerate(found, start=1):
            print(f"{number:3} {translated.text}{f'   ({translated.failure})' if translated.failure else ''}")


def cpu_seconds() -> float:
    """Of this process and of those that have ended: on a busy machine the time of a clock says little."""
    return sum(os.times()[:4])


def measure(captions: Sequence[str], *, with_labels: bool) -> None:
    engine, english = OwnEngine(ENGINE), get_language("en")
    print(f"{engine.model}\n{len(captions):,} captions\n")
    print(
        "| language | kept | refused | words unknown | distinct | captions a CPU second |\n"
        "|---|---:|---|---:|---:|---:|"
    )
    for target in TARGETS:
        start, found = cpu_seconds(), []
        for first in range(0, len(captions), PART):
            found += translate_texts(captions[first : first + PART], engine, english, target)
        speed = len(captions) / (cpu_seconds() - start)
        causes = Counter(translated.failure.cause for translated in found if translated.failure)
        refused = ", ".join(f"{count:,} {cause}" for cause, count in causes.most_common())
        unknown = Counter(word for each in found for word in re.findall(rf"{UNKNOWN_SYMBOL}([\w'’-]+)", each.text))
        kept = sum(translated.failure is None for translated in found)
        print(
            f"| {target.name} | {kept:,} | {refused} | {unknown.total():,} | {len(unknown):,} | {speed:.0f} |",
            flush=True,
        )
        if with_labels:
            print_unseen(target, found)


def print_unseen(target: Language, found: Sequence[TranslatedText]) -> None:
    """Refused texts that pass without their marks, and kept ones that pass labelled as another language."""
    refused = [(each.source_text, each.text.replace(UNKNOWN_SYMBOL, "")) for each in found if each.failure]
    kept = [(each.source_text, each.text) for each in found if not each.failure]
    num_passed = sum(check_translation(*pair, target) is None for pair in refused)
    labels = [other for other in TARGETS if other not in (target, ASTURIAN)]
    shares = {
        other.name: sum(check_translation(*pair, other) is None for pair in kept) / len(kept) for other in labels
    }
    print(
        f"  {num_passed} of {len(refused)} pass without marks;",
        {name: f"{share:.0%}" for name, share in shares.items()},
    )


if __name__ == "__main__":
    main()
