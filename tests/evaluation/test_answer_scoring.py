"""The metrics of short answers, put to examples: which figures there are, and which answer scores what."""

import pytest
from table_model import example

from mblip.evaluation.answer_scoring import (
    ChairMetric,
    ChoiceAccuracy,
    GqaAccuracy,
    MaxmAccuracy,
    VqaAccuracy,
    YesNoAccuracy,
    split_sentences,
)

CATEGORY_OF = {"dog": "dog", "puppy": "dog", "cat": "cat", "bus": "bus"}


def examples(*references, **changes):
    """An example for each tuple of references."""
    return [example(number, references=given, **changes) for number, given in enumerate(references)]


def test_vqa_accuracy_is_told_in_whole_and_by_the_types_of_answers_and_questions():
    kinds = [("number", "how many"), ("other", "what"), ("other", "how many")]
    asked = [
        example(i, references=("2",) * 3 + ("3",) * 7, facts={"answer_type": answer, "question_type": question})
        for i, (answer, question) in enumerate(kinds)
    ]
    scored = VqaAccuracy().score(asked, ["2", "3", ""])
    assert scored.per_example == pytest.approx((0.9, 1.0, 0.0))
    assert scored.figures == pytest.approx(
        {
            "vqa_accuracy": 1.9 / 3,
            "vqa_accuracy_mblip": 1.9 / 3,
            "vqa_accuracy_lmms_eval": 1.9 / 3,
            "share_empty": 1 / 3,
            "share_empty_credited": 0.0,
            "answer_type number": 0.9,
            "answer_type other": 0.5,
            "question_type how many": 0.45,
            "question_type what": 1.0,
        }
    )


def test_gqa_is_told_exact_and_relaxed():
    scored = GqaAccuracy().score(
        examples(("no",), ("red",), ("t-shirt",), ("left",)), ["No.", "red car", "t-shirt", ""]
    )
    assert scored.per_example == (1.0, 0.0, 0.0, 0.0)
    assert scored.figures == {
        "accuracy": 0.25,
        "relaxed_accuracy": 0.5,
        "accuracy_centurio": 0.25,
        "accuracy_pangea": 0.75,
        "accuracy_lmms_eval": 0.5,
        "share_empty": 0.25,
        "share_unreachable": 0.25,
    }


def test_the_answers_that_were_not_offered_are_told_where_candidates_are():
    asked = examples(("no",), ("red",), candidates=("no", "yes"))
    assert GqaAccuracy().score(asked, ["no", "yes"]).figures["share_not_offered"] == 0.5


def test_maxm_takes_any_of_the_processed_answers():
    scored = MaxmAccuracy().score(examples(("deux", "2"), ("rouge",), ("chat",)), ["2", "Rouge ", ""])
    assert scored.per_example == (1.0, 1.0, 0.0)
    assert scored.figures == pytest.approx(
        {"accuracy": 2 / 3, "accuracy_pangea": 1 / 3, "relaxed_accuracy_pangea": 2 / 3, "share_empty": 1 / 3}
    )


def test_pangea_compares_with_maxms_answers_before_processing():
    asked = examples(("rouge",), facts={"answers": "Rouge \nle rouge"})
    figures = MaxmAccuracy(main="accuracy_pangea").score(asked, ["Rouge "]).figures
    assert (figures["accuracy"], figures["accuracy_pangea"]) == (1.0, 1.0)
    assert MaxmAccuracy().score(asked, ["rouge"]).figures["accuracy_pangea"] == 0.0


def test_yes_and_no_have_popes_five_figures_and_an_empty_answer_is_wrong():
    asked = examples(("yes",), ("yes",), ("no",), ("no",), ("yes",))
    scored = YesNoAccuracy().score(asked, ["yes", "no", "Yes, there is.", "No", ""])
    assert scored.per_example == (1.0, 0.0, 0.0, 1.0, 0.0)
    assert scored.figures == pytest.approx(
        {
            "accuracy": 0.4,
            "accuracy_mblip": 0.4,
            "accuracy_lmms_eval": 0.4,
            "accuracy_vlmevalkit": 0.4,
            "precision": 0.5,
            "recall": 1 / 3,
            "f1": 0.4,
            "yes_share": 0.4,
            "share_empty": 0.2,
            "share_assumed_yes": 0.0,
        }
    )


