"""VQAv2: questions about photos of COCO, to answer, and answers to find the question to.

The files are read as published (vqav2_files.py). The answer is the multiple-choice answer; a question keeps its own
answer in both tasks. In the original, question generation was given the answer of another example, so that nearly all
of its 443,757 pairs are wrong; `as_released` repeats that.

All answers are yielded in English, none marked: which may be translated depends on all of them (seen at least 15
times, without digits), so the step that translates decides it (`answers.choose_translatable_answers`).

Licence of the annotations: CC BY 4.0 (visualqa.org).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from ..example import Example
from ..skipped import SkipReport
from ..stable_random import stable_random
from . import published
from .coco_files import CocoPhotos, Missing
from .image_names import Images
from .vqav2_files import Answer, AnsweredQuestion, read_answered_questions, read_answers

SOURCE = "vqav2"
TASKS: tuple[Literal["vqa", "question_generation"], ...] = ("vqa", "question_generation")


@published("questions about photos of COCO", "visualqa.org", "CC BY 4.0")
def vqav2(
    seed: int,
    skipped: SkipReport | None = None,
    *,
    questions: Path,
    annotations: Path,
    images: Images,
    tasks: tuple[Literal["vqa", "question_generation"], ...] = TASKS,
    as_released: bool = False,
    missing: Missing = "error",
) -> Iterator[Example]:
    """The questions of a split in the order of their file, one example of each task after another.

    Args:
        images: the folder, URL or archive of the photos (coco_files.py).
        as_released: in question generation each question comes with the answer of another one, drawn by (seed,
            question id). That the prompt named English besides is the part of `apply_prompt(templates="as_released")`.
        missing: what to do about a photo that is not in the folder.

    Raises:
        ValueError: a task is unknown, a file is not as published, questions and annotations do not belong together, or
            a photo is missing; the message names the record.
    """
    unknown = [task for task in tasks if task not in TASKS]
    if unknown:
        raise ValueError(f"Found the tasks {unknown}, but {SOURCE} gives {', '.join(TASKS)}.")
    photos = CocoPhotos(images, missing=missing, skipped=skipped)
    answers = read_answers(annotations)
    given = list(answers.items()) if as_released else []
    for asked in read_answered_questions(questions, answers):
        for task in tasks:
            if task == "vqa":
                inputs, target = {"question": asked.question}, asked.answer
            else:
                answer = _answer_of_another(given, asked, seed) if as_released else asked.answer
                inputs, target = {"answer": answer}, asked.question
            yield from photos.example(
                asked.image_id,
                location=asked.location,
                source=SOURCE,
                id=f"{asked.question_id}/{task}",
                task=task,
                target=target,
                inputs=inputs,
            )


def _answer_of_another(answers: Sequence[tuple[int, Answer]], asked: AnsweredQuestion, seed: int) -> str:
    """The answer to a question other than the one asked, which may be an equal one."""
    others = len(answers) - 1
    if others < 1:
        raise ValueError(
            f"{asked.location}: found 1 question, so there is no answer of another one. as_released needs at least 2."
        )
    draw = stable_random(seed, SOURCE, asked.question_id)
    position = draw.randrange(others)
    question_id, answer = answers[position]
    return answers[-1][1].text if question_id == asked.question_id else answer.text
