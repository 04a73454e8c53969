"""CIDEr-D of cases small enough to work out by hand."""

import math

import pytest

from mblip.evaluation.metrics.cider import cider_d
from mblip.evaluation.metrics.ngram_counts import count_ngrams


def scores(hypotheses, references):
    return cider_d(count_ngrams([text.split() for text in hypotheses], [[r.split() for r in g] for g in references]))


def test_a_caption_like_its_only_reference_has_ten():
    found = scores(["a dog runs home", "two old cats sleep"], [["a dog runs home"], ["two old cats sleep"]])
    assert found.per_image == pytest.approx((10.0, 10.0))
    assert found.overall == pytest.approx(10.0)


def test_short_captions_have_no_longer_ngrams_to_agree_in():
    assert scores(["dog", "a cat"], [["dog"], ["a cat"]]).per_image == pytest.approx((2.5, 5.0))


def test_a_word_that_every_image_has_weighs_nothing():
    # "a" is in both references, so the cosine is that of the other words alone.
    assert scores(["a", "a cat"], [["a dog"], ["a cat"]]).per_image == pytest.approx((0.0, 5.0))


def test_the_mean_is_over_references_and_orders():
    # One word of the second reference's two is right (cosine 1 / sqrt 2), and it is one pair longer.
    found = scores(["cats", "x"], [["cats", "two cats"], ["y"]])
    penalty = math.exp(-1 / (2 * 6**2))
    assert found.per_image[0] == pytest.approx(10 * (1 + penalty / math.sqrt(2)) / 4 / 2)


def test_repeating_a_word_does_not_count_twice():
    once = scores(["dog b", "x"], [["dog b"], ["y"]]).per_image[0]
    # Weights 3 and 1 against 1 and 1, clipped to 1 and 1: 2 / (sqrt 10 * sqrt 2) of single words; 1 of 3 kinds of
    # pairs is right; two pairs more.
    thrice = scores(["dog dog dog b", "x"], [["dog b"], ["y"]]).per_image[0]
    penalty = math.exp(-(2**2) / (2 * 6**2))
    assert once == pytest.approx(5.0)
    assert thrice == pytest.approx(10 / 4 * penalty * (2 / math.sqrt(20) + 1 / math.sqrt(5)))


def test_rarity_is_counted_in_the_references_of_the_set():
    pair = scores(["a dog", "x"], [["a dog"], ["a y"]])
    more = scores(["a dog", "x", "x"], [["a dog"], ["a y"], ["z"]])
    assert pair.per_image[0] == pytest.approx(5.0)
    assert more.per_image[0] == pytest.approx(5.0)
    # A hypothesis without "dog" shares "a", which weighs nothing in the pair but something among three.
    assert scores(["a cat", "x"], [["a dog"], ["a y"]]).per_image[0] == 0.0
    assert scores(["a cat", "x", "x"], [["a dog"], ["a y"], ["z"]]).per_image[0] > 0.0


def test_a_single_image_has_zero_whatever_it_says():
    assert scores(["a dog"], [["a dog"]]).overall == 0.0


def test_an_empty_caption_has_zero():
    assert scores(["", "a cat"], [["a dog", ""], ["a cat"]]).per_image == pytest.approx((0.0, 5.0))


def test_references_without_words_are_scored():
    assert scores(["a", ""], [[""], [""]]).per_image == (0.0, 0.0)
