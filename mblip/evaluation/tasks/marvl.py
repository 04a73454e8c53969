"""MaRVL: is a statement about two images true? In five languages, answered in English.

zero_shot/annotations/marvl-<language>.jsonl of marvl-challenge/marvl-code and of IGLUE is JSON lines of captions about
a left and a right image (mblip/data/sources/nlvr2.py). Images: <language>/images/<concept>/<name> of marvl-images,
whose names are in decomposed Unicode (`file_names`).

Liu et al., 2021. Licences: texts CC BY 4.0; the images belong to their owners (research only).

Both protocols ask in the paper's prompt; Centurio's own is not among the facts at hand. The answer is yes or no:
written by the model, or chosen of the two, as training writes them. The figure is the accuracy.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mblip.data.left_out import LeftOut
from mblip.data.sources.image_names import Images
from mblip.data.sources.nlvr2 import MARVL_LANGUAGES, UnicodeForm, marvl_example
from mblip.data.sources.records import read_json_lines

from ..answer_scoring import ChoiceAccuracy
from ..languages import mix_code
from ..protocol import Setup
from ..questions import Question, check_languages_of, question_of, question_task, read_examples, records_in
from ..records import DatasetPlace
from ..task import Answering, EvaluationTask, Origin, RankBy

NAME = "marvl"
ORIGIN = Origin("https://marvl-challenge.github.io", "texts CC BY 4.0, images of their owners (research only)")
PROMPT = 'Based on the two images, is it correct to say "{statement}"? Yes or no? Answer in English:'
CANDIDATES = ("yes", "no")


@dataclass(frozen=True)
class MarvlRecipe:
    """What a recipe says of it.

    `statements` are the published files, with `{language}` in place of the code; or `dataset` has their fields, and
    the pictures in a column `images`, the left one first. `images` is the folder, URL or archive of the images, the
    one with a folder per language, unless the dataset holds them; `file_names` is how the files in it are written.
    """

    statements: Path | None = None
    images: Images | None = None
    dataset: DatasetPlace | None = None
    file_names: UnicodeForm = "NFD"
    languages: tuple[str, ...] = MARVL_LANGUAGES
    answering: Answering = "generate"
    rank_by: RankBy = "sum"

    def __post_init__(self) -> None:
        check_languages_of(self.statements, self.dataset, self.languages)

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
        """The statements in each language, one language after another.

        Raises:
            ValueError: a record says that it is in another language than its file.
        """
        for language in self.languages:
            records = records_in(language, self.statements, self.dataset, read=read_json_lines)
            for example in read_examples(
                marvl_example, records, images=self.images, left_out=left_out, file_names=self.file_names
            ):
                if example.language != mix_code(language):
                    raise ValueError(
                        f"{NAME}: the record {example.id} is in {example.language!r}, but stands among those in "
                        f"{language!r}. Name the file of each language."
                    )
                yield question_of(example)
