"""Choices among candidates: what chooses one, what chooses none, and counts per class."""

import pytest

from mblip.evaluation.metrics.choice_accuracy import ClassCounts, choose, score_choices

ENTAILMENT = ("yes", "no", "maybe")


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [
        ("yes", "yes"),
        ("Yes.", "yes"),
        (" NO!\n", "no"),
        ("'maybe'", "maybe"),
        ("“Maybe”…", "maybe"),
        ("yes:", "yes"),
        ("(no)", "no"),
        ("a maybe", "maybe"),  # articles go away, as in the original
        ("yes, it is", None),
        ("yes no", None),
        ("yesterday", None),
        ("", None),
        ("!?", None),
    ],
)
def test_an_answer_chooses_the_candidate_that_it_is(answer, chosen):
    assert choose(answer, ENTAILMENT) == chosen


def test_candidates_may_be_of_any_script():
    assert choose("「はい」。", ("はい", "いいえ")) == "はい"
    assert choose("ДА", ("да", "нет")) == "да"
    assert choose("e\u0301cole", ("\u00e9cole",)) == "\u00e9cole"


def test_a_class_that_never_wins_is_seen():
    answers = ["yes", "no", "yes", "yes", "", "I do not know"]
    references = ["yes", "no", "maybe", "maybe", "maybe", "no"]
    scores = score_choices(answers, references, ENTAILMENT)
    assert scores.accuracy == 2 / 6
    assert scores.is_right == (True, True, False, False, False, False)
    assert scores.chosen == ("yes", "no", "yes", "yes", None, None)
    assert scores.classes == {"yes": ClassCounts(1, 3, 1), "no": ClassCounts(2, 1, 1), "maybe": ClassCounts(3, 0, 0)}
    assert (scores.num_no_candidate, scores.num_empty) == (2, 1)


def test_a_reference_that_is_no_candidate_is_an_error():
    with pytest.raises(ValueError, match="Reference 1 is '-', expected one of yes, no, maybe"):
        score_choices(["yes", "no"], ["yes", "-"], ENTAILMENT)


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        (("yes", "Yes!"), "'Yes!' is equal to 'yes'"),
        (("yes", "the"), "'the' is empty"),
        (("none", "0"), "'0' is equal to 'none'"),
    ],
)
def test_candidates_that_normalising_makes_alike_are_an_error(candidates, message):
    with pytest.raises(ValueError, match=message):
        choose("yes", candidates)
