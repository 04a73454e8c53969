"""VQAv2: questions about photos of COCO. The tasks are to answer a question, and to ask the question of an answer.

The files are read as published (vqav2_files.py). The answer is the multiple-choice answer, in both tasks. In the
original, question generation used the answer of another example, so nearly all of its 443,757 pairs are wrong.
`as_released` repeats that.

All answers come out in English. Which of them may be translated depends on all answers (seen at least 15 times,
without digits), so the translation step decides it (`answers.choose_translatable_answers`).

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
    """The questions of a split in file order, with one example of each task per question.

    Args:
        images: the folder, URL or archive of the photos (coco_files.py).
        as_released: in question generation, each question gets the answer of another one, drawn by (seed, question
            id). `apply_prompt(templates="as_released")` adds the original's other fault, that the prompt names
            English.
        missing: what to do about a photo that is not in the folder.
    Raises:
        ValueError: a task is unknown, a file is not as published, questions and annotations do not match, or a photo
            is missing. The message names the record.
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
    """The answer to another question. It may equal the right answer."""
    others = len(answers) - 1
    if others < 1:
        raise ValueError(
            f"{asked.location}: found 1 question, but `as_released` needs at least 2, to use the answer of another."
        )
    draw = stable_random(seed, SOURCE, asked.question_id)
    position = draw.randrange(others)
    question_id, answer = answers[position]
    return answers[-1][1].text if question_id == asked.question_id else answer.text
