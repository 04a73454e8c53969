"""Two systems on the same examples: small cases counted by hand, and how often chance alone is believed."""

import numpy as np
import pytest

from mblip.evaluation.metrics.figure_sums import ratio
from mblip.evaluation.metrics.intervals import Interval
from mblip.evaluation.metrics.paired_comparison import Paired, compare_columns, compare_paired, holm


def means(scores_a, scores_b, groups):
    return Paired(ratio(scores_a), ratio(scores_b), groups)


def test_means_wins_and_losses_are_those_of_the_examples():
    compared = compare_paired([1.0, 0.5, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0])
    assert (compared.value_a, compared.value_b, compared.difference.value) == (0.375, 0.25, 0.125)
    assert (compared.num_wins, compared.num_losses, compared.num_examples) == (1, 1, 4)


def test_a_system_compared_with_itself_differs_by_nothing():
    compared = compare_paired([0.1, 0.7, 0.3], [0.1, 0.7, 0.3])
    assert compared.difference.value == 0.0
    assert compared.p_value == 1.0


def test_equal_differences_have_bonett_and_prices_interval_which_has_a_width():
    # Among 4 + 2 images A alone is right in 5 and B in 1, or each in one.
    above = compare_paired([1.0] * 4, [0.0] * 4).difference
    half = 1.959964 * ((1 - (4 / 6) ** 2) / 6) ** 0.5
    assert (above.value, above.interval.high) == (1.0, 1.0)
    assert above.interval.low == pytest.approx(4 / 6 - half)
    same = compare_paired([1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0]).difference.interval
    half = 1.959964 * (2 / 6 / 6) ** 0.5
    assert (same.low, same.high) == pytest.approx((-half, half))


def test_equal_means_of_swapped_scores_have_a_p_value_of_one_whatever_the_rounding():
    a, b = [0.6, 0.3, 0.6, 0.1, 0.3, 0.0], [0.1, 0.6, 0.0, 0.3, 0.3, 0.6]
    assert sum(a) != sum(b)  # by 1e-16
    assert compare_paired(a, b).p_value == 1.0


def test_swaps_in_which_a_figure_is_not_defined_do_not_count():
    # Precision: A says yes once, rightly; B four times, twice rightly. In 4 of 64 swaps one system never says yes.
    a = ratio([1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0])
    b = ratio([0, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 0])
    compared, _ = compare_columns({"en": Paired(a, b, range(6))}, num_resamples=40_000)
    assert compared["en"].p_value == pytest.approx(36 / 60, abs=0.01)


def test_the_p_value_is_the_share_of_tosses_as_extreme():
    # All three differences point one way: so do 2 of the 8 tosses.
    compared = compare_paired([0.3, 0.1, 0.1], [0.0, 0.0, 0.0], num_resamples=40_000)
    assert compared.p_value == pytest.approx(2 / 8, abs=0.01)


def test_the_answers_to_one_image_are_tossed_together():
    scores = [1.0] * 6
    alone = compare_paired(scores, [0.0] * 6)
    together = compare_paired(scores, [0.0] * 6, ["a", "a", "a", "b", "b", "b"])
    assert alone.p_value == pytest.approx(2 / 64, abs=0.01)
    assert together.p_value == pytest.approx(2 / 4, abs=0.02)


def test_rounding_does_not_part_equal_differences():
    differences = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert compare_paired(differences, [0.0] * 7, num_resamples=40_000).p_value == pytest.approx(2 / 128, abs=0.003)


def test_pairing_finds_what_intervals_of_each_system_hide():
    hardness, gain = np.random.default_rng(0).random((2, 200))
    compared = compare_paired((hardness + 0.02 * gain).tolist(), hardness.tolist())
    assert compared.difference.interval.low > 0.009
    assert compared.p_value < 0.001


def test_the_mean_counts_every_language_alike():
    columns = {
        "sw": means([1.0, 1.0, 1.0, 0.0], [0.0] * 4, ["1", "2", "3", "4"]),
        "de": means([0.0], [1.0], ["1"]),
    }
    compared, mean = compare_columns(columns)
    assert (compared["sw"].difference.value, compared["de"].difference.value) == (0.75, -1.0)
    assert (mean.value_a, mean.value_b, mean.difference.value) == (0.375, 0.5, -0.125)
    assert (mean.num_wins, mean.num_losses, mean.num_examples) == (3, 1, 5)


def test_an_image_is_drawn_in_all_languages_at_once():
    generator = np.random.default_rng(0)
    hard, other = generator.random(100).tolist(), generator.random(100).tolist()
    images, none = [str(image) for image in range(100)], [0.0] * 100
    _, same = compare_columns({code: means(hard, none, images) for code in ("de", "sw")})
    single = compare_paired(hard, none, images)
    bounds = [(one.difference.interval.low, one.difference.interval.high) for one in (same, single)]
    assert bounds[0] == pytest.approx(bounds[1])  # the second language tells nothing more
    _, different = compare_columns({"de": means(hard, none, images), "sw": means(other, none, images)})
    widths = [one.difference.interval.high - one.difference.interval.low for one in (same, different)]
    assert widths[1] < 0.85 * widths[0]


def test_a_language_with_one_image_is_skipped_in_resamples_without_it():
    columns = {
        "de": means([0.5, 0.5], [0.0, 0.0], ["1", "2"]),
        "sw": means([1.0], [0.0], ["1"]),
    }
    compared, mean = compare_columns(columns)
    assert compared["sw"].difference.interval.low < 1.0  # one image says little
    assert mean.difference.interval == Interval(0.5, 0.75)


def test_scores_that_are_not_paired_are_an_error():
    with pytest.raises(ValueError, match="Found 2 scores of one system, 1 of the other and 2 groups"):
        compare_paired([0.0, 1.0], [0.0])
    with pytest.raises(ValueError, match="Found no languages"):
        compare_columns({})


def test_a_ratio_of_sums_is_drawn_and_swapped_as_sums():
    # Recall: A finds both, B none; the last two examples have nothing to find.
    has_one = [1.0, 1.0, 0.0, 0.0]
    pairs = Paired(ratio(has_one, has_one), ratio([0.0] * 4, has_one), ["1", "2", "3", "4"])
    compared, mean = compare_columns({"de": pairs}, num_resamples=40_000)
    assert (compared["de"].value_a, compared["de"].value_b, compared["de"].num_wins) == (1.0, 0.0, 2)
    assert compared["de"].p_value == pytest.approx(1 / 2, abs=0.01)
    assert mean.difference.interval.high == 1.0


def test_a_language_in_which_the_figure_is_not_defined_does_not_count_in_a_resample():
    columns = {
        "de": means([0.5, 0.5], [0.0, 0.0], ["1", "2"]),
        "sw": Paired(ratio([1.0, 0.0], [1.0, 0.0]), ratio([0.0, 0.0], [1.0, 0.0]), ["1", "2"]),
    }
    _, mean = compare_columns(columns)
    assert mean.difference.interval == Interval(0.5, 0.75)


def test_holm_multiplies_the_smallest_by_all_and_never_goes_down():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_systems_that_are_alike_are_told_apart_in_about_a_twentieth_of_comparisons():
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 3).tolist()
    num_believed = 0
    for seed in range(300):
        differences = (generator.normal(size=(40, 1)) + generator.normal(size=(40, 3))).ravel()
        compared = compare_paired(differences.tolist(), [0.0] * 120, groups, num_resamples=300, seed=seed)
        num_believed += compared.p_value <= 0.05
    assert 0.025 < num_believed / 300 < 0.08
