"""The answering metrics as modules: the values are those of the functions."""

import pytest

from mblip.evaluation.metrics.vqa_accuracy import score_vqa


def test_vqa_accuracy_gives_the_values_of_the_function(load_module):
    answers, references = ["The net.", ""], [["net", "net", "a net", "bat"], ["yes", "no"]]
    expected = score_vqa(answers, references)
    found = load_module("vqa_accuracy").compute(predictions=answers, references=references)
    assert found == {
        "vqa_accuracy": expected.accuracy,
        "per_question": list(expected.per_question),
        "num_empty": 1,
        "num_empty_credited": 0,
    }


def test_vqa_accuracy_gives_the_official_summary_of_types(load_module):
    found = load_module("vqa_accuracy").compute(
        predictions=["net", "2"],
        references=[["net", "net", "bat"], ["1", "3"]],
        question_types=["what is", "how many"],
        answer_types=["other", "number"],
    )
    assert found["official"] == {
        "overall": 22.22,
        "per_question_type": {"what is": 44.44, "how many": 0.0},
        "per_answer_type": {"other": 44.44, "number": 0.0},
    }


def test_vqa_accuracy_takes_both_types_or_none(load_module):
    with pytest.raises(ValueError, match="Found 1 accuracies, 1 question types and 0 answer types"):
        load_module("vqa_accuracy").compute(predictions=["a"], references=[["a", "b"]], question_types=["what"])


def test_gqa_accuracy(load_module):
    found = load_module("gqa_accuracy").compute(predictions=["The left.", "on the left"], references=["left", "left"])
    assert found == {
        "gqa_accuracy": 0.5,
        "relaxed_accuracy": 1.0,
        "is_right": [True, False],
        "is_relaxed_right": [True, True],
        "num_empty": 0,
        "num_unreachable": 0,
    }


def test_maxm_accuracy(load_module):
    found = load_module("maxm_accuracy").compute(predictions=["Rouge", ""], references=[["rouge", "vert"], ["bleu"]])
    assert found == {"maxm_accuracy": 0.5, "is_right": [True, False], "num_empty": 1}


def test_yes_no(load_module):
    answers = {"predictions": ["Yes.", "There is not", ""], "references": ["yes", "yes", "yes"]}
    assert load_module("yes_no").compute(**answers) == {
        "accuracy": 1 / 3,
        "precision": 1.0,
        "recall": 1 / 3,
        "f1": 0.5,
        "yes_share": 1 / 3,
        "is_right": [True, False, False],
        "num_empty": 1,
        "num_assumed_yes": 0,
    }
    assert load_module("yes_no").compute(**answers, empty="yes")["is_right"] == [True, False, True]


def test_choice_accuracy(load_module):
    found = load_module("choice_accuracy").compute(
        predictions=["Yes.", "I think so"], references=["yes", "maybe"], candidates=["yes", "no", "maybe"]
    )
    assert found == {
        "choice_accuracy": 0.5,
        "is_right": [True, False],
        "chosen": ["yes", None],
        "classes": {
            "yes": {"num_references": 1, "num_chosen": 1, "num_right": 1},
            "no": {"num_references": 0, "num_chosen": 0, "num_right": 0},
            "maybe": {"num_references": 1, "num_chosen": 0, "num_right": 0},
        },
        "num_no_candidate": 1,
        "num_empty": 0,
    }


def test_chair(load_module, tmp_path):
    pytest.importorskip("nltk", reason="nltk is not installed: `pip install mblip[eval]`")
    synonyms = tmp_path / "synonyms.txt"
    synonyms.write_text("person, man\ndog, puppy\n")
    found = load_module("chair").compute(
        predictions=["a man and two puppies", ""], references=[["person"], []], synonyms=str(synonyms)
    )
    assert found == {
        "chair_s": 0.5,
        "chair_i": 0.5,
        "per_caption": [
            {"chair_s": 1.0, "chair_i": 0.5, "hallucinated": ["puppy"]},
            {"chair_s": 0.0, "chair_i": None, "hallucinated": []},
        ],
        "num_objects": 2,
        "num_without_objects": 1,
        "num_empty": 1,
    }


@pytest.mark.parametrize("module", ["vqa_accuracy", "maxm_accuracy"])
def test_a_text_where_a_list_of_answers_belongs_is_an_error(module, load_module):
    with pytest.raises(ValueError, match="expected a list"):
        load_module(module).compute(predictions=["yes"], references=["yes"])
