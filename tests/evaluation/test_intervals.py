"""Expected bounds: worked out by hand from the formulas, or printed by R's package contingencytables."""

import math

import pytest

from mblip.evaluation.metrics.intervals import Interval, paired_ratio_interval, wilson_interval


@pytest.mark.parametrize(
    ("num_right", "num_all", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),
        (5, 10, 0.2366, 0.7634),
        (190, 200, 0.9104, 0.9726),
        (0, 200, 0.0, 0.0188),
        (200, 200, 0.9812, 1.0),
        (1, 1, 0.2065, 1.0),
    ],
)
def test_wilson_intervals(num_right, num_all, low, high):
    interval = wilson_interval(num_right, num_all)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_the_ends_of_a_wilson_interval_are_exact():
    assert wilson_interval(0, 7).low == 0.0
    assert wilson_interval(7, 7).high == 1.0


@pytest.mark.parametrize(("num_right", "num_all"), [(0, 0), (3, 2), (-1, 2)])
def test_an_impossible_count_is_an_error(num_right, num_all):
    with pytest.raises(ValueError, match=rf"Found {num_right} right of {num_all} answers, expected at least one"):
        wilson_interval(num_right, num_all)


def pairs(both, ours_only, reference_only, neither):
    counts = ((both, (True, True)), (ours_only, (True, False)), (reference_only, (False, True)))
    rows = [pair for count, pair in counts for _ in range(count)] + [(False, False)] * neither
    return [ours for ours, _ in rows], [reference for _, reference in rows]


def test_the_ratio_interval_is_that_of_the_published_example():
    # Cavo et al. (2012) in Fagerland, Lydersen and Laake: 59, 6, 16, 80; ratio 65 / 75.
    interval = paired_ratio_interval(*pairs(59, 6, 16, 80))
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.7579, 0.9910)


def test_two_models_that_are_always_right_have_a_ratio_interval_with_a_width():
    interval = paired_ratio_interval(*pairs(200, 0, 0, 0))
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.9904, 1.0097)


def test_images_that_both_got_wrong_do_not_move_the_ratio_interval():
    assert paired_ratio_interval(*pairs(59, 6, 16, 0)) == paired_ratio_interval(*pairs(59, 6, 16, 80))


def test_a_reference_that_is_never_right_bounds_the_ratio_from_below_only():
    assert paired_ratio_interval(*pairs(0, 0, 0, 4)) == Interval(0.0, math.inf)
    interval = paired_ratio_interval(*pairs(0, 3, 0, 1))
    assert interval.low > 0
    assert interval.high == math.inf


def test_answers_that_are_not_paired_are_an_error():
    with pytest.raises(ValueError, match="Found 2 answers and 1 reference answers, expected one pair per image"):
        paired_ratio_interval([True, True], [True])
