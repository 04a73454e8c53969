"""Compare two systems by their predictions: is the difference more than the choice of images?

    mblip compare A/predictions_xm3600.jsonl B/predictions_xm3600.jsonl
    mblip compare A.jsonl B.jsonl --metric language_fidelity

Prints a Markdown table for each condition: in each language the mean of A and of B, their difference with its 95 %
interval, p-values, and how many answers of either have the higher score; last the mean of the languages. How it is
reckoned: metrics/paired_comparison.py.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from .languages import evaluation_language
from .metrics.bootstrap import NUM_RESAMPLES
from .metrics.paired_comparison import PairedComparison
from .paired_predictions import METRICS, ConditionComparison, compare_predictions
from .predictions import read_predictions
from .reports.tables import UNSEEN_MARK

HEADINGS = ("Language", "Answers", "A", "B", "A − B", "p", "p (Holm)", "A higher", "B higher")


def comparison_table(comparison: ConditionComparison) -> str:
    """One condition as a Markdown table: a row for each language, and their mean if there is more than one."""
    rows = [
        _row(_language(code), compared, comparison.corrected[code]) for code, compared in comparison.languages.items()
    ]
    if len(rows) > 1:
        rows.append(_row(f"mean of {len(rows)}", comparison.mean, None))
    rule = _line("---", *["---:"] * (len(HEADINGS) - 1))
    return "\n".join([f"### {comparison.condition}", "", _line(*HEADINGS), rule, *rows])


def comparison_report(
    comparisons: Sequence[ConditionComparison], *, name_a: str, name_b: str, metric: str, num_resamples: int, seed: int
) -> str:
    """All conditions, and how the figures were found."""
    tables = [comparison_table(comparison) for comparison in comparisons]
    num_images = max(comparison.num_images for comparison in comparisons)
    notes = [
        f"Mean {metric} times 100. A: {name_a}; B: {name_b}.",
        f"In brackets 95 % intervals of the difference: bootstrap over {num_images} image sets, drawn alike in all "
        f"languages; p: paired permutation test over them; {num_resamples} resamples, seed {seed}.",
        "p (Holm): corrected for the number of languages. The mean of the languages, each counted alike, is one test. "
        "A higher, B higher: answers with the higher score; the others are equal. Of CHAIR the lower one is better.",
    ]
    if any(not evaluation_language(code).is_seen for comparison in comparisons for code in comparison.languages):
        notes.append(f"{UNSEEN_MARK.strip()} not among the 96 languages of the training mix.")
    if num_other := sum(comparison.num_other_prompts for comparison in comparisons):
        notes.append(f"{num_other} examples were asked in different words of A and of B.")
    return "\n\n".join([f"## {name_a} against {name_b}", *tables, *notes]) + "\n"


def _row(name: str, compared: PairedComparison, corrected: float | None) -> str:
    low, high = compared.difference.interval.low, compared.difference.interval.high
    return _line(
        name,
        str(compared.num_examples),
        _figure(compared.mean_a),
        _figure(compared.mean_b),
        f"{100 * compared.difference.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]",
        f"{compared.p_value:.4f}",
        "" if corrected is None else f"{corrected:.4f}",
        str(compared.num_wins),
        str(compared.num_losses),
    )


def _language(code: str) -> str:
    language = evaluation_language(code)
    return f"{language.name} (`{code}`){'' if language.is_seen else UNSEEN_MARK}"


def _figure(value: float) -> str:
    return f"{100 * value:.1f}"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> None:
    """The command: read both files, compare them and print the report."""
    parser = argparse.ArgumentParser(
        prog="mblip compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("a", type=Path, help="the predictions of system A")
    parser.add_argument("b", type=Path, help="those of system B, on the same examples")
    parser.add_argument("--metric", choices=METRICS, default="score", help="the task's main figure unless said")
    parser.add_argument("--num_resamples", type=int, default=NUM_RESAMPLES, help=f"{NUM_RESAMPLES} unless said")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples, 0 unless said")
    given = parser.parse_args(arguments)
    reckoning = {"metric": given.metric, "num_resamples": given.num_resamples, "seed": given.seed}
    comparisons = compare_predictions(read_predictions(given.a), read_predictions(given.b), **reckoning)
    print(comparison_report(comparisons, name_a=str(given.a), name_b=str(given.b), **reckoning), end="")
