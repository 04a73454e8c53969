"""How often language fidelity errs, measured on human captions whose language is known.

    python benchmarks/fidelity_error.py xm3600/captions.jsonl
    python benchmarks/fidelity_error.py xflickrco/annotations/*/test.jsonl --candidates all

Prints a Markdown table. For each language it shows how many captions are recognised, which languages the others are
mistaken for, and how many captions in other languages are mistaken for this one. Read a model's fidelity together with
it: a model that answers like humans reaches the share of recognised captions, not 100 %.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mblip.data.sources.records import check_record, read_json_lines
from mblip.evaluation.languages import evaluation_language, mix_code
from mblip.evaluation.metrics.intervals import Interval, wilson_interval
from mblip.evaluation.metrics.language_fidelity import MIX, find_language, language_fidelity
from mblip.evaluation.metrics.unlisted_languages import UNLISTED
from mblip.evaluation.tasks.xm3600 import captions_of

MAX_NAMED = 4  # languages that a row names


@dataclass(frozen=True)
class FidelityError:
    """The error in one language.

    `taken_for`: language -> how many of its captions. `mistaken`: language -> which share of the captions in it is
    taken for this one.
    """

    language: str
    num_captions: int
    recognised: float
    interval: Interval
    taken_for: Mapping[str, int]
    mistaken: Mapping[str, float]

    @property
    def mean_mistaken(self) -> float:
        """The share of other languages' captions that is taken for this one, each language counted alike."""
        return sum(self.mistaken.values()) / len(self.mistaken) if self.mistaken else 0.0


def read_captions(paths: Iterable[Path]) -> dict[str, list[str]]:
    """Captions by language, without empty ones.

    Reads XM3600's captions.jsonl (a line holds an image's captions in all languages), and files of xFlickrCO's layout,
    whose language is the name of their folder.

    Raises:
        ValueError: a file has another layout, or an unknown language; the message names the line.
    """
    captions: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        for location, record in read_json_lines(path):
            for code, texts in _texts(record, path, location):
                captions[code] += [text for text in texts if text.strip()]
    return {code: captions[code] for code in sorted(captions) if captions[code]}


def fidelity_errors(
    captions: Mapping[str, Sequence[str]], *, candidates: frozenset[str] | None = MIX
) -> tuple[FidelityError, ...]:
    """The error in each language.

    Args:
        captions: language -> captions in it.
        candidates: the languages that can be found; None: all that py3langid knows.

    Raises:
        ValueError: there are no captions, or a language is unknown or not among the candidates.
    """
    if not captions:
        raise ValueError("Found no captions to measure the error on, expected some in at least one language.")
    unasked = {
        code: [find_language(text, candidates=candidates) for text in texts] for code, texts in captions.items()
    }
    return tuple(_error(code, captions, unasked, candidates) for code in captions)


def error_table(errors: Sequence[FidelityError]) -> str:
    """The errors as a Markdown table, the mean of the languages last."""
    lines = [
        "| Language | Captions | Recognised | Taken for | Others taken for it |",
        "| --- | ---: | ---: | --- | --- |",
        *[_row(error) for error in errors],
    ]
    num_captions = sum(error.num_captions for error in errors)
    recognised = sum(error.recognised for error in errors) / len(errors)
    mistaken = sum(error.mean_mistaken for error in errors) / len(errors)
    lines.append(f"| mean of {len(errors)} | {num_captions} | {100 * recognised:.1f} | | {100 * mistaken:.2f} |")
    notes = (
        "Recognised: per cent of the captions, with 95 % intervals (Wilson). Taken for: number of captions. Others "
        "taken for it: per cent of the captions in the other languages, each language counted alike; in brackets "
        "those of which at least 1 % are."
    )
    return "\n".join([*lines, "", notes, ""])


def _texts(record: object, path: Path, location: str) -> list[tuple[str, list[str]]]:
    """The captions of a record, by language."""
    if isinstance(record, Mapping) and "sentences" in record:
        fields = check_record(record, {"sentences": list[str]}, location=location)
        return [(_code(path.parent.name, f"{location}: the folder"), fields["sentences"])]
    check_record(record, {"image/key": str}, location=location)
    assert isinstance(record, Mapping)
    return [(code, list(captions)) for code, captions in captions_of(record, location=location).items()]


def _code(name: str, location: str) -> str:
    try:
        return mix_code(name)
    except ValueError as error:
        raise ValueError(f"{location}: {error}") from error


def _error(
    code: str,
    captions: Mapping[str, Sequence[str]],
    unasked: Mapping[str, Sequence[str]],
    candidates: frozenset[str] | None,
) -> FidelityError:
    scores = language_fidelity(captions[code], code, candidates=candidates)
    mistaken = {}
    for other, texts in captions.items():
        if other != code:
            found = unasked[other]
            if code in UNLISTED:
                found = [find_language(text, asked=code, candidates=candidates) for text in texts]
            mistaken[other] = found.count(code) / len(texts)
    return FidelityError(
        language=code,
        num_captions=len(captions[code]),
        recognised=scores.share,
        interval=wilson_interval(sum(scores.is_right), len(scores.is_right)),
        taken_for=scores.wrong_languages,
        mistaken=mistaken,
    )


def _row(error: FidelityError) -> str:
    named = [f"{code} {count}" for code, count in list(error.taken_for.items())[:MAX_NAMED]]
    num_others = len(error.taken_for) - len(named)
    taken_for = ", ".join([*named, *([f"{num_others} others"] if num_others else [])])
    most = sorted(error.mistaken.items(), key=lambda item: -item[1])
    mistaken = ", ".join(f"{code} {100 * share:.1f}" for code, share in most[:MAX_NAMED] if share >= 0.01)
    low, high = 100 * error.interval.low, 100 * error.interval.high
    return (
        f"| {evaluation_language(error.language).name} (`{error.language}`) | {error.num_captions} "
        f"| {100 * error.recognised:.1f} [{low:.1f}, {high:.1f}] | {taken_for} "
        f"| {100 * error.mean_mistaken:.2f}{f' ({mistaken})' if mistaken else ''} |"
    )


def main(arguments: list[str]) -> None:
    """The command: measure the error on files of captions and print the table."""
    parser = argparse.ArgumentParser(
        description="Measure how often human captions of known language are recognised.",
        allow_abbrev=False,
    )
    parser.add_argument("files", nargs="+", type=Path, help="XM3600's captions.jsonl, or xFlickrCO's language/*.jsonl")
    parser.add_argument(
        "--candidates",
        choices=("mix", "given", "all"),
        default="mix",
        help="the languages that can be found: of the training mix and the benchmarks (the default), of the files, "
        "or all that py3langid knows",
    )
    given = parser.parse_args(arguments)
    captions = read_captions(given.files)
    candidates = {"mix": MIX, "given": frozenset(captions), "all": None}[given.candidates]
    print(error_table(fidelity_errors(captions, candidates=candidates)), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
