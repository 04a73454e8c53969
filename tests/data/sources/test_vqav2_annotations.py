"""VQAv2 as it is evaluated: the answers of all annotators, and the types of questions and answers."""

import pytest

from mblip.data.sources.vqav2_files import (
    AnnotatedAnswer,
    AnsweredQuestion,
    annotated_question,
    read_annotated_questions,
)
from tests.data.sources.sample_data import SAMPLES, needs_samples, write_json

QUESTION = {"question_id": 139000, "image_id": 139, "question": "What room is it? "}
ANNOTATION = {
    "question_id": 139000,
    "image_id": 139,
    "multiple_choice_answer": "kitchen",
    "question_type": "what room is",
    "answer_type": "other",
    "answers": [{"answer": "kitchen", "answer_id": 1}, {"answer": "kitchen", "answer_id": 2}, {"answer": " den"}],
}
ANNOTATED = AnnotatedAnswer(139, "kitchen", ("kitchen", "kitchen", " den"), "what room is", "other")


def read(folder, annotation):
    questions = write_json(folder / "questions.json", {"questions": [QUESTION]})
    return list(read_annotated_questions(questions, write_json(folder / "a.json", {"annotations": [annotation]})))


def test_a_question_comes_with_the_answers_of_all_annotators_and_its_types(tmp_path):
    location = f"{tmp_path}/questions.json, questions[0]"
    asked = AnsweredQuestion(139000, 139, "What room is it?", "kitchen", location)
    assert read(tmp_path, ANNOTATION) == [(asked, ANNOTATED)]


def test_a_record_with_the_fields_of_both_files_gives_the_same():
    asked = AnsweredQuestion(139000, 139, "What room is it?", "kitchen", "row 0")
    assert annotated_question(QUESTION | ANNOTATION, location="row 0") == (asked, ANNOTATED)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answers": [{"answer": "den"}]}, r"found 1 answer\(s\), expected ten"),
        (
            {"answers": [{"answer": "a"}, {"answer": 2}]},
            r", answers\[1\]: `answer` is 2, a whole number, expected",
        ),
        ({"answers": None}, r"`answers` is missing or null, expected a list of objects"),
        ({"answer_type": None}, r"`answer_type` is missing or null"),
    ],
)
def test_an_annotation_that_lacks_what_is_scored_is_named(tmp_path, changes, message):
    with pytest.raises(ValueError, match=rf"a\.json, annotations\[0\].*{message}"):
        read(tmp_path, ANNOTATION | changes)
    with pytest.raises(ValueError, match=rf"row 7.*{message}"):
        annotated_question(QUESTION | ANNOTATION | changes, location="row 7")


@needs_samples("vqav2")
@pytest.mark.parametrize(("split", "number"), [("train", 700), ("valid", 250), ("test", 150)])
def test_published_questions_have_ten_answers_each(split, number):
    files = [SAMPLES / f"vqav2/vqa_{kind}_{split}.json" for kind in ("questions", "annotations")]
    found = list(read_annotated_questions(*files))
    assert [len(annotation.answers) for _, annotation in found] == [10] * number
    assert {annotation.answer_type for _, annotation in found} == {"yes/no", "number", "other"}
