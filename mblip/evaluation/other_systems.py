"""Predictions of other systems: reads the files that they write, and matches them to the examples of a task.

A file has rows: CSV, TSV, JSON lines or a JSON array. Their fields tell the answer, and which example it is for:

| rows of | answer | example |
|---|---|---|
| `mblip eval` | `output` | `id`, `language`, `condition` |
| lmms-eval (`--log_samples`; in Pangea's fork under `logs`) | `filtered_resps` | fields of `doc`, or else `doc_id` |
| VLMEvalKit (CSV, TSV, JSON; XLSX needs openpyxl) | `prediction` | their order |
| pycocoevalcap, VQA, POPE, your own | `caption`, `answer`, `text`, `response` | `image_id`, `question_id`, `id` |

An image may be named by number, key or file: COCO's 42, "000000000042" and "COCO_val2014_000000000042.jpg" are the
same. Of several questions about it, `question` tells which; equal ones are taken in their order. If rows tell their
questions, these must be the task's. If no field names examples or images of the task, the order of the rows counts,
in each language and condition that they tell; their questions or right answers must then prove that order, unless the
rows name nothing at all.
"""

import codecs
import contextlib
import importlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple
from zipfile import BadZipFile

from mblip.data.languages import LANGUAGES, OTHER_CODES
from mblip.data.sources.records import describe
from mblip.data.sources.text_tables import read_table

from .languages import UNSEEN_LANGUAGES
from .read_files import ReadFiles
from .records import LANGUAGE_MARK
from .task import ANSWERS, EvaluationExample, EvaluationTask

MissingAnswers = Literal["error", "wrong"]
PredictionsFile = tuple[Path, frozenset[str]]  # with the language or condition that it is for, if it is for one

CONDITION_MARK = "{condition}"
CERTAIN_FIELDS = ("filtered_resps", "output", "prediction")  # of the answer; the first one counts
ANSWER_FIELDS = ("caption", "answer", "text", "response")  # of two, one may be the question or the right answer
EXAMPLE_FIELDS, IMAGE_FIELDS = ("id", "question_id"), (
    "image_id", "image", "image/key", "imageId", "img_id", "file_name",
)  # fmt: skip
LANGUAGE_FIELDS, CONDITION_FIELDS = ("language", "lang"), ("condition", "category")
NUMBER = "doc_id"  # of the row in lmms-eval's dataset
AS_YES_OR_NO = {"true": "yes", "false": "no"}  # Pangea's right answers of MaRVL
COCO_NAME = re.compile(r"(?:COCO_[a-z]+\d{4}_)?0*(\d+)")
DECODER = json.JSONDecoder(parse_float=str, parse_constant=lambda name: None)  # others write NaN for "no value"
IMAGE_SUFFIX = re.compile(r"\.(jpe?g|png|webp|gif|bmp)$", re.IGNORECASE)
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
        The task, whose `files` name those of the answers, too, and the answers. If each file is for a condition, the
        task has these conditions only, with a mark.

    Raises:
        ValueError: an answer fits no example or several, rows tell other questions than the task, or an example has
            several answers or none.
    """
    conditions = {example.condition for example in task.examples}
    answered = set().union(*(of & conditions for _, of in files))
    if answered != conditions and all(of & conditions for _, of in files):
        kept = [example for example in task.examples if example.condition in answered]
        task = replace(task, examples=kept, marks=(*task.marks, f"only {', '.join(sorted(answered))}"))
    examples, read = _Examples(task.examples), ReadFiles()
    found: dict[int, Answer] = {}
    for path, of in files:
        answers = list(read_answers(path, answer_field))
        if not answers:
            raise ValueError(f"{path} has no rows, expected at least one.")
        read.add(path, len(answers), split=ANSWERS)
        for number, answer in examples.matched(path, of, answers):
            if (first := found.setdefault(number, answer)) is not answer:
                raise ValueError(
                    f"{first.location} and {answer.location} both answer {_name(task.examples[number])}, expected one "
                    f"answer per example. {HOW_TO_TELL}"
                )
    task = replace(task, files=(*task.files, *read.files))
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
            there = ", ".join(list(row)[:12])
            raise ValueError(
                f"{location}: found {' and '.join(names) or 'no answer'} among the fields {there}, expected one of "
                f"{', '.join((*CERTAIN_FIELDS, *ANSWER_FIELDS))}. Name the answer's field with --answer_field."
            )
        text = row[names[0]]
        while isinstance(text, list) and len(text) == 1:
            text = text[0]
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise ValueError(f"{location}: `{names[0]}` is {describe(text)}, expected text.")
        nested = [value for name, value in row.items() if isinstance(value, dict) and name != "doc"]  # lmms-eval's
        fields = {name: value for each in (*nested, row.get("doc") or {}, row) for name, value in each.items()}
        yield Answer(location, str(text), {name: value for name, value in fields.items() if name != names[0]})


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if path.suffix.lower() == ".xlsx":
        yield from _sheet_rows(path)
        return
    content = None
    if path.suffix.lower() == ".json" and path.is_file():
        text = path.read_bytes().removeprefix(codecs.BOM_UTF8)
        with contextlib.suppress(ValueError):  # of several objects, one a line
            content = DECODER.decode(text.decode()) if text.lstrip()[:1] == b"{" else None
    if content is None or not isinstance(samples := content.get("logs", [content]), list):
        yield from read_table(path, decoder=DECODER)
        return
    for number, row in enumerate(samples):  # of Pangea's fork of lmms-eval
        if not isinstance(row, dict):
            raise ValueError(f"{path}, logs[{number}]: found {describe(row)}, expected a sample of lmms-eval.")
        yield f"{path}, logs[{number}]", row


def _sheet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        sheet = importlib.import_module("openpyxl").load_workbook(path, read_only=True).active
    except ImportError as error:
        raise ValueError(f"{path}: no openpyxl to read it. Save it as CSV, or pip install openpyxl.") from error
    except BadZipFile as error:
        raise ValueError(f"{path} is damaged or no sheet of Excel. Save it again.") from error
    header, *rows = list(sheet.iter_rows(values_only=True)) or [()]
    for number, row in enumerate(rows, start=2):
        if any(cell is not None for cell in row):
            cells = ["" if cell is None else cell for cell in row]
            yield f"{path}, row {number}", dict(zip(header, cells, strict=True))


class _Row(NamedTuple):
    """An answer, the language and condition that file and row tell, and the row's question."""

    answer: Answer
    group: frozenset[str]
    question: str


