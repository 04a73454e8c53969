"""MaXM's exact match: small letters, no space around it, nothing cleaned."""

import pytest

from mblip.evaluation.metrics.maxm_accuracy import is_maxm_match, score_maxm


@pytest.mark.parametrize(
    ("answer", "references", "is_right"),
    [
        ("Rouge", ["rouge", "le rouge"], True),
        (" le rouge\n", ["rouge", "Le Rouge "], True),
        ("la rouge", ["rouge", "le rouge"], False),  # articles stay
        ("rouge.", ["rouge"], False),
        ("deux", ["2"], False),
        ("สองคน", ["2 คน", "สองคน"], True),
        ("", ["rouge"], False),
        ("", [""], False),
    ],
)
def test_an_answer_equals_a_processed_answer_or_is_wrong(answer, references, is_right):
    assert is_maxm_match(answer, references) is is_right


def test_the_accuracy_is_the_share_of_right_answers():
    scores = score_maxm(["rouge", "", "bleu"], [["rouge"], ["vert"], ["noir", "bleu"]])
    assert scores.accuracy == 2 / 3
    assert scores.is_right == (True, False, True)
    assert scores.num_empty == 1


@pytest.mark.parametrize(("references", "found"), [([[]], "0 references"), (["rouge"], "the string 'rouge'")])
def test_a_question_without_a_list_of_answers_is_an_error(references, found):
    with pytest.raises(ValueError, match=f"Answer 0: found {found}, expected a list of at least 1"):
        score_maxm(["rouge"], references)
