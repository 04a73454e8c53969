"""Compare two systems by their answers: is a difference larger than chance?

    mblip compare outputs/a outputs/b
    mblip compare a/predictions_xm3600.jsonl b/predictions_xm3600.jsonl --metric BLEU-4

A and B are folders of `mblip eval` or `mblip score`, or predictions files in them. Prints a table of the main figure:
the values of A and B in each language, their difference with its 95 % interval, p-values, and how often A or B has the
higher score; and a table of all figures, in the mean over languages. The statistics: metrics/paired_comparison.py.

Answers are paired by condition, language and id, and scored again by the metric in results.json. Both systems need the
same task, metric, tokenization, decoding, way of answering, protocol and files. `--allow` permits a difference, which
the report then names. Of a scored system, decoding and way of answering are not known and are not compared.
"""

import argparse
import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mblip.data.recipes.ranges import count

from .metrics.bootstrap import NUM_RESAMPLES
from .metrics.figure_sums import FigureSums, ratio
from .metrics.paired_comparison import Paired, compare_columns
from .predictions import Prediction
from .reports.comparison import ConditionComparison, FigureComparison, comparison_report
from .reports.files import RESULTS_FILE, predictions_path, read_results
from .results import OWN_METRICS, Results
from .task import ANSWERS

Key = tuple[str, str, str]
ALLOWED = ("tokenization", "generation", "answering", "protocol", "changes", "marks", "files")
OF_THE_RUN = ("generation", "answering", "changes")  # not known of a scored system
TOLERANCE = 1e-9
TOLD_ELSEWHERE = ("languages", "tokenization", "main", "description")  # arguments of a metric


