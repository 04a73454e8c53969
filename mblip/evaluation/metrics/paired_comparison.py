"""Compares two systems on the same examples: the difference of a figure, its interval and its p-value.

A figure is a function of sums over examples (figure_sums.py): a mean, a ratio such as recall, BLEU. We draw and swap
examples of both systems together, so an image that is hard for both does not matter. The interval is the bootstrap of
bootstrap.py; an image set that is drawn is drawn in every language.

The p-value is that of the paired permutation test. If the systems were equal, you could swap their answers to an image
set at random. p is the share of random swaps with a difference at least as large as the observed one, in either
direction, with the observed one included (B. Phipson, G. K. Smyth, Permutation P-values Should Never Be Zero, 2010).
Swaps in which the figure is not defined do not count. Each language is a test; `holm` corrects for their number.

If all resamples have the same difference, the interval is that of D. G. Bonett and R. M. Price (Adjusted Wald
Confidence Interval for a Difference of Binomial Proportions Based on Paired Data, 2012): as if there were two more
groups, one with the largest difference for A and one for B. So it has a width: with 4 images of which A alone is right
about all, it is [0.07, 1].

Shape suffixes: E = examples, G = groups, C = columns (languages), K = quantities that are summed, R = resamples.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .bootstrap import (
    CHUNK,
    NUM_RESAMPLES,
    ROUNDING,
    Estimate,
    FloatArray,
    draw_groups,
    mean_of_columns,
    percentile_interval,
)
from .figure_sums import FigureSums, ratio
from .intervals import Z_95, Interval


@dataclass(frozen=True)
class Paired:
    """A figure of systems A and B on the same examples. `groups`: each example's group, such as its image set."""

    a: FigureSums
    b: FigureSums
    groups: Sequence[Hashable]

    def __post_init__(self) -> None:
        if len(self.a.terms) != len(self.b.terms) or len(self.a.terms) != len(self.groups):
            raise ValueError(
                f"Found {len(self.a.terms)} scores of one system, {len(self.b.terms)} of the other and "
                f"{len(self.groups)} groups, expected the same number. Score both on the same examples."
            )


@dataclass(frozen=True)
class PairedComparison:
    """System A against system B. `difference` is A's value minus B's. A scores higher in `num_wins` examples, B in
    `num_losses`."""

    value_a: float
    value_b: float
    difference: Estimate
    p_value: float
    num_wins: int
    num_losses: int
    num_examples: int


