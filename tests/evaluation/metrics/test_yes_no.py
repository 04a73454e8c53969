"""POPE: how answers are read, and the five figures."""

import pytest

from mblip.evaluation.metrics.yes_no import read_yes_no, score_yes_no


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ("yes", "yes"),
        ("Yes, there is.", "yes"),
        ("no", "no"),
        ("No, there is a dog.", "no"),
        ("There is not a dog", "no"),
        ("Yes. There is not much more", "yes"),  # the first sentence counts
        ("yes, no", "no"),
        # What POPE's evaluate.py does not see:
        ("NO", "yes"),
        ("no!", "yes"),
        ("no\n", "yes"),
        ("I cannot tell", "yes"),
        ("nothing", "yes"),
        (" .No", "yes"),
        ("", "yes"),
    ],
)
def test_an_answer_is_no_by_three_words_of_its_first_sentence(answer, read):
    assert read_yes_no(answer) == read


def test_the_five_figures():
    answers = ["yes", "yes", "Yes, a dog", "no", "no"]
    labels = ["yes", "yes", "no", "no", "yes"]
    scores = score_yes_no(answers, labels)
    assert scores.accuracy == 3 / 5
    assert (scores.precision, scores.recall) == (2 / 3, 2 / 3)
    assert scores.f1 == pytest.approx(2 / 3)
    assert scores.yes_share == 3 / 5
    assert scores.is_right == (True, True, False, True, False)
    assert (scores.num_empty, scores.num_assumed_yes) == (0, 0)


def test_an_empty_answer_is_never_right_and_no_yes():
    scores = score_yes_no(["", " ", "yes", "no"], ["yes", "no", "yes", "no"])
    assert scores.is_right == (False, False, True, True)
    assert (scores.precision, scores.recall, scores.yes_share) == (1.0, 0.5, 0.25)
    assert (scores.num_empty, scores.num_assumed_yes) == (2, 0)


def test_an_empty_answer_is_yes_where_that_is_asked_for():
    scores = score_yes_no(["", " ", "yes", "no"], ["yes", "no", "yes", "no"], empty="yes")
    assert scores.is_right == (True, False, True, True)
    assert (scores.precision, scores.recall, scores.yes_share) == (2 / 3, 1.0, 0.75)
    assert (scores.num_empty, scores.num_assumed_yes) == (2, 2)


def test_a_yes_that_nobody_said_is_counted():
    scores = score_yes_no(["There is a dog", "YES!", "eyes", "no"], ["yes", "yes", "yes", "no"])
    assert (scores.accuracy, scores.num_assumed_yes) == (1.0, 2)


@pytest.mark.parametrize(
    ("answers", "labels", "figures"),
    [
        (["no", "no"], ["yes", "no"], (None, 0.0, 0.0)),
        (["yes", "no"], ["no", "no"], (0.0, None, 0.0)),
        (["no", "no"], ["no", "no"], (None, None, None)),
        (["yes", "no"], ["no", "yes"], (0.0, 0.0, 0.0)),
    ],
)
def test_figures_without_any_yes_are_none(answers, labels, figures):
    scores = score_yes_no(answers, labels)
    assert (scores.precision, scores.recall, scores.f1) == figures


def test_other_labels_and_ways_are_an_error():
    with pytest.raises(ValueError, match="Label 1 is 'Yes', expected 'yes' or 'no'"):
        score_yes_no(["yes", "yes"], ["yes", "Yes"])
    with pytest.raises(ValueError, match="Found empty='no', expected one of wrong, yes"):
        score_yes_no(["yes"], ["yes"], empty="no")
    with pytest.raises(ValueError, match="Found 1 answers and 2 references"):
        score_yes_no(["yes"], ["yes", "no"])
