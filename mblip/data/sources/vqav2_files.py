"""Reading VQAv2. Questions and annotations are in two files, joined by the question's id.

Questions (v2_OpenEnded_mscoco_train2014_questions.json): a JSON object with "questions", a list of {"question_id":
458752000, "image_id": 458752, "question": "What is this photo taken looking through?"}.

Annotations (v2_mscoco_train2014_annotations.json): a JSON object with "annotations", a list of {"question_id":
458752000, "image_id": 458752, "multiple_choice_answer": "net", "question_type": "what is this", "answer_type":
"other", "answers": [ten of {"answer": ...}], ...}. The multiple-choice answer is the most frequent of the ten.
Training learns that one. Evaluation compares with all ten and counts by type.

Other keys, such as "info" and "license", are optional. Questions are read as a stream. The answers of the annotations
are kept in memory.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..json_stream import iter_json_array
from .records import check_record

QUESTION_FIELDS = {"question_id": int, "image_id": int, "question": str}
ANNOTATION_FIELDS = {"question_id": int, "image_id": int, "multiple_choice_answer": str}
ALL_ANSWERS_FIELDS = ANNOTATION_FIELDS | {"question_type": str, "answer_type": str, "answers": list[dict]}


@dataclass(frozen=True)
class Answer:
    """The multiple-choice answer to a question about a photo of COCO."""

    image_id: int
    text: str


@dataclass(frozen=True)
class AnnotatedAnswer(Answer):
    """An answer with the answers of all annotators, repeated as given, and the types of question and answer."""

    answers: tuple[str, ...]
    question_type: str
    answer_type: str


@dataclass(frozen=True)
class AnsweredQuestion:
    """A question about a photo of COCO and its answer. `location` is the question's."""

    question_id: int
    image_id: int
    question: str
    answer: str
    location: str


def read_answers(annotations: str | Path) -> dict[int, Answer]:
    """The answers of a file of annotations by question id, in file order.

    Raises:
        ValueError: the file is not as published, or a question has two annotations.
    """
    return {
        fields["question_id"]: Answer(fields["image_id"], fields["multiple_choice_answer"].strip())
        for _, fields in _read_annotations(annotations, ANNOTATION_FIELDS)
    }


def read_annotated_questions(
    questions: str | Path, annotations: str | Path
) -> Iterator[tuple[AnsweredQuestion, AnnotatedAnswer]]:
    """The questions of a split with the answers of all annotators, in file order.

    Raises:
        ValueError: as `read_answers` and `read_answered_questions`, or a question has fewer than two answers.
    """
    found = {
        fields["question_id"]: _annotated_answer(fields, location)
        for location, fields in _read_annotations(annotations, ALL_ANSWERS_FIELDS)
    }
    for asked in read_answered_questions(questions, found):
        yield asked, found[asked.question_id]


def annotated_question(record: Any, *, location: str) -> tuple[AnsweredQuestion, AnnotatedAnswer]:
    """As `read_annotated_questions`, for one record with the fields of both files.

    Raises:
        ValueError: the record lacks a field, or has fewer than two answers. The message names the location.
    """
    fields = check_record(record, QUESTION_FIELDS | ALL_ANSWERS_FIELDS, location=location)
    annotation = _annotated_answer(fields, location)
    asked = AnsweredQuestion(
        fields["question_id"], annotation.image_id, fields["question"].strip(), annotation.text, location
    )
    return asked, annotation


def read_answered_questions(questions: str | Path, answers: Mapping[int, Answer]) -> Iterator[AnsweredQuestion]:
    """The questions of a file with their answers, in file order.

    Raises:
        ValueError: the file is not as published; a question is repeated, has no answer, or is about another photo than
            its answer; or an answer has no question.
    """
    waiting = dict(answers)
    for index, record in enumerate(iter_json_array(questions, key="questions")):
        location = f"{questions}, questions[{index}]"
        fields = check_record(record, QUESTION_FIELDS, location=location)
        question_id, image_id = fields["question_id"], fields["image_id"]
        answer = waiting.pop(question_id, None)
        if answer is None:
            found = "is repeated" if question_id in answers else "has no annotation"
            raise ValueError(
                f"{location}: the question id {question_id} {found}. Questions and annotations must be of the same "
                "split."
            )
        if answer.image_id != image_id:
            raise ValueError(
                f"{location}: the question id {question_id} is about the image id {image_id}, but its annotation is "
                f"about {answer.image_id}. Questions and annotations must be of the same release."
            )
        yield AnsweredQuestion(question_id, image_id, fields["question"].strip(), answer.text, location)
    if waiting:
        raise ValueError(
            f"{questions} lacks {len(waiting)} question(s) that have annotations, such as {next(iter(waiting))}. "
            "Questions and annotations must be of the same split."
        )


def _read_annotations(annotations: str | Path, fields: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of a file of annotations with their locations, one per question."""
    seen: set[int] = set()
    for index, record in enumerate(iter_json_array(annotations, key="annotations")):
        location = f"{annotations}, annotations[{index}]"
        values = check_record(record, fields, location=location)
        if values["question_id"] in seen:
            raise ValueError(
                f"{location}: the question id {values['question_id']} is repeated, expected one annotation per "
                "question. Fetch the file again."
            )
        seen.add(values["question_id"])
        yield location, values


def _annotated_answer(fields: Mapping[str, Any], location: str) -> AnnotatedAnswer:
    answers = tuple(
        check_record(record, {"answer": str}, location=f"{location}, answers[{position}]")["answer"]
        for position, record in enumerate(fields["answers"])
    )
    if len(answers) < 2:
        raise ValueError(f"{location}: found {len(answers)} answer(s), expected ten, at least two.")
    return AnnotatedAnswer(
        image_id=fields["image_id"],
        text=fields["multiple_choice_answer"].strip(),
        answers=answers,
        question_type=fields["question_type"],
        answer_type=fields["answer_type"],
    )
