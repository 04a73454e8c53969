"""NLVR2: is a statement about two photos true? In English, and machine-translated into four languages.

dev.json and test1.json of lil-lab/nlvr are JSON lines of sentences about a left and a right photo; IGLUE has them as
dev.jsonl, and translated ones as dev-<language>_gmt.jsonl (e-bug/iglue, datasets/nlvr2/annotations), with the same
identifiers (mblip/data/sources/nlvr2.py). Photos: dev-896-0-img0.png and -img1.png for the identifier dev-896-0-1, as
NLVR2's authors hand them out.

Suhr et al., 2019; translations: Bugliarello et al., 2022. Licences: texts CC BY 4.0; the photos belong to their owners
(research only).

Asked and scored as MaRVL, which was made after it (marvl.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mblip.data.languages import ENGLISH
from mblip.data.left_out import LeftOut
from mblip.data.sources.image_names import Images
from mblip.data.sources.nlvr2 import nlvr2_example
from mblip.data.sources.records import read_json_lines

from ..answer_scoring import ChoiceAccuracy
from ..languages import mix_code
from ..protocol import Setup
from ..questions import (
    Question,
    check_codes,
    check_languages_of,
    question_of,
    question_task,
    read_examples,
    records_in,
)
from ..records import DatasetPlace, check_one_place
from ..task import Answering, EvaluationTask, Origin, RankBy
from .marvl import CANDIDATES, PROMPT

NAME = "nlvr2"
ORIGIN = Origin("https://github.com/lil-lab/nlvr", "texts CC BY 4.0, photos of their owners (research only)")


@dataclass(frozen=True)
class Nlvr2Recipe:
    """What a recipe says of it.

    `statements` is the file of a split, and `translated` are those in other languages, with `{language}` in place of
    the code; or `dataset` has their fields, and the pictures in a column `images`, the left one first. `images` is the
    folder, URL or archive of the split's photos, unless the dataset holds them.
    """

    statements: Path | None = None
    translated: Path | None = None
    images: Images | None = None
    dataset: DatasetPlace | None = None
    languages: tuple[str, ...] = (ENGLISH,)
    answering: Answering = "generate"
    rank_by: RankBy = "sum"

    def __post_init__(self) -> None:
        check_codes(self.languages)
        if ENGLISH in self.languages:
            check_one_place(self.statements, self.dataset)
        if others := [language for language in self.languages if language != ENGLISH]:
            check_languages_of(self.translated, self.dataset, others)

    def build(self, setup: Setup) -> EvaluationTask:
        """The task, with its statements read."""
        left_out = LeftOut()
        return question_task(
            NAME,
            self.asked(left_out),
            prompt=PROMPT,
            wordings_of="two_image_statement",
            metric=ChoiceAccuracy(CANDIDATES),
            setup=setup,
            origin=ORIGIN,
            left_out=left_out,
            candidates=CANDIDATES,
            answering=self.answering,
            rank_by=self.rank_by,
        )

    def asked(self, left_out: LeftOut) -> Iterator[Question]:
        """The statements in each language, one language after another."""
        for language in self.languages:
            files = self.statements if language == ENGLISH else self.translated
            records = records_in(language, files, self.dataset, read=read_json_lines)
            code = mix_code(language)
            examples = read_examples(nlvr2_example, records, images=self.images, left_out=left_out, language=code)
            yield from map(question_of, examples)
