"""Compares two systems on the same examples: the difference of their means, its interval and its p-value.

We take differences example by example, so an image that is hard for both systems does not matter. The interval is the
bootstrap of bootstrap.py; an image set that is drawn is drawn in every language.

The p-value is that of the paired permutation test. If the systems were equal, you could swap their answers to an image
set at random. p is the share of random swaps with a difference at least as large as the observed one, in either
direction, with the observed one included (B. Phipson, G. K. Smyth, Permutation P-values Should Never Be Zero, 2010).
Each language is a test; `holm` corrects for their number.

Shape suffixes: E = examples, G = groups, C = columns (languages), R = resamples.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .bootstrap import (
    CHUNK,
    NUM_RESAMPLES,
    ROUNDING,
    Estimate,
    FloatArray,
    column_sums,
    draw_column_means,
    mean_of_columns,
    percentile_interval,
)


@dataclass(frozen=True)
class PairedScores:
    """The scores of systems A and B on the same examples. `groups`: each example's group, such as its image set."""

    scores_a: Sequence[float]
    scores_b: Sequence[float]
    groups: Sequence[Hashable]


@dataclass(frozen=True)
class PairedComparison:
    """System A against system B. `difference` is A's mean minus B's. A scores higher in `num_wins` examples, B in
    `num_losses`."""

    mean_a: float
    mean_b: float
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
    """Compare two systems. Entry i of both is about example i.

    Raises:
        ValueError: the lengths differ, there are no scores, or a score is not finite.
    """
    pairs = PairedScores(scores_a, scores_b, range(len(scores_a)) if groups is None else groups)
    return compare_columns({"": pairs}, num_resamples=num_resamples, seed=seed)[0][""]


def compare_columns(
    columns: Mapping[str, PairedScores], *, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> tuple[dict[str, PairedComparison], PairedComparison]:
    """Compare two systems in several languages, and in the mean over languages with equal weights.

    Groups with the same name are one group in all languages. If a resample has no example in a language, its mean is
    over the other languages.

    Returns:
        The comparison in each language, and that of the mean. Wins, losses and examples of the mean are totals.

    Raises:
        ValueError: see `compare_paired`; or there are no languages.
    """
    if not columns:
        raise ValueError("Found no languages to compare two systems in, expected at least one.")
    sums_GC, counts_GC = _tabulate(columns)
    found_C = sums_GC.sum(0) / counts_GC.sum(0)
    found_C = np.append(found_C, found_C.mean())
    drawn_RC = draw_column_means(sums_GC, counts_GC, num_resamples=num_resamples, seed=seed)
    drawn_RC = np.column_stack([drawn_RC, mean_of_columns(drawn_RC)])
    p_values_C = _permutation_p_values(sums_GC / counts_GC.sum(0), found_C, num_resamples, seed)
    estimates = [Estimate(float(found), percentile_interval(drawn_RC[:, c])) for c, found in enumerate(found_C)]
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


def _tabulate(columns: Mapping[str, PairedScores]) -> tuple[FloatArray, FloatArray]:
    """The sum and the number of differences per group and language, both (G, C)."""
    for pairs in columns.values():
        if len(pairs.scores_a) != len(pairs.scores_b):
            raise ValueError(
                f"Found {len(pairs.scores_a)} scores of one system and {len(pairs.scores_b)} of the other, "
                "expected the same number. Score both on the same examples."
            )
    return column_sums([(np.subtract(pairs.scores_a, pairs.scores_b), pairs.groups) for pairs in columns.values()])


def _permutation_p_values(parts_GC: FloatArray, found_C: FloatArray, num_resamples: int, seed: int) -> FloatArray:
    """The p-value of each language, and then of the mean. `parts_GC`: the contribution of each group to the mean."""
    generator = np.random.default_rng(seed)
    parts_GC = np.column_stack([parts_GC, parts_GC.mean(axis=1)])
    num_as_large_C = np.zeros(len(found_C))
    for start in range(0, num_resamples, CHUNK):
        heads_RG = generator.integers(2, size=(min(CHUNK, num_resamples - start), len(parts_GC)), dtype=np.int8)
        tossed_RC = (2.0 * heads_RG - 1.0) @ parts_GC
        num_as_large_C += (np.abs(tossed_RC) >= np.abs(found_C) * (1 - ROUNDING)).sum(0)
    return (1 + num_as_large_C) / (1 + num_resamples)


def _comparison(pairs: PairedScores, difference: Estimate, p_value: float) -> PairedComparison:
    differences_E = np.subtract(pairs.scores_a, pairs.scores_b)
    return PairedComparison(
        mean_a=float(np.mean(pairs.scores_a)),
        mean_b=float(np.mean(pairs.scores_b)),
        difference=difference,
        p_value=p_value,
        num_wins=int((differences_E > 0).sum()),
        num_losses=int((differences_E < 0).sum()),
        num_examples=len(differences_E),
    )


def _mean_comparison(compared: Sequence[PairedComparison], difference: Estimate, p_value: float) -> PairedComparison:
    return PairedComparison(
        mean_a=float(np.mean([one.mean_a for one in compared])),
        mean_b=float(np.mean([one.mean_b for one in compared])),
        difference=difference,
        p_value=p_value,
        num_wins=sum(one.num_wins for one in compared),
        num_losses=sum(one.num_losses for one in compared),
        num_examples=sum(one.num_examples for one in compared),
    )
