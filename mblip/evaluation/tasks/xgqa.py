"""xGQA: questions about photos, asked in eight languages and answered in English.

There is one file per language, all with the same questions: few_shot/<language>/dev.json and test.json in IGLUE
(e-bug/iglue, datasets/xGQA/annotations), zero_shot/testdev_balanced_questions_<language>.json in Adapter-Hub/xGQA.
Each is a JSON object of question id to GQA's record (mblip/data/sources/gqa.py). Answers are not translated. Images:
<imageId>.jpg of GQA's images.zip.

Pfeiffer et al., 2022. Licences: questions CC BY 4.0, images under GQA's terms.

The model generates its answer freely or chooses one of GQA's 1,842 (`vocabulary`). Protocols differ in what they count
as right (metrics/gqa_accuracy.py).
"""

from collections.abc import Iterator
from pathlib import Path

from mblip.data.skipped import SkipReport
from mblip.data.sources.gqa import XGQA_LANGUAGES, read_xgqa_records, xgqa_example
from mblip.data.sources.image_names import Images

from ..answer_scoring import GqaAccuracy
from ..benchmark import ask_example, benchmark_task
from ..languages import mix_code
from ..protocol import Setup
from ..read_files import Published, ReadFiles
from ..records import (
    DatasetLocation,
    check_languages_of,
    check_vocabulary,
    read_examples,
    read_vocabulary,
    records_in,
)
from ..task import Answering, EvaluationExample, EvaluationTask, Origin, RankBy

NAME = "xgqa"
ORIGIN = Origin(
    "https://github.com/Adapter-Hub/xGQA",
    "questions CC BY 4.0, images under GQA's terms",
    size="images 21.8 GB",
    layout="few_shot/<language>/test.json of IGLUE, or zero_shot/testdev_balanced_questions_<language>.json, and "
    "<imageId>.jpg of images.zip from https://cs.stanford.edu/people/dorarad/gqa/download.html",
)
# The README of Adapter-Hub/xGQA; `testdev` is the sum of its parts. Its paper reports on it, the protocols on `test`.
PUBLISHED = Published(
    {"test": 9666, "testdev": 12578, "dev": 1422, "train": None}, reported=("test",), num_languages=8
)


def xgqa(
    setup: Setup,
    *,
    questions: Path | None = None,
    images: Images | None = None,
    dataset: DatasetLocation | None = None,
    languages: tuple[str, ...] = XGQA_LANGUAGES,
    answering: Answering = "generate",
    rank_by: RankBy = "sum",
    vocabulary: Path | None = None,
) -> EvaluationTask:
    """The questions in each language, one language after another.

    Args:
        questions: the published files, with `{language}` in place of the code. Or give a `dataset` with their fields
            and `question_id`.
        images: the folder, URL or archive of the images, unless the dataset holds them.
        vocabulary: the file of candidates, for ranked or constrained answers.
    """
    check_languages_of(questions, dataset, languages)
    check_vocabulary(vocabulary, answering)
    rules, skipped, files = setup.rules(NAME), SkipReport(), ReadFiles(PUBLISHED)
    prompts = setup.prompts_of(rules)
    candidates = () if vocabulary is None else read_vocabulary(vocabulary, skipped, files)

    def examples() -> Iterator[EvaluationExample]:
        for language in languages:
            records = records_in(language, questions, dataset, read=read_xgqa_records, files=files)
            code = mix_code(language)
            for example in read_examples(xgqa_example, records, images=images, skipped=skipped, language=code):
                yield from ask_example(example, prompts, candidates)

    return benchmark_task(
        NAME,
        examples(),
        metric=GqaAccuracy(main=rules.main),
        setup=setup,
        kind=rules,
        origin=ORIGIN,
        skipped=skipped,
        files=files,
        answering=answering,
        rank_by=rank_by,
    )
