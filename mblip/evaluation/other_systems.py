"""Predictions of other systems: reads the files that they write, and matches them to the examples of a task.

A file has rows: CSV, TSV, JSON lines or a JSON array. Their fields tell the answer, and which example it is for:

| rows of | answer | example |
|---|---|---|
| `mblip eval` | `output` | `id`, `language`, `condition` |
| lmms-eval (`--log_samples`; in Pangea's fork under `logs`) | `filtered_resps` | fields of `doc`, or else `doc_id` |
| VLMEvalKit (CSV, TSV, JSON; XLSX needs openpyxl) | `prediction` | their order |
| pycocoevalcap, VQA, POPE, LLaVA, your own | `caption`, `answer`, `text` | `image_id`, `question_id`, `id` |

An image may be named by number, key or file: COCO's 42, "000000000042" and "COCO_val2014_000000000042.jpg" are the
same. Of several questions about it, `question` tells which. If no field names examples or images of the task,
the order of the rows counts; what they say of the question or the right answer must then agree with the task.
"""

import importlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from mblip.data.languages import LANGUAGES, OTHER_CODES
from mblip.data.sources.records import describe, read_json_object
from mblip.data.sources.text_tables import read_table

from .languages import UNSEEN_LANGUAGES
from .records import LANGUAGE_MARK
from .task import EvaluationExample, EvaluationTask

MissingAnswers = Literal["error", "wrong"]
PredictionsFile = tuple[Path, frozenset[str]]  # with the language or condition that it is for, if it is for one

CONDITION_MARK = "{condition}"
CERTAIN_FIELDS = ("filtered_resps", "output", "prediction")  # of the answer; the first one counts
ANSWER_FIELDS = ("caption", "answer", "text")  # beside one another, one may be the question or the right answer
EXAMPLE_FIELDS, IMAGE_FIELDS = ("id", "question_id"), ("image_id", "image", "image/key", "imageId", "img_id")
LANGUAGE_FIELDS, CONDITION_FIELDS = ("language", "lang"), ("condition", "category")
NUMBER = "doc_id"  # of the row in lmms-eval's dataset
CODES = {*LANGUAGES, *UNSEEN_LANGUAGES}
COCO_NAME = re.compile(r"(?:COCO_[a-z]+\d{4}_)?0*(\d+)")
HOW_TO_TELL = f"Name one file for each language or condition: with {LANGUAGE_MARK} or {CONDITION_MARK}, or NAME=FILE."


@dataclass(frozen=True)
class Answer:
    """An answer, its location, and the other fields of its row."""

    location: str
    text: str
    row: Mapping[str, Any]


def predictions_files(names: Sequence[str], task: EvaluationTask) -> list[PredictionsFile]:
    """The files of predictions. A name with `{language}` or `{condition}` stands for one file of each; `NAME=FILE` is
    the file of the language or condition NAME."""
    languages = list(dict.fromkeys(example.language for example in task.examples))
    conditions = list(dict.fromkeys(example.condition for example in task.examples))
    files: list[PredictionsFile] = []
    for name in names:
        key, _, path = name.partition("=")
        if path and key in (*languages, *conditions):
            files.append((Path(path), frozenset({key})))
            continue
        marks = languages if LANGUAGE_MARK in name else [""], conditions if CONDITION_MARK in name else [""]
        for language, condition in product(*marks):
            codes = [language, *(other for other, code in OTHER_CODES.items() if code == language)]
            paths = [Path(name.replace(LANGUAGE_MARK, code).replace(CONDITION_MARK, condition)) for code in codes]
            files.append((next(filter(Path.is_file, paths), paths[0]), frozenset({language, condition}) - {""}))
    return files


