"""ROUGE-L of cases small enough to work out by hand, and the longest common subsequence against the usual table."""

import random

import pytest

from mblip.evaluation.metrics.rouge_l import rouge_l


def score(hypothesis, *references):
    return rouge_l([hypothesis.split()], [[text.split() for text in references]]).overall


def f_measure(precision, recall):
    return (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision)


@pytest.mark.parametrize(
    ("hypothesis", "reference", "precision", "recall"),
    [
        ("a dog", "a dog", 1, 1),
        ("a dog", "a big dog", 1, 2 / 3),
        ("dog a big", "a big dog", 2 / 3, 2 / 3),
        ("a a a", "a b", 1 / 3, 1 / 2),
        ("a b a b", "b a b a", 3 / 4, 3 / 4),
    ],
)
def test_rouge_l_of_one_reference(hypothesis, reference, precision, recall):
    assert score(hypothesis, reference) == pytest.approx(f_measure(precision, recall), abs=1e-15)


def test_precision_and_recall_are_the_best_of_any_reference():
    # "a b c d" has all of the hypothesis, "a" is all in it.
    assert score("a b", "a b c d", "a") == 1.0


def test_nothing_in_common_is_zero():
    assert score("a dog", "two cats", "") == 0.0


@pytest.mark.parametrize(("reference", "expected"), [("a dog", 0.0), ("", 1.0)])
def test_an_empty_caption_equals_an_empty_reference_only(reference, expected):
    assert score("", reference) == expected


def test_a_token_with_a_space_inside_is_one_word():
    assert rouge_l([["1\u00a01/2"]], [[["1", "1/2"]]]).overall == 0.0


def table_length(left, right):
    """The usual table, cell by cell."""
    row = [0] * (len(right) + 1)
    for word in left:
        above = row[:]
        for i, other in enumerate(right, start=1):
            row[i] = above[i - 1] + 1 if word == other else max(above[i], row[i - 1])
    return row[-1]


def test_the_common_length_is_that_of_the_table():
    draw = random.Random(0)
    for _ in range(300):
        left, right = (draw.choices("abcd", k=draw.choice([1, 2, 7, 40, 130])) for _ in range(2))
        common = table_length(left, right)
        expected = f_measure(common / len(left), common / len(right)) if common else 0.0
        assert rouge_l([left], [[right]]).overall == pytest.approx(expected, abs=1e-15)


def test_the_set_has_the_mean_of_its_images():
    found = rouge_l([["a"], ["b"], ["c"]], [[["a"]], [["b"]], [["x"]]])
    assert found.per_image == (1.0, 1.0, 0.0)
    assert found.overall == 2 / 3


def test_a_text_where_a_list_of_references_belongs_is_an_error():
    with pytest.raises(ValueError, match="Image 0: found the text 'a dog', expected a list of at least one reference"):
        rouge_l([["a"]], ["a dog"])
