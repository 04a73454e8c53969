"""VQAv2: English questions about photos of COCO, each answered by ten people.

v2_OpenEnded_mscoco_val2014_questions.json and v2_mscoco_val2014_annotations.json, as published on visualqa.org
(mblip/data/sources/vqav2_files.py), are joined by the question's id. Answers of the test splits are not public: the
evaluation server scores those.

Goyal et al., 2017. Licences: annotations CC BY 4.0; photos: Flickr licences.

Both protocols ask in the paper's prompt; Centurio's own is not among the facts at hand. mBLIP's evaluation took the
first 5,000 questions of the validation file (`num_questions`). The model writes its answer, or chooses among the 3,129
usual ones (`vocabulary`). The metric is the official VQA accuracy, with all its cleaning of answers and annotators'
answers (metrics/vqa_accuracy.py), in whole and by the types of answers and questions; the original cleaned answers
alone, by nearly the same rules.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mblip.data.languages import ENGLISH
from mblip.data.left_out import LeftOut, has_usable_texts
from mblip.data.sources.coco_files import CocoPlaces
from mblip.data.sources.image_names import Images, coco_image_id
from mblip.data.sources.vqav2_files import (
    AnnotatedAnswer,
    AnsweredQuestion,
    annotated_question,
    read_annotated_questions,
)

from ..answer_scoring import ANSWER_TYPE, QUESTION_TYPE, VqaAccuracy
from ..answer_vocabulary import read_vocabulary
from ..protocol import Setup
from ..questions import Question, question_task
from ..records import DatasetPlace, check_one_place, image_of
from ..task import Answering, EvaluationTask, Origin, RankBy
from .xgqa import check_vocabulary

NAME = "vqav2"
ORIGIN = Origin("https://visualqa.org/download.html", "annotations CC BY 4.0, photos: Flickr licences")
PROMPT = "Question: {question} Short answer in English:"

Annotated = tuple[AnsweredQuestion, AnnotatedAnswer, Mapping[str, Any]]  # with the row that may hold the photo


@dataclass(frozen=True)
class Vqav2Recipe:
    """What a recipe says of it.

    `questions` and `annotations` are the published files of a split; or `dataset` has the fields of both. `images` is
    the folder, URL or archive of the photos, unless the dataset holds them. `num_questions` takes the first ones.
    Answers that are ranked or constrained are those of the file `vocabulary`.
    """

    questions: Path | None = None
    annotations: Path | None = None
    images: Images | None = None
    dataset: DatasetPlace | None = None
    num_questions: int | None = None
    answering: Answering = "generate"
    rank_by: RankBy = "sum"
    vocabulary: Path | None = None

    def __post_init__(self) -> None:
        check_one_place(self.questions, self.dataset)
        if (self.questions is None) != (self.annotations is None):
            raise ValueError("found one of `questions` and `annotations`, expected both files, or neither.")
        if self.num_questions is not None and self.num_questions < 1:
            raise ValueError(f"`num_questions` is {self.num_questions}, expected at least 1.")
        check_vocabulary(self.vocabulary, self.answering)

    def build(self, setup: Setup) -> EvaluationTask:
        """The task, with its questions and answers read."""
        left_out = LeftOut()
        candidates = () if self.vocabulary is None else read_vocabulary(self.vocabulary, left_out)
        return question_task(
            NAME,
            self.asked(left_out),
            prompt=PROMPT,
            wordings_of="vqa_in_english",
            metric=VqaAccuracy(),
            setup=setup,
            origin=ORIGIN,
            left_out=left_out,
            candidates=candidates,
            answering=self.answering,
            rank_by=self.rank_by,
        )

    def asked(self, left_out: LeftOut) -> Iterator[Question]:
        """The questions, in the order of their file."""
        places = None if self.images is None else CocoPlaces(self.images)
        for number, (asked, annotation, record) in enumerate(self._annotated()):
            if self.num_questions is not None and number >= self.num_questions:
                left_out.add(f"not among the first {self.num_questions:,}", f"{NAME}/{asked.question_id}")
            elif has_usable_texts([asked.question], name=f"{NAME}/{asked.question_id}", left_out=left_out):
                yield vqa_question(asked, annotation, record, places)

    def _annotated(self) -> Iterator[Annotated]:
        if self.dataset is not None:
            for place, record in self.dataset.records():
                yield *annotated_question(record, place=place), record
        else:
            assert self.questions is not None
            assert self.annotations is not None
            for asked, annotation in read_annotated_questions(self.questions, self.annotations):
                yield asked, annotation, {}


def vqa_question(
    asked: AnsweredQuestion, annotation: AnnotatedAnswer, record: Mapping[str, Any], places: CocoPlaces | None
) -> Question:
    """The question about a photo, with the answers of all annotators.

    Args:
        record: the row that may hold the photo.
        places: of the photos; None where the rows hold them.

    Raises:
        ValueError: the photo is in neither.
    """
    file = None if places is None else places.find(asked.image_id, place=asked.place)
    return Question(
        images=(image_of(record, file, place=asked.place, name=f"{asked.image_id:012d}.jpg"),),
        image_id=coco_image_id(asked.image_id),
        inputs={"question": asked.question},
        references=annotation.answers,
        language=ENGLISH,
        id=str(asked.question_id),
        facts={ANSWER_TYPE: annotation.answer_type, QUESTION_TYPE: annotation.question_type},
    )