def match_answers(
    task: EvaluationTask,
    files: Sequence[PredictionsFile],
    *,
    missing: MissingAnswers = "error",
    answer_field: str | None = None,
) -> tuple[EvaluationTask, list[str]]:
    """The answers to the examples of a task, in their order.

    Args:
        missing: what to do about examples without an answer: raise, or take an empty answer and mark the task.
        answer_field: the field of the answers; None: as in the table above.

    Returns:
        The task, and the answers. If each file is for a condition, the task has these conditions only, with a mark.

    Raises:
        ValueError: an answer fits no example or several, or an example has several answers or none.
    """
    conditions = {example.condition for example in task.examples}
    answered = set().union(*(of & conditions for _, of in files))
    if answered != conditions and all(of & conditions for _, of in files):
        kept = [example for example in task.examples if example.condition in answered]
        task = replace(task, examples=kept, marks=(*task.marks, f"only {', '.join(sorted(answered))}"))
    found: dict[int, Answer] = {}
    for path, of in files:
        for number, answer in _matched(path, of, list(read_answers(path, answer_field)), task.examples):
            if (first := found.setdefault(number, answer)) is not answer:
                raise ValueError(
                    f"{first.location} and {answer.location} both answer {_name(task.examples[number])}, expected one "
                    f"answer per example. {HOW_TO_TELL}"
                )
    without = [example for number, example in enumerate(task.examples) if number not in found]
    if without and missing == "error":
        raise ValueError(
            f"Found no answer to {len(without)} of {len(task.examples)} examples, such as {_name(without[0])}. Choose "
            "fewer languages or images of the task, or count them as wrong with `--missing wrong`."
        )
    if without:
        task = replace(task, marks=(*task.marks, f"{len(without)} missing answers counted as empty"))
    return task, [found[number].text if number in found else "" for number in range(len(task.examples))]


def read_answers(path: Path, answer_field: str | None = None) -> Iterator[Answer]:
    """The answers of a file, in its order. Raises ValueError if it is not clear which field holds them."""
    for location, row in _rows(path):
        certain = [name for name in CERTAIN_FIELDS if name in row][:1]
        names = [answer_field] if answer_field else certain or [name for name in ANSWER_FIELDS if name in row]
        if len(names) != 1 or names[0] not in row:
            raise ValueError(
                f"{location}: found {' and '.join(names) or 'no answer'} among the fields {', '.join(row)}, expected "
                f"one of {', '.join((*CERTAIN_FIELDS, *ANSWER_FIELDS))}. Name the answer's field with --answer_field."
            )
        text = row[names[0]]
        while isinstance(text, list) and len(text) == 1:
            text = text[0]
        if isinstance(text, bool) or not isinstance(text, str | int):
            raise ValueError(f"{location}: `{names[0]}` is {describe(text)}, expected text.")
        nested = [value for name, value in row.items() if isinstance(value, dict) and name != "doc"]  # lmms-eval's
        fields = {name: value for each in (*nested, row.get("doc") or {}, row) for name, value in each.items()}
        yield Answer(location, str(text), {name: value for name, value in fields.items() if name != names[0]})


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if path.suffix == ".xlsx":
        try:
            sheet = importlib.import_module("openpyxl").load_workbook(path, read_only=True).active
        except ImportError as error:
            raise ValueError(f"{path}: no openpyxl to read it. Save it as CSV, or pip install openpyxl.") from error
        header, *rows = sheet.iter_rows(values_only=True)
        filled = [["" if cell is None else cell for cell in row] for row in rows]
        return ((f"{path}, row {n}", dict(zip(header, row, strict=True))) for n, row in enumerate(filled, start=2))
    if path.suffix == ".json" and path.is_file() and path.read_bytes()[:2] == b"{\n":
        logs = read_json_object(path).get("logs")
        if not isinstance(logs, list):
            raise ValueError(f"{path}: `logs` is {describe(logs)}, expected the samples of lmms-eval.")
        return ((f"{path}, logs[{number}]", row) for number, row in enumerate(logs))
    return read_table(path)


