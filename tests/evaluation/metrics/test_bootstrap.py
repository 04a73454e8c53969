"""Intervals by resampling: small cases by eye, coverage by simulation."""

import numpy as np
import pytest

from mblip.evaluation.metrics.bootstrap import (
    Estimate,
    column_sums,
    draw_groups,
    mean_estimate,
    score_interval,
)
from mblip.evaluation.metrics.intervals import Interval, wilson_interval

TRUE_MEAN = 2.0  # of the simulated scores


def coverage(num_groups, num_samples, *, is_grouped):
    """How often the interval holds the true mean: 4 examples a group, half their variance common to the group."""
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(num_groups), 4).tolist() if is_grouped else None
    num_held = 0
    for seed in range(num_samples):
        scores = generator.exponential(size=(num_groups, 1)) + generator.exponential(size=(num_groups, 4))
        interval = mean_estimate(scores.ravel(), groups, num_resamples=1000, seed=seed).interval
        num_held += interval.low <= TRUE_MEAN <= interval.high
    return num_held / num_samples


def test_every_group_is_drawn_as_often_as_there_are_groups_in_all():
    drawn = np.concatenate(list(draw_groups(5, 100, seed=0)))
    assert drawn.shape == (100, 5)
    assert (drawn.sum(axis=1) == 5).all()
    assert drawn.mean(axis=0).min() > 0.8
    assert drawn.max() > 1


def test_groups_of_unequal_size_count_every_example_alike():
    sums, counts = column_sums([([1.0, 0.0, 0.5, 0.0], ["a", "b", "a", "a"]), ([2.0], ["b"])])
    assert sums.tolist() == [[1.5, 0.0], [0.0, 2.0]]
    assert counts.tolist() == [[3.0, 0.0], [1.0, 1.0]]
    assert mean_estimate([1.0, 0.0, 0.5, 0.0], ["a", "b", "a", "a"]) == Estimate(0.375, Interval(0.0, 0.5))


def test_the_same_seed_gives_the_same_interval_and_another_one_another():
    scores = np.random.default_rng(1).random(30).tolist()
    assert mean_estimate(scores, seed=3) == mean_estimate(scores, seed=3)
    assert mean_estimate(scores, seed=3).interval != mean_estimate(scores, seed=4).interval


def test_more_resamples_are_the_first_ones_and_others():
    few, many = (np.concatenate(list(draw_groups(7, num, seed=0))) for num in (64, 96))
    assert (many[:64] == few).all()


def test_examples_of_a_group_stand_and_fall_together():
    scores = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
    alone = mean_estimate(scores)
    together = mean_estimate(scores, ["a", "a", "a", "b", "b", "b"])
    assert together == Estimate(0.5, Interval(0.0, 1.0))
    assert alone.value == 0.5
    assert alone.interval.low > 0.0


def test_equal_scores_have_an_interval_without_width():
    assert mean_estimate([0.25] * 9) == Estimate(0.25, Interval(0.25, 0.25))


@pytest.mark.parametrize(
    ("scores", "groups", "share"),
    [([0.0] * 22, range(22), 0.0), ([0.5, 0.5], "ab", 0.5), ([0.3] * 9, range(9), 0.3), ([0, 1, 0, 1], "aabb", 0.5)],
)
def test_an_interval_keeps_a_width_if_the_means_of_all_groups_are_equal(scores, groups, share):
    num_groups = len(set(groups))
    interval = score_interval(scores, list(groups), is_share=False)
    expected = wilson_interval(share * num_groups, num_groups)
    assert interval.low == pytest.approx(expected.low)
    assert interval.high == pytest.approx(expected.high)
    assert interval.low <= share <= interval.high
    assert interval.high - interval.low > 0.1


def test_an_interval_without_width_is_widened_in_the_range_of_the_scores():
    assert score_interval([0.0] * 22, range(22), is_share=False, highest=10.0) == Interval(
        0.0, 10 * wilson_interval(0, 22).high
    )


def test_an_interval_with_a_width_is_the_bootstraps_and_that_of_a_share_wilsons():
    scores = [0.0, 0.3, 1.0, 0.6]
    assert score_interval(scores, range(4), is_share=False) == mean_estimate(scores).interval
    assert score_interval([1, 0, 1, 1], range(4), is_share=True) == wilson_interval(3, 4)
    assert score_interval([1, 0, 1, 1], "aabb", is_share=True) == mean_estimate([1, 0, 1, 1], "aabb").interval


@pytest.mark.slow
@pytest.mark.parametrize(("num_groups", "expected", "alone"), [(10, 1.0, 0.34), (22, 1.0, 0.56), (50, 0.93, 0.785)])
def test_the_coverage_that_score_interval_states(num_groups, expected, alone):
    generator, groups = np.random.default_rng(0), np.repeat(np.arange(num_groups), 2).tolist()
    num_held = num_held_alone = 0
    for _ in range(400):
        is_some = generator.random((num_groups, 2)) < 0.02
        scores = np.where(is_some, generator.integers(1, 4, size=(num_groups, 2)) / 3, 0.0).ravel()
        interval = score_interval(scores, groups, is_share=False)
        num_held += interval.low <= 0.02 * 2 / 3 <= interval.high
        num_held_alone += bool(scores.any()) and interval.low <= 0.02 * 2 / 3 <= interval.high
    assert num_held / 400 == pytest.approx(expected, abs=0.01)
    assert num_held_alone / 400 == pytest.approx(alone, abs=0.01)


@pytest.mark.parametrize(
    ("scores", "groups", "message"),
    [
        ([], None, "Found 0 scores and 0 groups, expected one group per score, at least one"),
        ([1.0, 2.0], ["a"], "Found 2 scores and 1 groups"),
        ([1.0, float("nan")], None, "Found the score nan at position 1, expected finite numbers"),
    ],
)
def test_scores_that_have_no_mean_are_an_error(scores, groups, message):
    with pytest.raises(ValueError, match=message):
        mean_estimate(scores, groups)


def test_no_resamples_are_an_error():
    with pytest.raises(ValueError, match="Found 3 groups and 0 resamples, expected at least one of each"):
        mean_estimate([1.0, 2.0, 3.0], num_resamples=0)


def test_the_true_mean_is_in_the_interval_of_50_groups_about_as_often_as_promised():
    assert 0.90 < coverage(50, 600, is_grouped=True) < 0.97


def test_without_groups_the_interval_of_grouped_examples_is_far_too_narrow():
    assert coverage(50, 300, is_grouped=False) < 0.83


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_groups", "is_grouped", "expected"),
    [(20, True, 0.908), (50, True, 0.931), (200, True, 0.946), (200, False, 0.774)],
)
def test_the_coverage_that_bootstrap_py_states(num_groups, is_grouped, expected):
    assert coverage(num_groups, 2000, is_grouped=is_grouped) == pytest.approx(expected, abs=0.02)
