"""95 % intervals of shares of right answers, and of the ratio of two such shares.

Both are closed formulas. Unlike the normal approximation and the bootstrap, they have a width at 0 % and 100 %, too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

Z_95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`, both included."""

    low: float
    high: float


def wilson_interval(num_right: float, num_all: int, z: float = Z_95) -> Interval:
    """The interval of a share of `num_right` among `num_all` independent answers. An answer may be partly right.

    The score interval of E. B. Wilson, Probable inference, the law of succession, and statistical inference (JASA 22,
    1927), in the form of R's package contingencytables (`Wilson_score_CI_1x2`).

    Raises:
        ValueError: there are no answers, or more right answers than answers.
    """
    if not 0 <= num_right <= num_all or num_all == 0:
        raise ValueError(f"Found {num_right} right of {num_all} answers, expected at least one answer.")
    share = num_right / num_all
    middle = (share + z**2 / (2 * num_all)) / (1 + z**2 / num_all)
    half = z * math.sqrt(share * (1 - share) / num_all + z**2 / (4 * num_all**2)) / (1 + z**2 / num_all)
    # At the ends the formula gives exactly 0 and 1, but floating-point arithmetic would not.
    return Interval(middle - half if num_right else 0.0, middle + half if num_right < num_all else 1.0)


def paired_ratio_interval(is_right: Sequence[bool], is_right_reference: Sequence[bool]) -> Interval:
    """The interval of the ratio of two shares measured on the same images. Entry i of each is about image i.

    The hybrid score interval of Bonett and Price combines Wilson intervals of both shares, narrowed by the agreement
    of the pairs. We use the form of R's package contingencytables (`BonettPrice_hybrid_Wilson_score_CI_paired_2x2`)
    for Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables (2017), chapter 8. In simulations
    with 200 images and shares from 60 to 95 %, it contained the true ratio 95 to 96 % of the time.

    Returns:
        The interval of (share of `is_right`) / (share of `is_right_reference`). `high` is infinite if the reference is
        never right.

    Raises:
        ValueError: the two differ in length, or are empty.
    """
    if len(is_right) != len(is_right_reference) or not is_right:
        raise ValueError(
            f"Found {len(is_right)} answers and {len(is_right_reference)} reference answers, "
            "expected one pair per image, at least one."
        )
    pairs = list(zip(is_right, is_right_reference, strict=True))
    num_any = sum(a or b for a, b in pairs)  # images that both got wrong do not affect the ratio
    if num_any == 0:
        return Interval(0.0, math.inf)
    num_right, num_reference = sum(is_right), sum(is_right_reference)
    num_different = sum(a != b for a, b in pairs)
    spread = math.sqrt((num_different + 2) / ((num_right + 1) * (num_reference + 1)))
    z = Z_95 * spread / (_log_spread(num_right, num_any) + _log_spread(num_reference, num_any))
    ours, reference = wilson_interval(num_right, num_any, z), wilson_interval(num_reference, num_any, z)
    return Interval(ours.low / reference.high, math.inf if reference.low == 0 else ours.high / reference.low)


def _log_spread(num_right: int, num_all: int) -> float:
    """The standard error of the logarithm of a share, with one right and one wrong answer added."""
    return math.sqrt((1 - (num_right + 1) / (num_all + 2)) / (num_right + 1))
