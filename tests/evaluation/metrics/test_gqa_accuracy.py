"""GQA's exact and relaxed match, as the original mBLIP has them."""

import json
import os
from pathlib import Path

import pytest

from mblip.evaluation.metrics.gqa_accuracy import is_gqa_match, is_relaxed_gqa_match, score_gqa

REAL = Path(os.environ.get("MBLIP_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "gqa"


@pytest.mark.parametrize(
    ("answer", "reference", "exact", "relaxed"),
    [
        ("Left.", "left", True, True),
        ("the left", "left", True, True),
        ("left", " Left ", True, True),
        ("on the left", "left", False, True),
        ("left side", "left", False, True),
        ("to the left of it", "left", False, False),
        ("nothing", "no", False, True),  # letters decide, not words
        ("t-shirt", "t-shirt", False, False),  # the answer is cleaned, the reference is not
        ("two", "2", True, True),
        ("", "no", False, False),
        ("the", "no", False, False),
    ],
)
def test_the_answer_is_cleaned_and_compared(answer, reference, exact, relaxed):
    assert (is_gqa_match(answer, reference), is_relaxed_gqa_match(answer, reference)) == (exact, relaxed)


def test_scores_count_empty_answers_and_references_that_no_answer_reaches():
    scores = score_gqa(["red", "a red car", " ", "t-shirt"], ["red", "car", "car", "t-shirt"])
    assert (scores.accuracy, scores.relaxed_accuracy) == (0.25, 0.5)
    assert scores.is_right == (True, False, False, False)
    assert scores.is_relaxed_right == (True, True, False, False)
    assert (scores.num_empty, scores.num_unreachable) == (1, 1)


def test_an_empty_reference_is_an_error():
    with pytest.raises(ValueError, match="Found an empty reference"):
        score_gqa(["red"], [" "])


@pytest.mark.skipif(not REAL.is_dir(), reason="no sample of gqa: set MBLIP_DATA to a folder with gqa/")
def test_eight_answers_of_the_real_vocabulary_are_out_of_reach():
    vocabulary = json.loads((REAL / "annotations" / "trainval_label2ans.json").read_text())
    scores = score_gqa(vocabulary, vocabulary)
    assert (len(vocabulary), sum(scores.is_right), scores.num_unreachable) == (1842, 1834, 8)