def _matched(
    path: Path, of: frozenset[str], answers: Sequence[Answer], examples: Sequence[EvaluationExample]
) -> list[tuple[int, Answer]]:
    """Each answer of a file with the number of its example: by the field that fits most answers, or by their order."""
    groups = [{example.language, example.condition} for example in examples]
    by_example, by_image = defaultdict(list), defaultdict(list)
    for number, example in enumerate(examples):
        for key in {example.id, example.id.rpartition("/")[2]}:
            by_example[key].append(number)
        by_image[_image_key(example.image_id)].append(number)
    known = set().union(*groups)
    told = [of | _groups(answer.row, known) for answer in answers]
    field, best, num_best = "", [], 0
    for name in (*EXAMPLE_FIELDS, *IMAGE_FIELDS):
        values = [answer.row.get(name) for answer in answers]
        named = [by_image[_image_key(value)] if name in IMAGE_FIELDS else by_example[str(value)] for value in values]
        fits = [
            [number for number in numbers if group <= groups[number]]
            for numbers, group in zip(named, told, strict=True)
        ]
        if (num_fits := sum(map(bool, fits))) > num_best:
            field, best, num_best = name, fits, num_fits
        if num_best == len(answers):
            break
    if not num_best:
        return _in_order(path, answers, [number for number, group in enumerate(groups) if of <= group], examples)
    for place, (numbers, answer) in enumerate(zip(best, answers, strict=True)):
        asked = str(answer.row.get("question", "")).strip()
        best[place] = [n for n in numbers if asked and asked in examples[n].prompt and len(numbers) > 1] or numbers
    for wrong, what, remedy in (
        ([not fits for fits in best], "no example", "Remove them, or choose the task's examples to fit."),
        ([len(fits) > 1 for fits in best], "several examples", HOW_TO_TELL),
    ):
        if any(wrong):
            first = answers[wrong.index(True)]
            raise ValueError(
                f"{path}: {sum(wrong)} of {len(answers)} answers fit {what} of the task, such as {first.location} "
                f"({field} {first.row.get(field)!r}). {remedy}"
            )
    return [(fits[0], answer) for fits, answer in zip(best, answers, strict=True)]


def _in_order(
    path: Path, answers: Sequence[Answer], numbers: Sequence[int], examples: Sequence[EvaluationExample]
) -> list[tuple[int, Answer]]:
    """Each answer with the number of its example, among `numbers`: by its own number, or else by its place."""
    places = [int(answer.row.get(NUMBER, place)) for place, answer in enumerate(answers)]
    pairs = [(numbers[place], answer) for place, answer in zip(places, answers, strict=True) if place < len(numbers)]
    num_fitting = sum(_agrees(answer.row, examples[number]) for number, answer in pairs)
    if num_fitting < len(answers) or not (NUMBER in answers[0].row or len(places) == len(numbers)):
        raise ValueError(
            f"{path}: no field names an example or image of the task, and in their order {num_fitting} of "
            f"{len(answers)} rows fit the {len(numbers)} examples. Add {', '.join(EXAMPLE_FIELDS)} or image_id."
        )
    return pairs


def _agrees(row: Mapping[str, Any], example: EvaluationExample) -> bool:
    """Whether the question or the right answer that a row tells is the example's. True if it tells neither."""
    right = [str(row[name]).casefold() for name in ("target", "answer") if name in row]
    found = [any(reference.casefold() in text for reference in example.references) for text in right]
    found += [str(row["question"]).strip() in example.prompt] if "question" in row else []
    return any(found) or not found


def _groups(row: Mapping[str, Any], known: set[str]) -> set[str]:
    """The language that a row tells, also one that the task has not, and the condition of the task that it tells."""
    codes, conditions = ({str(row.get(name)) for name in names} for names in (LANGUAGE_FIELDS, CONDITION_FIELDS))
    languages = {OTHER_CODES.get(code, code) for code in codes}
    return languages & CODES | conditions & known


def _image_key(image: Any) -> str:
    """The name of an image, the same for its number, key and file."""
    stem = PurePosixPath(str(image)).stem
    number = COCO_NAME.fullmatch(stem)
    return number[1] if number else stem


def _name(example: EvaluationExample) -> str:
    return f"{example.id!r} in {example.language!r} under {example.condition!r}"
