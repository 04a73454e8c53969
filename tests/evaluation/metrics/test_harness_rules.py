"""The rules of other harnesses, by hand, and what the choice of harness alone does to the same answers.

The rules were also compared with each harness's own functions, on 3,000 random answers: no value differs."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from mblip.evaluation.answer_scoring import GqaAccuracy, VqaAccuracy, YesNoAccuracy
from mblip.evaluation.metrics import harness_rules as rules
from tests.evaluation.table_model import example

REAL = Path(os.environ.get("MBLIP_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))
needs_records = pytest.mark.skipif(not REAL.is_dir(), reason="the sample records are not here")


@pytest.mark.parametrize(
    ("rule", "answer", "references", "value"),
    [
        (rules.mblip_vqa_accuracy, "A dog.", ["dog"] * 10, 1.0),
        (rules.mblip_vqa_accuracy, "Net", ["net", "Net ", "a net", *["x"] * 7], 0.6),
        (rules.mblip_vqa_accuracy, "2", ["two"] * 10, 0.0),
        (rules.mblip_vqa_accuracy, "hot\ndog", ["hotdog"] * 10, 1.0),
        (rules.lmms_eval_vqa_accuracy, "2", ["two"] * 10, 1.0),
        (rules.lmms_eval_vqa_accuracy, "1,,000!", ["1000"] * 10, 1.0),
        (rules.lmms_eval_vqa_accuracy, "hot\ndog", ["hotdog"] * 10, 0.0),
        (rules.mblip_match, "'yes'", ["yes"], 0.0),
        (rules.mblip_match, "The Man!", ["man"], 1.0),
        (rules.lower_case_match, " Yes ", ["yes"], 1.0),
        (rules.lower_case_match, "Yes.", ["yes"], 0.0),
        (rules.pangea_contains, "Snow.", ["no"], 1.0),
        (rules.pangea_contains, "n o", ["no"], 0.0),
        (rules.pangea_true_or_false, "I know", ["no"], 1.0),
        (rules.pangea_true_or_false, "No, yes", ["yes"], 1.0),
        (rules.pangea_true_or_false, "(b) true", ["yes"], 1.0),
        (rules.pangea_true_or_false, "", ["no"], 0.0),
        (rules.pangea_maxm_match, "Dog", ["dog"], 0.0),
        (rules.pangea_maxm_match, "dog", ["cat", "dog"], 1.0),
        (rules.pangea_maxm_match, "", [""], 0.0),  # a question without answers
        (rules.pangea_relaxed_maxm_match, "dog", [""], 0.0),
        (rules.pangea_relaxed_maxm_match, "Dog.", ["dog"], 1.0),
        (rules.pangea_relaxed_maxm_match, "a dog", ["a dog"], 1.0),  # the article is "'a" there
        (rules.pangea_relaxed_maxm_match, "true", ["yes"], 0.0),  # no synonyms: the list of them is not used
        (rules.pangea_relaxed_maxm_match, "yes", ["True"], 1.0),
        (rules.lmms_eval_match, "T-Shirt!", ["tshirt"], 1.0),
        (rules.lmms_eval_match, "the man", ["man"], 0.0),
        (rules.vlmevalkit_yes_no, "YES!", ["yes"], 1.0),
        (rules.vlmevalkit_yes_no, "There is not any.", ["no"], 0.0),
        (rules.vlmevalkit_yes_no, "yes or no", ["yes"], 0.0),
    ],
)
def test_each_harness_judges_by_its_own_rule(rule, answer, references, value):
    assert rule(answer, references) == pytest.approx(value, abs=1e-15)


def in_per_cent(metric, asked, outputs):
    figures = metric.score(asked, outputs).figures
    return [round(100 * figures[name], 1) for name in metric.rules]


@needs_records
def test_the_most_frequent_answers_of_vqav2_score_58_to_98_by_how_they_are_written():
    rows = json.loads((REAL / "vqav2" / "vqa_annotations_test.json").read_text())["annotations"]
    asked = [
        example(
            row["question_id"],
            references=tuple(answer["answer"] for answer in row["answers"]),
            facts={"answer_type": row["answer_type"], "question_type": row["question_type"]},
        )
        for row in rows
    ]
    frequent = [Counter(one.references).most_common(1)[0][0] for one in asked]
    ways = {"red": str, "Red": str.capitalize, "Red.": lambda s: f"{s.capitalize()}.", "a red": lambda s: f"a {s}"}
    found = {name: in_per_cent(VqaAccuracy(), asked, list(map(way, frequent))) for name, way in ways.items()}
    # official, the original mBLIP's, lmms-eval's
    assert found == {
        "red": [97.7, 97.0, 97.7],
        "Red": [72.3, 97.0, 97.7],
        "Red.": [57.7, 97.0, 97.7],
        "a red": [57.7, 97.0, 97.7],
    }


@needs_records
def test_right_answers_to_xgqa_score_0_to_100_by_how_they_are_written():
    rows = json.loads((REAL / "xgqa" / "few_shot" / "en" / "dev.json").read_text()).values()
    asked = [example(i, references=(row["answer"],)) for i, row in enumerate(rows)]
    ways = ["{}", "{}.", "the {}", "It is {}.", "no, nothing on the left or right, yes"]
    found = {way: in_per_cent(GqaAccuracy(), asked, [way.format(one.references[0]) for one in asked]) for way in ways}
    # ours, relaxed, Centurio's, Pangea's, lmms-eval's
    assert found == {
        "{}": [100.0, 100.0, 100.0, 100.0, 100.0],
        "{}.": [100.0, 100.0, 0.0, 100.0, 100.0],
        "the {}": [100.0, 100.0, 0.0, 100.0, 0.0],
        "It is {}.": [0.0, 100.0, 0.0, 100.0, 0.0],
        "no, nothing on the left or right, yes": [0.0, 36.9, 0.0, 40.7, 0.0],
    }


@needs_records
def test_the_same_answers_to_pope_score_0_to_86_by_how_they_are_written():
    lines = (REAL / "pope" / "output" / "coco" / "coco_pope_random.json").read_text().splitlines()
    asked = [example(i, references=(json.loads(line)["label"],)) for i, line in enumerate(lines)]
    other = {"yes": "no", "no": "yes"}
    answers = [one.references[0] if i % 7 else other[one.references[0]] for i, one in enumerate(asked)]
    ways = {
        "yes": str,
        "Yes.": lambda word: f"{word.capitalize()}.",
        "YES": str.upper,
        "a sentence": lambda word: f"{word.capitalize()}, that is so.",
    }
    found = {name: in_per_cent(YesNoAccuracy(), asked, list(map(way, answers))) for name, way in ways.items()}
    # POPE's, the original mBLIP's, lmms-eval's, VLMEvalKit's
    assert found == {
        "yes": [85.7, 85.7, 85.7, 85.7],
        "Yes.": [85.7, 85.7, 0.0, 85.7],
        "YES": [50.0, 85.7, 85.7, 85.7],
        "a sentence": [85.7, 0.0, 0.0, 85.7],
    }