def compare_paired(
    scores_a: Sequence[float],
    scores_b: Sequence[float],
    groups: Sequence[Hashable] | None = None,
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> PairedComparison:
    """Compare the mean scores of two systems. Entry i of both is about example i.

    Raises:
        ValueError: the lengths differ, there are no scores, or a score is not finite.
    """
    pairs = Paired(ratio(scores_a), ratio(scores_b), range(len(scores_a)) if groups is None else groups)
    return compare_columns({"": pairs}, num_resamples=num_resamples, seed=seed)[0][""]


def compare_columns(
    columns: Mapping[str, Paired], *, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> tuple[dict[str, PairedComparison], PairedComparison]:
    """Compare a figure of two systems in several languages, and in the mean over languages with equal weights.

    Groups with the same name are one group in all languages. If the figure is not defined in a language of a resample,
    which may have no example of it, the mean is over the other languages.

    Returns:
        The comparison in each language, and that of the mean. Wins, losses and examples of the mean are totals.

    Raises:
        ValueError: see `compare_paired`; or there are no languages.
    """
    if not columns:
        raise ValueError("Found no languages to compare two systems in, expected at least one.")
    a_GCK, b_GCK = _tabulate(columns)
    of_sums = next(iter(columns.values())).a.of_sums

    def differences(a_RCK: FloatArray, b_RCK: FloatArray) -> FloatArray:
        """A's figure minus B's in each language, and then the mean over languages, (R, C + 1)."""
        values_RC = of_sums(a_RCK) - of_sums(b_RCK)
        return np.column_stack([values_RC, mean_of_columns(values_RC)])

    a_1CK, b_1CK, swaps_GCK = a_GCK.sum(0, keepdims=True), b_GCK.sum(0, keepdims=True), b_GCK - a_GCK
    found_C = differences(a_1CK, b_1CK)[0]
    drawn_RC = np.concatenate(
        [
            differences(_sums(drawn_RG, a_GCK), _sums(drawn_RG, b_GCK))
            for drawn_RG in draw_groups(len(a_GCK), num_resamples, seed)
        ]
    )
    values = [max(abs(pairs.a.value), abs(pairs.b.value)) for pairs in columns.values()]
    largest_C = np.array([*values, max(values)])
    threshold_C = np.abs(found_C) - ROUNDING * largest_C
    generator = np.random.default_rng(seed)
    num_as_large_C, num_defined_C = np.zeros(len(found_C)), np.zeros(len(found_C))
    for start in range(0, num_resamples, CHUNK):
        heads_RG = generator.integers(2, size=(min(CHUNK, num_resamples - start), len(a_GCK)), dtype=np.int8)
        swapped_RCK = _sums(heads_RG.astype(np.float64), swaps_GCK)
        swapped_RC = differences(a_1CK + swapped_RCK, b_1CK - swapped_RCK)
        num_as_large_C += (np.abs(swapped_RC) >= threshold_C).sum(0)
        num_defined_C += (~np.isnan(swapped_RC)).sum(0)
    p_values_C = (1 + num_as_large_C) / (1 + num_defined_C)
    matters_GC = ((a_GCK != 0) | (b_GCK != 0)).any(-1)  # not the images without an example of a class, for its recall
    nums_C = [*matters_GC.sum(0), matters_GC.any(1).sum()]
    estimates = [
        Estimate(found, _interval(drawn_RC[:, c], found, int(nums_C[c]), max(1.0, float(largest_C[c]))))
        for c, found in enumerate(found_C.tolist())
    ]
    compared = {
        name: _comparison(pairs, estimates[c], float(p_values_C[c])) for c, (name, pairs) in enumerate(columns.items())
    }
    return compared, _mean_comparison(list(compared.values()), estimates[-1], float(p_values_C[-1]))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct the p-values of several tests, to control the chance of any false positive (S. Holm, A simple
    sequentially rejective multiple test procedure, 1979)."""
    order = sorted(range(len(p_values)), key=lambda position: p_values[position])
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, position in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[position]))
        corrected[position] = highest
    return corrected


def _tabulate(columns: Mapping[str, Paired]) -> tuple[FloatArray, FloatArray]:
    """What each group adds to the sums of A and of B in each language, both (G, C, K)."""
    groups = dict.fromkeys(group for pairs in columns.values() for group in pairs.groups)
    rows = {group: row for row, group in enumerate(groups)}
    num_sums = next(iter(columns.values())).a.terms.shape[1]
    tables = np.zeros((2, len(rows), len(columns), num_sums))
    for c, pairs in enumerate(columns.values()):
        rows_E = [rows[group] for group in pairs.groups]
        for table_GCK, system in zip(tables, (pairs.a, pairs.b), strict=True):
            if not np.isfinite(system.terms).all():
                raise ValueError("Found a score that is not a finite number, expected finite numbers.")
            np.add.at(table_GCK[:, c], rows_E, system.terms)
    return tables[0], tables[1]


def _interval(drawn_R: FloatArray, found: float, num_groups: int, largest: float) -> Interval:
    """The interval of a difference from -`largest` to `largest`, which always has a width; see above."""
    interval = percentile_interval(drawn_R)
    if interval.high - interval.low > ROUNDING * largest:
        return interval
    num, mean = num_groups + 2, num_groups * found / (num_groups + 2)
    variance = (num_groups * found**2 + 2 * largest**2) / num - mean**2
    half = Z_95 * math.sqrt(variance / num)
    return Interval(max(-largest, mean - half), min(largest, mean + half))


def _sums(times_RG: FloatArray, terms_GCK: FloatArray) -> FloatArray:
    """The sums over groups, each of them taken so many times, (R, C, K)."""
    return np.tensordot(times_RG, terms_GCK, axes=1)


def _comparison(pairs: Paired, difference: Estimate, p_value: float) -> PairedComparison:
    a_E, b_E = np.array(pairs.a.per_example), np.array(pairs.b.per_example)
    return PairedComparison(
        value_a=pairs.a.value,
        value_b=pairs.b.value,
        difference=difference,
        p_value=p_value,
        num_wins=int((a_E > b_E).sum()),
        num_losses=int((a_E < b_E).sum()),
        num_examples=len(a_E),
    )


def _mean_comparison(compared: Sequence[PairedComparison], difference: Estimate, p_value: float) -> PairedComparison:
    return PairedComparison(
        value_a=float(np.mean([one.value_a for one in compared])),
        value_b=float(np.mean([one.value_b for one in compared])),
        difference=difference,
        p_value=p_value,
        num_wins=sum(one.num_wins for one in compared),
        num_losses=sum(one.num_losses for one in compared),
        num_examples=sum(one.num_examples for one in compared),
    )