def compare_results(
    a: Results,
    b: Results,
    *,
    figure: str | None = None,
    allow: Collection[str] = (),
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> tuple[ConditionComparison, ...]:
    """Compare two systems under each condition, in order of first appearance.

    Args:
        figure: compare by this one alone; None: by all of the metric. A metric of your own has its main figure alone.
        allow: the names of differences to permit; see `ALLOWED`.

    Raises:
        ValueError: A and B differ in what `allow` does not permit, or are about different examples; answers have no
            scores, or not the stored ones; or no such figure.
    """
    if refused := {name: what for name, what in differences(a, b).items() if name not in allow}:
        flags = " ".join(f"--allow {name}" for name in refused)
        hint = f", or permit it: {flags}" if all(name in ALLOWED for name in refused) else ""
        raise ValueError(f"A and B differ in {'; '.join(refused.values())}.\nEvaluate or score both alike{hint}.")
    groups: dict[str, dict[str, list[tuple[Prediction, Prediction]]]] = {}
    for pair in pair_predictions(a.predictions, b.predictions):
        groups.setdefault(pair[0].condition, {}).setdefault(pair[0].language, []).append(pair)
    compared = []
    for condition, by_language in groups.items():
        columns: dict[str, dict[str, Paired]] = {}
        for language, pairs in by_language.items():
            pairs.sort(key=lambda pair: pair[0].id)
            image_ids = [ours.image_id for ours, _ in pairs]
            sums_a, sums_b = _sums(a, "A", [ours for ours, _ in pairs]), _sums(b, "B", [theirs for _, theirs in pairs])
            for name in dict.fromkeys([*sums_a, *sums_b]):
                column = columns.setdefault(name, {})
                if name in sums_a and name in sums_b:
                    column[language] = Paired(sums_a[name], sums_b[name], image_ids)
        if figure is not None and not columns.get(figure):
            known = ", ".join(name for name, column in columns.items() if column)
            raise ValueError(f"Found no figure {figure} in both, expected one of {known}.")
        without = {name: [code for code in by_language if code not in column] for name, column in columns.items()}
        not_defined = {name: codes for name, codes in without.items() if codes and figure in (None, name)}
        figures = {
            name: FigureComparison(*compare_columns(pairs, num_resamples=num_resamples, seed=seed))
            for name, pairs in columns.items()
            if pairs and figure in (None, name)
        }
        everyone = [pair for pairs in by_language.values() for pair in pairs]
        num_other_prompts = sum(ours.prompt != theirs.prompt for ours, theirs in everyone)
        num_images = len({ours.image_id for ours, _ in everyone})
        compared.append(ConditionComparison(condition, figures, num_images, num_other_prompts, not_defined))
    return tuple(compared)


def differences(a: Results, b: Results) -> dict[str, str]:
    """What keeps two results from being compared: its name -> what A alone and what B alone has, in words."""
    is_scored = a.system is not None or b.system is not None
    return {
        name: f"{name}: A has {_only(facts, others)}, B has {_only(others, facts)}"
        for (name, facts), others in zip(_facts(a).items(), _facts(b).values(), strict=True)
        if set(facts) != set(others) and not (is_scored and name in OF_THE_RUN)
    }


def _only(facts: Sequence[str], others: Sequence[str]) -> str:
    return "; ".join(f"{fact:.160}" for fact in facts if fact not in others) or "nothing"


def _facts(results: Results) -> dict[str, Sequence[str]]:
    metric = [results.metric]
    if (record := results.metric_record) is not None:
        arguments = {name: value for name, value in record.arguments.items() if name not in TOLD_ELSEWHERE}
        metric += [record.path, *(f"{name}: {json.dumps(value)}" for name, value in arguments.items())]
    return {
        "task": [results.task],
        "metric": metric,
        "tokenization": [results.description.partition(" (")[2].rstrip(")")],
        "generation": [str(results.generation)],
        "answering": [results.answering],
        "protocol": [results.protocol],
        "changes": results.changes,
        "marks": results.marks,
        "files": [
            f"{file.split or 'file'} {(file.sha256 or file.revision or '')[:16]}"
            for file in results.files
            if file.split != ANSWERS
        ],
    }


def _sums(results: Results, side: str, answers: Sequence[Prediction]) -> Mapping[str, FigureSums]:
    """The figures of answers in one language, the main one first, from the metric in the record.

    Raises:
        ValueError: an answer has no score, or a figure is not the stored one.
    """
    record, stored = results.metric_record, results.by_language(answers[0].condition)[answers[0].language]
    if record is not None and record.path.startswith(OWN_METRICS):
        found = record.build().score([one.example for one in answers], [one.output for one in answers]).sums
    else:
        scores = [answer.score for answer in answers if answer.score is not None]
        if len(scores) < len(answers):
            raise ValueError(f"Answers of {side} in {stored.language!r} have no scores. Let `mblip eval` finish.")
        found = {results.metric: ratio(scores)}
    names = [results.metric, *(name for name in found if name != results.metric and name in stored.figures)]
    for name in names:
        if not math.isclose(found[name].value, stored.figures[name], rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            raise ValueError(
                f"{side}, {results.task} in {stored.language!r}, `{name}`: found {found[name].value:.6f} by the "
                f"answers, expected {stored.figures[name]:.6f} as in results.json. Score again: the answers were "
                f"changed, or other versions of libraries were used ({results.description})."
            )
    return {name: found[name] for name in names}


def pair_predictions(
    predictions_a: Sequence[Prediction], predictions_b: Sequence[Prediction]
) -> list[tuple[Prediction, Prediction]]:
    """Pair the answers of A and B to each example, in the order of A.

    Raises:
        ValueError: a system answers an example twice, only one of them answers an example, or an example has other
            images, references or facts.
    """
    ours, theirs = _by_key(predictions_a, "A"), _by_key(predictions_b, "B")
    only = {"A": [key for key in ours if key not in theirs], "B": [key for key in theirs if key not in ours]}
    if only["A"] or only["B"]:
        counts = [
            f"{len(keys)}{f' (such as {_name(keys[0])})' if keys else ''} only in {s}" for s, keys in only.items()
        ]
        raise ValueError(
            f"Found {len(ours) - len(only['A'])} examples in both, {', '.join(counts)}; expected the same in both. "
            "Evaluate both with one recipe."
        )
    for key, a in ours.items():
        for what in ("image_id", "references", "facts"):
            if getattr(a, what) != getattr(theirs[key], what):
                raise ValueError(
                    f"Found different `{what}` of the example {_name(key)} in A and B, expected the same. "
                    "Evaluate both on the same files."
                )
    return [(a, theirs[key]) for key, a in ours.items()]


def _by_key(predictions: Sequence[Prediction], name: str) -> dict[Key, Prediction]:
    by_key: dict[Key, Prediction] = {}
    for one in predictions:
        key = one.condition, one.language, one.id
        if by_key.setdefault(key, one) is not one:
            raise ValueError(f"{name} answers {_name(key)} more than once, expected one answer per example.")
    return by_key


def _name(key: Key) -> str:
    condition, language, id = key
    return f"{id!r} in {language!r} under {condition!r}"


def read_side(path: Path) -> dict[str, Results]:
    """The results in a folder, or those of one predictions file in it.

    Raises:
        ValueError: there is no results.json, or no such evaluation in it, or there are no answers beside it.
    """
    if not path.exists():
        raise ValueError(f"Found no {path}, expected a folder of `mblip eval` or `mblip score`, or a file in it.")
    folder = path if path.is_dir() else path.parent
    results = read_results(folder)
    if path not in (folder, folder / RESULTS_FILE):
        results = {name: one for name, one in results.items() if predictions_path(folder, name) == path}
    if without := [name for name, one in results.items() if not one.predictions] or ([] if results else [path.stem]):
        raise ValueError(
            f"{folder}: found results.json and no answers to {', '.join(without)}, expected both. Give the folder or "
            "a predictions file of `mblip eval`, or score the answers first (mblip score --help)."
        )
    return results


def main(arguments: list[str]) -> None:
    """The command: read both sides, compare them and print the report."""
    parser = argparse.ArgumentParser(
        prog="mblip compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("a", type=Path, help="folder or predictions file of system A")
    parser.add_argument("b", type=Path, help="those of system B, on the same examples")
    parser.add_argument("--metric", metavar="FIGURE", help="compare by this figure alone; default: by all")
    parser.add_argument("--allow", action="append", default=[], choices=ALLOWED, help="permit this difference")
    parser.add_argument("--num_resamples", type=count, default=NUM_RESAMPLES, help=f"default {NUM_RESAMPLES}")
    parser.add_argument("--seed", type=int, default=0, help="seed of the resamples, default 0")
    given = parser.parse_args(arguments)
    drawing = {"num_resamples": given.num_resamples, "seed": given.seed}
    a, b = read_side(given.a), read_side(given.b)
    if len(a) == len(b) == 1:
        b = dict(zip(a, b.values(), strict=True))  # they may go by different names
    if not (pairs := [(a[name], b[name]) for name in a if name in b]):
        raise ValueError(f"Found {', '.join(a)} in A and {', '.join(b)} in B, expected an evaluation in both.")
    reports = []
    for pair in pairs:
        comparisons = compare_results(*pair, figure=given.metric, allow=given.allow, **drawing)
        permitted = list(differences(*pair).values())
        reports.append(comparison_report(*pair, comparisons, permitted=permitted, **drawing))
    if only := sorted(a.keys() ^ b.keys()):
        reports.append(f"Not compared, because only one of A and B has it: {', '.join(only)}.\n")
    print(f"# A: {given.a}, B: {given.b}\n", *reports, sep="\n", end="")
