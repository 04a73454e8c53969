"""VQA accuracy by hand, and against the official evaluator's scores of real answers."""

import json
import os
from pathlib import Path

import pytest

from mblip.evaluation.metrics.vqa_accuracy import official_vqa_summary, score_vqa, vqa_accuracy

REAL = Path(os.environ.get("MBLIP_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "vqav2"


def annotators(*answers):
    """Ten answers: the given ones, then different ones."""
    return [*answers, *(f"other {letter}" for letter in "abcdefghij"[len(answers) :])]


@pytest.mark.parametrize(("num_equal", "accuracy"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_accuracy_is_the_mean_over_nine_of_ten_annotators(num_equal, accuracy):
    assert vqa_accuracy("net", annotators(*["net"] * num_equal)) == pytest.approx(accuracy, abs=1e-15)


def test_answers_and_references_are_cleaned_where_annotators_disagree():
    assert vqa_accuracy("The Net.", annotators("a net", "net", "net", "Net")) == 1.0
    assert vqa_accuracy("zero", annotators("none", "0", "no", "none")) == pytest.approx(0.9)


def test_only_the_very_text_is_right_where_annotators_agree():
    assert vqa_accuracy("yes", ["yes"] * 10) == 1.0
    assert vqa_accuracy("Yes", ["yes"] * 10) == 0.0
    assert vqa_accuracy("yes.", ["yes"] * 10) == 0.0
    assert vqa_accuracy("two", ["2"] * 10) == 0.0
    assert vqa_accuracy("a net", ["a net"] * 10) == 1.0


def test_white_space_is_neither_disagreement_nor_a_difference():
    assert vqa_accuracy("\nyes ", ["yes", " yes", "yes\n", "yes\t"]) == 1.0
    assert vqa_accuracy("Yes", ["yes", " yes", "yes\n", "yes\t"]) == 0.0


def test_an_empty_answer_is_right_only_with_annotators_who_said_as_little():
    scores = score_vqa(["", " ", "net"], [annotators("net"), annotators("?", "the", "?", ""), annotators("net")])
    assert scores.per_question == pytest.approx((0.0, 1.0, 0.3))
    assert (scores.num_empty, scores.num_empty_credited) == (2, 1)
    assert scores.accuracy == pytest.approx(1.3 / 3)


def test_the_summary_is_in_per_cent_of_two_digits():
    summary = official_vqa_summary([0.3, 1.0, 2 / 3], ["what is", "how many", "what is"], ["other", "number", "other"])
    assert summary.overall == 65.56
    assert summary.per_question_type == {"what is": 48.33, "how many": 100.0}
    assert summary.per_answer_type == {"other": 48.33, "number": 100.0}
    assert summary.per_question == (30.0, 100.0, 66.67)


@pytest.mark.parametrize(
    ("answers", "references", "message"),
    [
        ([], [], "Found 0 answers and 0 references"),
        (["a"], [["a", "b"], ["a", "b"]], "Found 1 answers and 2 references"),
        (["a", "b"], [["a", "b"], ["a"]], "Answer 1: found 1 references, expected a list of at least 2"),
        (["yes"], ["yes"], "Answer 0: found the string 'yes', expected a list"),
    ],
)
def test_answers_without_enough_references_are_an_error(answers, references, message):
    with pytest.raises(ValueError, match=message):
        score_vqa(answers, references)


def test_a_summary_of_unequal_lists_is_an_error():
    with pytest.raises(ValueError, match="Found 2 accuracies, 1 question types and 2 answer types"):
        official_vqa_summary([1.0, 1.0], ["what is"], ["other", "other"])


@pytest.mark.skipif(not REAL.is_dir(), reason="no sample of vqav2: set MBLIP_DATA to a folder with vqav2/")
@pytest.mark.parametrize("split", ["valid", "test"])
def test_the_official_scores_of_real_answers_are_reproduced(split):
    expected = json.loads((REAL / "expected_scores.json").read_text())["splits"][split]
    annotations = json.loads((REAL / f"vqa_annotations_{split}.json").read_text())["annotations"]
    results = json.loads((REAL / f"vqa_results_{split}.json").read_text())
    answer_to = {result["question_id"]: result["answer"] for result in results}
    assert len(annotations) == expected["n"] > 0

    scores = score_vqa(
        [answer_to[annotation["question_id"]] for annotation in annotations],
        [[entry["answer"] for entry in annotation["answers"]] for annotation in annotations],
    )
    summary = official_vqa_summary(
        scores.per_question,
        [annotation["question_type"] for annotation in annotations],
        [annotation["answer_type"] for annotation in annotations],
    )

    assert summary.overall == expected["accuracy"]["overall"]
    assert summary.per_question_type == expected["accuracy"]["perQuestionType"]
    assert summary.per_answer_type == expected["accuracy"]["perAnswerType"]
    ids = [str(annotation["question_id"]) for annotation in annotations]
    assert dict(zip(ids, summary.per_question, strict=True)) == expected["per_question"]
