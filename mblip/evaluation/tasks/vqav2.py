"""VQAv2: English questions about photos of COCO, each answered by ten people.

We join v2_OpenEnded_mscoco_val2014_questions.json and v2_mscoco_val2014_annotations.json, as published on
visualqa.org, by the question's id (mblip/data/sources/vqav2_files.py). The answers of the test splits are not public;
only the evaluation server scores them.

Goyal et al., 2017. Licences: annotations CC BY 4.0; photos: Flickr licences.

The protocols take the first questions of the validation file (`num_questions`). The model generates its answer freely
or chooses one of the usual 3,129 (`vocabulary`). The metric is VQA accuracy, overall and by the types of answers and
questions. The protocols' evaluators clean the answers, the official one the annotators' answers, too, but only where
they disagree (metrics/vqa_accuracy.py).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mblip.data.languages import ENGLISH
from mblip.data.recipes.ranges import Count
from mblip.data.skipped import SkipReport, has_usable_texts
from mblip.data.sources.coco_files import CocoLocations
from mblip.data.sources.image_names import Images, coco_image_id
from mblip.data.sources.vqav2_files import (
    AnnotatedAnswer,
    AnsweredQuestion,
    annotated_question,
    read_annotated_questions,
)

from ..answer_scoring import ANSWER_TYPE, QUESTION_TYPE, VqaAccuracy
from ..benchmark import ask, benchmark_task
from ..protocol import Setup
from ..read_files import Published, ReadFiles
from ..records import DatasetLocation, check_one_location, check_vocabulary, image_of, read_vocabulary
from ..task import Answering, EvaluationExample, EvaluationTask, Origin, RankBy

NAME = "vqav2"
ORIGIN = Origin(
    "https://visualqa.org/download.html",
    "annotations CC BY 4.0, photos: Flickr licences",
    size="photos 6 GB",
    layout="v2_OpenEnded_mscoco_val2014_questions.json, v2_mscoco_val2014_annotations.json, and "
    "<name>.jpg of val2014.zip from https://cocodataset.org/#download",
)
# https://visualqa.org/download.html. Only the evaluation server has the answers of `test`.
PUBLISHED = Published({"val": 214_354, "train": 443_757, "test": 447_793}, reported=("val",))


def vqav2(
    setup: Setup,
    *,
    questions: Path | None = None,
    annotations: Path | None = None,
    images: Images | None = None,
    dataset: DatasetLocation | None = None,
    num_questions: Count | None = None,
    answering: Answering = "generate",
    rank_by: RankBy = "sum",
    vocabulary: Path | None = None,
) -> EvaluationTask:
    """The questions, in the order of their file, with the answers of all annotators.

    Args:
        questions, annotations: the published files of a split. Or give a `dataset` with the fields of both.
        images: the folder, URL or archive of the photos, unless the dataset holds them.
        num_questions: take only the first ones. None: as many as the protocol.
        vocabulary: the file of candidates, for ranked or constrained answers.
    """
    check_one_location(questions, dataset)
    if (questions is None) != (annotations is None):
        raise ValueError("found only one of `questions` and `annotations`, expected both files or neither.")
    check_vocabulary(vocabulary, answering)
    rules, skipped, files = setup.rules(NAME, num_questions=num_questions), SkipReport(), ReadFiles(PUBLISHED)
    prompts = setup.prompts_of(rules)
    num_questions = rules.arguments["num_questions"]
    candidates = () if vocabulary is None else read_vocabulary(vocabulary, skipped, files)
    locations = None if images is None else CocoLocations(images)

    def examples() -> Iterator[EvaluationExample]:
        for number, (asked, annotation, record) in enumerate(_annotated(questions, annotations, dataset, files)):
            name = f"{NAME}/{asked.question_id}"
            if number >= num_questions:
                skipped.add(f"not among the first {num_questions:,}", name)
            elif has_usable_texts([asked.question], name=name, skipped=skipped):
                file = None if locations is None else locations.find(asked.image_id, location=asked.location)
                yield from ask(
                    prompts,
                    images=(image_of(record, file, location=asked.location, name=f"{asked.image_id:012d}.jpg"),),
                    image_id=coco_image_id(asked.image_id),
                    inputs={"question": asked.question},
                    references=annotation.answers,
                    language=ENGLISH,
                    id=str(asked.question_id),
                    candidates=candidates,
                    facts={ANSWER_TYPE: annotation.answer_type, QUESTION_TYPE: annotation.question_type},
                )

    return benchmark_task(
        NAME,
        examples(),
        metric=VqaAccuracy(main=rules.main),
        setup=setup,
        kind=rules,
        origin=ORIGIN,
        skipped=skipped,
        files=files,
        answering=answering,
        rank_by=rank_by,
    )


def _annotated(
    questions: Path | None, annotations: Path | None, dataset: DatasetLocation | None, files: ReadFiles
) -> Iterator[tuple[AnsweredQuestion, AnnotatedAnswer, Mapping[str, Any]]]:
    """Each question with its answers, and with its dataset row, which may hold the photo."""
    if dataset is not None:
        for location, record in dataset.records(files=files):
            yield *annotated_question(record, location=location), record
    else:
        assert questions is not None
        assert annotations is not None
        read = read_annotated_questions(questions, annotations)
        for asked, annotation in files.counted(read, str(questions), file=questions):
            yield asked, annotation, {}
        files.add(annotations, files.noted[0][1].num_records)  # one for each question
