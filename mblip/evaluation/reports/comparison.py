"""The report of a comparison of two systems (compare.py): tables in Markdown, and notes on the statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..languages import evaluation_language
from ..metrics.paired_comparison import PairedComparison, holm
from ..results import OWN_METRICS, Results
from .tables import FEW_IMAGES, UNSEEN_MARK, language_name, line

HEADINGS = ("Language", "Answers", "A", "B", "A − B", "p", "p (Holm)", "A higher", "B higher")


@dataclass(frozen=True)
class FigureComparison:
    """Systems A and B by one figure: in each language, and by the means over languages, which count alike."""

    languages: Mapping[str, PairedComparison]
    mean: PairedComparison


@dataclass(frozen=True)
class ConditionComparison:
    """Systems A and B under one condition.

    Args:
        figures: the main figure first.
        num_images: the number of image sets that intervals and p-values resample.
        num_other_prompts: how many pairs had different prompts.
        not_defined: figure -> the languages in which it is not defined for A or B, such as a precision without a yes.
    """

    condition: str
    figures: Mapping[str, FigureComparison]
    num_images: int
    num_other_prompts: int
    not_defined: Mapping[str, Sequence[str]] = field(default_factory=dict)


def languages_table(compared: FigureComparison) -> str:
    """A Markdown table of one figure: a row per language, and their mean if there are several."""
    corrected = holm([one.p_value for one in compared.languages.values()])
    pairs = zip(compared.languages.items(), corrected, strict=True)
    rows = [_row(language_name(evaluation_language(code)), one, f"{p_value:.4f}") for (code, one), p_value in pairs]
    if len(rows) > 1:
        rows.append(_row(f"mean of {len(rows)}", compared.mean, ""))
    return "\n".join([line(*HEADINGS), line("---", *["---:"] * (len(HEADINGS) - 1)), *rows])


def figures_table(compared: ConditionComparison) -> str:
    """A Markdown table of all figures: a row for each, in the mean over languages and in its own unit."""
    rows = [
        line(name, f"{one.mean.value_a:.4f}", f"{one.mean.value_b:.4f}", *_difference(one.mean, "+.4f"))
        for name, one in compared.figures.items()
    ]
    return "\n".join([line("Figure", "A", "B", "A − B", "p"), line("---", *["---:"] * 4), *rows])


def comparison_report(
    a: Results,
    b: Results,
    comparisons: Sequence[ConditionComparison],
    *,
    permitted: Sequence[str] = (),
    num_resamples: int,
    seed: int,
) -> str:
    """A report of all conditions of a task, with notes on the statistics.

    Args:
        permitted: what A and B differ in, in words.
    """
    protocol = " against ".join(dict.fromkeys(f"`{each.protocol_title}`" for each in (a, b)))
    parts = [f"## {a.title}, protocol {protocol}"]
    for compared in comparisons:
        main, *others = compared.figures
        parts += [f"### {compared.condition}: {main}", languages_table(compared.figures[main])]
        if others:
            parts.append(f"All figures, mean over languages:\n\n{figures_table(compared)}")
        if without := [f"`{name}` ({', '.join(codes)})" for name, codes in compared.not_defined.items()]:
            parts.append(f"Not compared, because A or B has no such figure there: {', '.join(without)}.")
    num_images = max(compared.num_images for compared in comparisons)
    parts += [
        "Tables by language: times 100. Tables of all figures: in their own units. CIDEr-D keeps the n-gram "
        "frequencies of the whole set in every resample.",
        f"In brackets: 95 % intervals of the difference, by a bootstrap over {num_images} image sets, the same ones "
        f"in all languages. p: paired permutation test over them. {num_resamples} resamples, seed {seed}.",
        "p (Holm): corrected for the number of languages. The mean over languages, with equal weights, is one test; "
        "p is not corrected for the number of figures. A higher, B higher: answers with the higher score; the others "
        "are equal.",
    ]
    if num_images < FEW_IMAGES:
        parts.append(f"Only {num_images} image sets: the intervals are too narrow. Trust p.")
    if not a.greater_is_better:
        parts.append(f"Lower is better: {a.metric}.")
    if a.metric_record is None or not a.metric_record.path.startswith(OWN_METRICS):
        parts.append("By the stored scores, because the metric is not one of this package: its main figure alone.")
    parts += [f"Permitted: A and B differ in {what}." for what in permitted]
    for name, results in (("A", a), ("B", b)):
        if results.system is not None:
            parts.append(f"{name} is {results.system}, scored: its prompts and decoding are not known.")
    if UNSEEN_MARK in "".join(parts):
        parts.append(f"{UNSEEN_MARK.strip()} not among the 96 languages of the training mix.")
    if num_other := sum(comparison.num_other_prompts for comparison in comparisons):
        parts.append(f"{num_other} examples had different prompts in A and B.")
    return "\n\n".join(parts) + "\n"


def _row(name: str, one: PairedComparison, corrected: str) -> str:
    values = (f"{100 * value:.1f}" for value in (one.value_a, one.value_b))
    cells = [*values, *_difference(one, "+.1f", 100), corrected, str(one.num_wins), str(one.num_losses)]
    return line(name, str(one.num_examples), *cells)


def _difference(one: PairedComparison, form: str, unit: int = 1) -> tuple[str, str]:
    """The difference with its interval, and p."""
    interval = one.difference.interval
    value, low, high = (f"{unit * number:{form}}" for number in (one.difference.value, interval.low, interval.high))
    return f"{value} [{low}, {high}]", f"{one.p_value:.4f}"