def test_a_figure_that_is_not_defined_is_skipped():
    figures = YesNoAccuracy().score(examples(("no",)), ["no"]).figures
    assert set(figures) == {*YesNoAccuracy().rules, "yes_share", "share_empty", "share_assumed_yes"}


def test_a_class_that_never_wins_shows_in_its_share_and_recall():
    asked = examples(("yes",), ("maybe",), ("maybe",), ("yes",))
    scored = ChoiceAccuracy(("yes", "no", "maybe")).score(asked, ["Yes", "no", "", "yes, it is"])
    assert scored.per_example == (1.0, 0.0, 0.0, 0.0)
    assert scored.figures == {
        "accuracy": 0.25,
        "accuracy_mblip": 0.25,
        "accuracy_centurio": 0.25,
        "share_empty": 0.25,
        "share_no_candidate": 0.5,
        "share_yes": 0.25,
        "share_no": 0.25,
        "share_maybe": 0.0,
        "recall_yes": 0.5,
        "recall_maybe": 0.0,
    }


def test_chair_counts_captions_and_namings_of_what_is_not_there():
    asked = examples(("dog",), ("dog", "cat"), (), ("bus",))
    scored = ChairMetric(CATEGORY_OF).score(asked, ["A puppy. A cat and cats.", "a dog, a cat", "Nothing.", ""])
    assert scored.per_example == (1.0, 0.0, 0.0, 0.0)
    assert scored.figures == {
        "chair_s": 0.25,
        "chair_i": 0.4,
        "objects_per_caption": 1.25,
        "share_without_objects": 0.5,
        "share_empty": 0.25,
    }
    assert "chair_i" not in ChairMetric(CATEGORY_OF).score(asked[:1], ["nothing"]).figures


def test_a_word_in_front_of_a_full_stop_within_a_description_is_found():
    assert split_sentences("There is a dog. It sleeps.") == ["There is a dog.", "It sleeps."]
    (scored,) = [ChairMetric(CATEGORY_OF).score(examples(()), ["There is a dog. It sleeps."])]
    assert scored.per_example == (1.0,)


def test_the_main_figure_may_be_another_harness_s():
    metric = GqaAccuracy(main="accuracy_pangea")
    scored = metric.score(examples(("no",), ("red",)), ["snow", "Green"])
    assert (scored.figures["accuracy_pangea"], scored.per_example) == (0.5, (1.0, 0.0))
    assert metric.description == "Pangea's match: the answer contains the reference"
    assert metric.others["accuracy"] == "exact match of the cleaned answer"
    assert "accuracy_pangea" not in metric.others
    with pytest.raises(ValueError, match="Found `main: accuracy_palo`, expected one of accuracy, relaxed_accuracy"):
        GqaAccuracy(main="accuracy_palo")


def test_pangea_judges_choices_between_yes_and_no_alone():
    assert "accuracy_pangea" in ChoiceAccuracy(("yes", "no")).others
    assert "accuracy_pangea" not in ChoiceAccuracy(("yes", "no", "maybe")).others


@pytest.mark.parametrize("metric", [GqaAccuracy(), YesNoAccuracy(), ChoiceAccuracy(("yes", "no"))])
def test_an_example_of_several_answers_is_an_error_where_one_is_compared_with(metric):
    with pytest.raises(ValueError, match="0/en has 2 references, expected one"):
        metric.score(examples(("yes", "no")), ["yes"])


@pytest.mark.parametrize(
    "metric", [GqaAccuracy(), MaxmAccuracy(), YesNoAccuracy(), ChoiceAccuracy(("yes", "no")), ChairMetric(CATEGORY_OF)]
)
def test_the_main_figure_is_the_mean_of_the_examples(metric):
    references = [("dog",)] * 4 if isinstance(metric, ChairMetric) else [("yes",), ("no",), ("yes",), ("no",)]
    scored = metric.score(examples(*references), ["yes", "no", "a cat", "no cat"])
    assert scored.figures[metric.main] == sum(scored.per_example) / 4
    assert scored.sums[metric.main].value == scored.figures[metric.main]
