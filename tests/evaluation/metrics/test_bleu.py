"""BLEU of cases small enough to work out by hand."""

import math

import pytest

from mblip.evaluation.metrics.bleu import bleu
from mblip.evaluation.metrics.ngram_counts import count_ngrams


def scores(hypotheses, references):
    return bleu(count_ngrams([text.split() for text in hypotheses], [[r.split() for r in g] for g in references]))


def test_a_caption_like_its_reference_has_nearly_one():
    for score in scores(["a dog runs home"], [["a dog runs home"]]):
        assert score.overall == pytest.approx(1.0, abs=1e-8)
        assert score.per_image == (score.overall,)


def test_each_word_is_right_as_often_as_the_reference_with_most_of_it():
    # Of the four "the", two are right: the second reference has two.
    one, two, three, four = scores(["the the the the"], [["the cat sat down", "the the sat down"]])
    assert one.overall == pytest.approx(2 / 4, abs=1e-8)
    assert two.overall == pytest.approx(math.sqrt(2 / 4 * 1 / 3), abs=1e-8)
    # No triple is right: 1e-15 of two, as the reference implementation smoothes.
    assert three.overall == pytest.approx((2 / 4 * 1 / 3 * 1e-15 / 2) ** (1 / 3), rel=1e-6)
    assert four.overall == pytest.approx((2 / 4 * 1 / 3 * 1e-15 / 2 * 1e-15) ** (1 / 4), rel=1e-6)


@pytest.mark.parametrize(
    ("hypothesis", "references", "reference_length"),
    [
        ("a b", ["a b c d e", "a b c"], 3),
        ("a b", ["a b c", "a"], 1),  # equally near: the shorter one, so no penalty
        ("a b c d", ["a", "a b c d e f"], 6),
    ],
)
def test_the_penalty_compares_with_the_reference_nearest_in_length(hypothesis, references, reference_length):
    length = len(hypothesis.split())
    penalty = min(1.0, math.exp(1 - reference_length / length))
    assert scores([hypothesis], [references])[0].overall == pytest.approx(penalty, abs=1e-8)


def test_the_set_is_scored_from_its_counts_and_not_from_the_mean_of_images():
    one = scores(["a b c", "x"], [["a b c"], ["y"]])[0]
    assert one.per_image == pytest.approx((1.0, 0.0), abs=1e-5)
    assert one.overall == pytest.approx(3 / 4, abs=1e-8)


@pytest.mark.parametrize("reference", ["a dog", ""])
def test_an_empty_caption_has_zero(reference):
    assert [score.overall for score in scores([""], [[reference]])] == [0.0] * 4


def test_a_caption_of_one_word_has_no_pairs_and_a_tiny_share_for_them():
    # 0 right of 0 is (0 + 1e-15) / (0 + 1e-9).
    _, two, three, four = (score.overall for score in scores(["dog"], [["dog"]]))
    assert (two, three, four) == pytest.approx((1e-3, 1e-4, 10**-4.5), rel=1e-6)
