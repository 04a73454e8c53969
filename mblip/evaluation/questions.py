"""Benchmarks of short answers: from the questions of a file to the examples of a task, one for each way of asking.

The benchmarks differ in their files, their prompts and their metrics (tasks/); what they have in common is here. The
examples that mblip/data/sources reads for training are read by the same functions, so that training and evaluation
show one picture under one name.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mblip.data.example import Example
from mblip.data.images import Image
from mblip.data.languages import ENGLISH
from mblip.data.left_out import LeftOut

from .benchmark import benchmark_task
from .languages import mix_code
from .protocol import PromptForm, Setup
from .records import LANGUAGE_MARK, DatasetPlace, PlacedRecord, check_one_place, pictures_in, records_of
from .task import AS_IS, Answering, EvaluationExample, EvaluationTask, Metric, Origin, RankBy

NO_CONTENT = "N/A"  # in place of question or statement, in the prompt that calibration asks

ReadFile = Callable[[Path], Iterator[PlacedRecord]]
ReadRecord = Callable[..., Iterator[Example]]


@dataclass(frozen=True)
class Question:
    """What a benchmark asks about an image set, before a prompt is put around it.

    `inputs` are what the prompt holds, such as the question. `language` is the one that answers are counted under,
    `answer_language` the one that the prompt names. The other fields are those of `EvaluationExample`.
    """

    images: tuple[Image, ...] = field(repr=False)
    image_id: str
    inputs: Mapping[str, str]
    references: tuple[str, ...]
    language: str
    id: str
    answer_language: str = ENGLISH
    condition: str = AS_IS
    facts: Mapping[str, str] = field(default_factory=dict)


def question_task(
    name: str,
    questions: Iterable[Question],
    *,
    prompt: str,
    wordings_of: str,
    metric: Metric,
    setup: Setup,
    origin: Origin,
    left_out: LeftOut,
    candidates: tuple[str, ...] = (),
    answering: Answering = "generate",
    rank_by: RankBy = "sum",
) -> EvaluationTask:
    """The task of a benchmark of short answers.

    Args:
        prompt: in which both protocols ask.
        wordings_of: the task of mblip/data/prompts whose wordings are asked in instead, where the set-up says so.
        candidates: to choose from, where answers are ranked or constrained.

    Raises:
        ValueError: there is no question, or images are missing that may not be.
    """
    forms = setup.prompts(wordings_of, paper=prompt)
    return benchmark_task(
        name,
        ask(questions, forms, candidates=() if answering == "generate" else candidates),
        metric=metric,
        setup=setup,
        kind="short_answer",
        origin=origin,
        left_out=left_out,
        answering=answering,
        rank_by=rank_by,
    )


def question_of(example: Example) -> Question:
    """The question of an example that a source has read, answered in English."""
    return Question(
        images=example.images,
        image_id=example.image_id,
        inputs=example.inputs,
        references=(example.target,),
        language=example.language,
        id=example.id,
    )


def ask(
    questions: Iterable[Question], forms: Sequence[PromptForm], *, candidates: tuple[str, ...] = ()
) -> Iterator[EvaluationExample]:
    """Each question in each way of asking; the condition is the question's, the way of asking's, or both.

    Args:
        candidates: to choose from; none where the model writes what it likes.
    """
    for question in questions:
        for form in forms:
            empty = dict.fromkeys(question.inputs, NO_CONTENT)
            yield EvaluationExample(
                images=question.images,
                image_id=question.image_id,
                prompt=form.fill(question.answer_language, **question.inputs),
                references=question.references,
                language=question.language,
                condition=joined_condition(question.condition, form.condition),
                id=question.id,
                candidates=candidates,
                content_free=form.fill(question.answer_language, **empty) if candidates else None,
                facts=question.facts,
            )


def joined_condition(*conditions: str) -> str:
    """The name of what holds several conditions at once; `as_is` adds nothing."""
    return ", ".join(condition for condition in conditions if condition != AS_IS) or AS_IS


def read_examples(
    read: ReadRecord, records: Iterable[PlacedRecord], *, images: str | None, left_out: LeftOut, **arguments: object
) -> Iterator[Example]:
    """The examples that a source makes of records. Pictures in a row of a dataset are shown in place of files.

    Args:
        read: of mblip/data/sources, such as `xvnli_example`.
        images: the folder, URL or archive of the images; None: the rows hold them.
        arguments: more of `read`.

    Raises:
        ValueError: a record is not as published, or holds another number of pictures; the message names its place.
    """
    for place, record in records:
        for example in read(record, place=place, images=images or "", left_out=left_out, **arguments):
            pictures = pictures_in(record, place=place)
            if len(pictures) != len(example.images) and (pictures or images is None):
                raise ValueError(
                    f"{place}: holds {len(pictures)} pictures, expected {len(example.images)}. Say with `images` "
                    "where the files lie, or give the dataset a column `image`, or `images` for several."
                )
            yield replace(example, images=pictures or example.images)


def check_languages_of(files: Path | None, dataset: DatasetPlace | None, languages: Sequence[str]) -> None:
    """Raises ValueError for an unknown language, and unless just one of files and dataset is named and has a part of
    its own for each language."""
    check_one_place(files, dataset)
    check_codes(languages)
    if dataset is not None:
        dataset.check_is_by_language()
    elif LANGUAGE_MARK not in str(files):
        raise ValueError(
            f"found {files} for every language, expected a file of its own for each. Write {LANGUAGE_MARK} in place "
            "of the language's code."
        )


def check_codes(languages: Sequence[str]) -> None:
    """Raises ValueError for an unknown language, or one that is named twice, by whichever of its codes."""
    codes = [mix_code(language) for language in languages]
    if not codes or len(set(codes)) < len(codes):
        raise ValueError(f"found the languages {', '.join(languages) or 'none'}, expected each one once.")


def records_in(
    language: str, files: Path | None, dataset: DatasetPlace | None, *, read: ReadFile
) -> Iterator[PlacedRecord]:
    """The records of one language, of its file or of its part of the dataset."""
    file = None if files is None else Path(str(files).replace(LANGUAGE_MARK, language))
    return records_of(file, dataset, read=read, language=language)
