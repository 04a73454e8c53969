"""A-OKVQA: knowledge questions about photos of COCO, with three reasons each, for reasoning and explaining.

aokvqa_v1p0_train.json is a JSON array of {"image_id": 299207, "question_id": "22MexNkBPpdZGX6sxbxVBH", "question":
"What is the man by the bags awaiting?", "choices": ["skateboarder", "train", "delivery", "cab"], "correct_choice_idx":
3, "rationales": ["He has bags as if ...", ...], "direct_answers": [ten texts], ...}. The answer is the correct choice.
(Direct answers are what people wrote without choices, and they differ.) Each reason makes one example of each task:

- reasoning: the question is given, the target is "<answer> because <reason>";
- explaining: the question and the answer are given, the target is the reason.

The test split has no answers and no reasons. Both tasks are English. Licence: Apache 2.0 (allenai/aokvqa).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from ..example import Example
from ..json_stream import iter_json_array
from ..skipped import SkipReport, has_usable_texts
from . import published
from .coco_files import CocoPhotos, Missing
from .image_names import Images
from .records import check_record

SOURCE = "aokvqa"
TASKS: tuple[Literal["reasoning", "explaining"], ...] = ("reasoning", "explaining")
FIELDS = {
    "image_id": int,
    "question_id": str,
    "question": str,
    "choices": list[str],
    "correct_choice_idx": int,
    "rationales": list[str],
}


@published("questions that need knowledge, with reasons", "allenai/aokvqa", "Apache 2.0")
def aokvqa(
    seed: int,
    skipped: SkipReport | None = None,
    *,
    path: Path,
    images: Images,
    tasks: tuple[Literal["reasoning", "explaining"], ...] = TASKS,
    missing: Missing = "error",
) -> Iterator[Example]:
    """The reasons of a file in its order, with one example of each task per reason.

    Args:
        images: the folder, URL or archive of the photos (coco_files.py).
        missing: what to do about a photo that is not in the folder.
    Raises:
        ValueError: a task is unknown, the file is not as published, or a photo is missing. The message names the
            record.
    """
    unknown = [task for task in tasks if task not in TASKS]
    if unknown:
        raise ValueError(f"Found the tasks {unknown}, but {SOURCE} gives {', '.join(TASKS)}.")
    skipped = SkipReport() if skipped is None else skipped
    photos = CocoPhotos(images, missing=missing, skipped=skipped)
    for index, record in enumerate(iter_json_array(path)):
        location = f"{path}, record {index}"
        fields = check_record(record, FIELDS, location=location)
        question, answer = fields["question"].strip(), _correct_choice(fields, location)
        for position, reason in enumerate(map(str.strip, fields["rationales"])):
            for task in tasks:
                id = f"{fields['question_id']}/{task}/{position}"
                if not has_usable_texts([answer, reason], name=f"{SOURCE}/{id}", skipped=skipped):
                    continue
                inputs, target = _inputs_and_target(task, question, answer, reason)
                yield from photos.example(
                    fields["image_id"],
                    location=location,
                    source=SOURCE,
                    id=id,
                    task=task,
                    target=target,
                    inputs=inputs,
                )


def _correct_choice(fields: dict[str, Any], location: str) -> str:
    """The answer, one of the choices."""
    choices, index = fields["choices"], fields["correct_choice_idx"]
    if not 0 <= index < len(choices):
        raise ValueError(
            f"{location}: `correct_choice_idx` is {index}, expected a position from 0 to {len(choices) - 1}. "
            "Fetch the file again."
        )
    return str(choices[index]).strip()


def _inputs_and_target(task: str, question: str, answer: str, reason: str) -> tuple[dict[str, str], str]:
    if task == "reasoning":
        return {"question": question}, f"{answer} because {reason}"
    return {"question": question, "answer": answer}, reason
