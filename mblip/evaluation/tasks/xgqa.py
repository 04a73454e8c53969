"""xGQA: questions about photos, asked in eight languages and answered in English.

The files are JSON objects of question id to GQA's record (mblip/data/sources/gqa.py), one for each language, with the
same questions in all: few_shot/<language>/dev.json and test.json in IGLUE (e-bug/iglue, datasets/xGQA/annotations),
zero_shot/testdev_balanced_questions_<language>.json in Adapter-Hub/xGQA. Answers are not translated. Images:
<imageId>.jpg of GQA's images.zip.

Pfeiffer et al., 2022. Licences: questions CC BY 4.0, images under GQA's terms.

Both protocols ask in the paper's prompt; Centurio's own is not among the facts at hand. The model writes its answer,
or chooses among GQA's 1,842 (`vocabulary`). Right is what equals the answer after cleaning; the original's relaxed
match stands beside it (metrics/gqa_accuracy.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mblip.data.left_out import LeftOut
from mblip.data.sources.gqa import XGQA_LANGUAGES, read_xgqa_records, xgqa_example
from mblip.data.sources.image_names import Images

from ..answer_scoring import GqaAccuracy
from ..answer_vocabulary import read_vocabulary
from ..languages import mix_code
from ..protocol import Setup
from ..questions import Question, check_languages_of, question_of, question_task, read_examples, records_in
from ..records import DatasetPlace
from ..task import Answering, EvaluationTask, Origin, RankBy

NAME = "xgqa"
ORIGIN = Origin("https://github.com/Adapter-Hub/xGQA", "questions CC BY 4.0, images under GQA's terms")
PROMPT = "Question: {question} Short answer in English:"


@dataclass(frozen=True)
class XgqaRecipe:
    """What a recipe says of it.

    `questions` are the published files, with `{language}` in place of the code; or `dataset` has their fields and
    `question_id`. `images` is the folder, URL or archive of the images, unless the dataset holds them. Answers that
    are ranked or constrained are those of the file `vocabulary`.
    """

    questions: Path | None = None
    images: Images | None = None
    dataset: DatasetPlace | None = None
    languages: tuple[str, ...] = XGQA_LANGUAGES
    answering: Answering = "generate"
    rank_by: RankBy = "sum"
    vocabulary: Path | None = None

    def __post_init__(self) -> None:
        check_languages_of(self.questions, self.dataset, self.languages)
        check_vocabulary(self.vocabulary, self.answering)

    def build(self, setup: Setup) -> EvaluationTask:
        """The task, with its questions read."""
        left_out = LeftOut()
        candidates = () if self.vocabulary is None else read_vocabulary(self.vocabulary, left_out)
        return question_task(
            NAME,
            self.asked(left_out),
            prompt=PROMPT,
            wordings_of="vqa_in_english",
            metric=GqaAccuracy(),
            setup=setup,
            origin=ORIGIN,
            left_out=left_out,
            candidates=candidates,
            answering=self.answering,
            rank_by=self.rank_by,
        )

    def asked(self, left_out: LeftOut) -> Iterator[Question]:
        """The questions in each language, one language after another."""
        for language in self.languages:
            records = records_in(language, self.questions, self.dataset, read=read_xgqa_records)
            code = mix_code(language)
            examples = read_examples(xgqa_example, records, images=self.images, left_out=left_out, language=code)
            yield from map(question_of, examples)


def check_vocabulary(vocabulary: Path | None, answering: Answering) -> None:
    """Raises ValueError unless there is a vocabulary where answers are chosen from one, and there alone."""
    if (vocabulary is None) != (answering == "generate"):
        found = "no `vocabulary`" if vocabulary is None else f"the `vocabulary` {vocabulary}"
        raise ValueError(
            f"found {found} with `answering: {answering}`. Name the file of answers, such as trainval_label2ans.json, "
            "where answers are ranked or constrained, and leave it out where the model generates them."
        )