class _Examples:
    """The examples of a task, to be found by what rows tell."""

    def __init__(self, examples: Sequence[EvaluationExample]) -> None:
        self.examples = examples
        self.groups = [frozenset({example.language, example.condition}) for example in examples]
        self.known = set().union(*self.groups)
        self.prompts = [_plain(example.prompt) for example in examples]
        self.by_example, self.by_image = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
        for number, example in enumerate(examples):
            for key in {example.id, example.id.rpartition("/")[2]}:
                self.by_example[key].append(number)
            self.by_image[_image_key(example.image_id)].append(number)

    def matched(self, path: Path, of: frozenset[str], answers: Sequence[Answer]) -> list[tuple[int, Answer]]:
        """Each answer of a file with the number of its example: by the field that fits most answers, or by their
        order."""
        rows = [
            _Row(answer, of | _groups(answer.row, self.known), _plain(answer.row.get("question", "")))
            for answer in answers
        ]
        rows.sort(key=lambda row: int(row.answer.row.get(NUMBER, 0)))
        if len({row.question for row in rows}) == 1:  # a prompt for all
            rows = [row._replace(question="") for row in rows]
        field, best, num_best = "", list[list[int]](), 0
        for name in (*EXAMPLE_FIELDS, *IMAGE_FIELDS):
            fits = [self._named(name, row) for row in rows]
            if (num_fits := sum(map(bool, fits))) > num_best:
                field, best, num_best = name, fits, num_fits
            if num_best == len(rows):
                break
        if not num_best:
            return self._in_order(path, of, rows)
        best = self._by_question(best, rows)
        others = [bool(fits) and not self._asks(fits[0], row) for fits, row in zip(best, rows, strict=True)]
        for wrong, what, hint in (
            ([not fits for fits in best], "fit no example", "Remove them, or choose the task's examples to fit."),
            (others, "ask another question than their example", "Name the file of this part, or drop `question`."),
            ([len(fits) > 1 for fits in best], "fit several examples", HOW_TO_TELL),
        ):
            if any(wrong):
                first = rows[wrong.index(True)].answer
                raise ValueError(
                    f"{path}: {sum(wrong)} of {len(rows)} answers {what} of the task, such as {first.location} "
                    f"({field} {first.row.get(field)!r}). {hint}"
                )
        return [(fits[0], row.answer) for fits, row in zip(best, rows, strict=True)]

    def _named(self, field: str, row: _Row) -> list[int]:
        """The numbers of the examples of a row's language and condition that a field may name."""
        value = row.answer.row.get(field)
        by_name = self.by_image.get(_image_key(value)) if field in IMAGE_FIELDS else self.by_example.get(str(value))
        return [number for number in by_name or () if row.group <= self.groups[number]]

    def _by_question(self, fits: Sequence[list[int]], rows: Sequence[_Row]) -> list[list[int]]:
        """Of several examples for a row, those that ask its question. If as many rows fit the same equal examples,
        each takes one, in their order."""
        best, positions = list[list[int]](), defaultdict[tuple[int, ...], list[int]](list)
        for position, (numbers, row) in enumerate(zip(fits, rows, strict=True)):
            asking = [number for number in numbers if row.question and row.question in self.prompts[number]]
            shortest: dict[frozenset[str], int] = {}  # a longer prompt asks for more than the question
            for number in sorted(asking, key=lambda number: len(self.prompts[number])):
                shortest.setdefault(self.groups[number], len(self.prompts[number]))
            best.append([n for n in asking if len(self.prompts[n]) == shortest[self.groups[n]]] or numbers)
            positions[tuple(best[-1])].append(position)
        for equal, of in positions.items():
            if len(equal) == len(of) and len({(self.prompts[number], self.groups[number]) for number in equal}) == 1:
                for number, position in zip(equal, of, strict=True):
                    best[position] = [number]
        return best

    def _in_order(self, path: Path, of: frozenset[str], rows: Sequence[_Row]) -> list[tuple[int, Answer]]:
        """Each answer with the number of its example among those of its language and condition: by its own number, or
        else by its position. What rows tell must prove it: different questions, or else the right answers."""
        members = {
            group: [n for n, own in enumerate(self.groups) if group <= own] for group in {r.group for r in rows}
        }
        counts, pairs, num_fitting = Counter[frozenset[str]](), list[tuple[int, Answer]](), 0
        for row in rows:
            own = row.answer.row.get(NUMBER) if row.group == of else None
            position = counts[row.group] if own is None else int(own)
            counts[row.group] += 1
            if position < len(members[row.group]):
                number = members[row.group][position]
                pairs.append((number, row.answer))
                num_fitting += self._asks(number, row) if row.question else self._is_right(number, row.answer.row)
        is_whole = NUMBER in rows[0].answer.row or all(counts[group] == len(members[group]) for group in counts)
        if num_fitting < len(rows) or not is_whole:
            raise ValueError(
                f"{path}: no field names an example or image of the task, and in their order {num_fitting} of "
                f"{len(rows)} rows fit the {sum(map(len, members.values()))} examples. Add "
                f"{', '.join(EXAMPLE_FIELDS)} or image_id."
            )
        return pairs

    def _asks(self, number: int, row: _Row) -> bool:
        return row.question in self.prompts[number] or self.prompts[number] in row.question

    def _is_right(self, number: int, row: Mapping[str, Any]) -> bool:
        """Whether the right answer that a row tells is the example's. A row that tells none is right, unless it names
        an example or image of another task."""
        told = [
            AS_YES_OR_NO.get(text, text)
            for text in (_plain(row[name]) for name in ("target", "answer") if name in row)
        ]
        if not told:
            return not any(name in row for name in (*EXAMPLE_FIELDS, *IMAGE_FIELDS))
        return any(_plain(reference) in text for reference in self.examples[number].references for text in told)


def _groups(row: Mapping[str, Any], known: set[str]) -> frozenset[str]:
    """The language that a row tells, also one that the task has not, and the condition of the task that it tells."""
    codes, conditions = ({str(row.get(name)) for name in names} for names in (LANGUAGE_FIELDS, CONDITION_FIELDS))
    languages = {OTHER_CODES.get(code, code) for code in codes}
    return frozenset(languages & {*LANGUAGES, *UNSEEN_LANGUAGES} | conditions & known)


def _image_key(image: Any) -> str:
    """The name of an image, the same for its number, key and file."""
    stem = IMAGE_SUFFIX.sub("", PurePosixPath(str(image)).name)
    number = COCO_NAME.fullmatch(stem)
    return number[1] if number else stem


def _plain(text: Any) -> str:
    return " ".join(str(text).casefold().split())


def _name(example: EvaluationExample) -> str:
    return f"{example.id!r} in {example.language!r} under {example.condition!r}"
