"""MaRVL: is a statement about two images true? In five languages, answered in English.

zero_shot/annotations/marvl-<language>.jsonl of marvl-challenge/marvl-code and of IGLUE is JSON lines of captions about
a left and a right image (mblip/data/sources/nlvr2.py). Images: <language>/images/<concept>/<name> of marvl-images,
whose names are in decomposed Unicode (`file_names`).

Liu et al., 2021. Licences: texts CC BY 4.0; the images belong to their owners (research only).

The answer is yes or no, as in training: the model generates it freely or chooses one of the two. The metric is
accuracy. Pangea's data set holds both images as one. The published files have two, which we name among the changes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mblip.data.skipped import SkipReport
from mblip.data.sources.image_names import Images
from mblip.data.sources.nlvr2 import MARVL_LANGUAGES, UnicodeForm, marvl_example

from ..answer_scoring import ChoiceAccuracy
from ..benchmark import ask_example, benchmark_task
from ..languages import mix_code
from ..protocol import Rules, Setup
from ..read_files import Published, ReadFiles
from ..records import DatasetLocation, check_languages_of, read_examples, records_in
from ..task import Answering, EvaluationExample, EvaluationTask, Origin, RankBy

NAME = "marvl"
ORIGIN = Origin(
    "https://marvl-challenge.github.io",
    "texts CC BY 4.0, images of their owners (research only)",
    layout="zero_shot/annotations/marvl-<language>.jsonl, and <language>/images/<concept>/<name> of marvl-images",
)
CANDIDATES = ("yes", "no")
# Lines of zero_shot/annotations in e-bug/iglue at 43cbac9.
PUBLISHED = Published({"test": {"id": 1128, "sw": 1108, "ta": 1242, "tr": 1180, "zh": 1012}}, num_languages=5)


def marvl(
    setup: Setup,
    *,
    statements: Path | None = None,
    images: Images | None = None,
    dataset: DatasetLocation | None = None,
    file_names: UnicodeForm = "NFD",
    languages: tuple[str, ...] = MARVL_LANGUAGES,
    answering: Answering = "generate",
    rank_by: RankBy = "sum",
) -> EvaluationTask:
    """Yes or no: the statements in each language, one language after another.

    Args:
        statements: the published files, with `{language}` in place of the code. Or give a `dataset` with their fields
            and the images in a column `images`, the left one first.
        images: the folder, URL or archive of the images, with one folder per language, unless the dataset holds them.
        file_names: the Unicode form of the names of the image files.

    Raises:
        ValueError: a record states another language than its file.
    """
    check_languages_of(statements, dataset, languages)
    rules, skipped, files = setup.rules(NAME), SkipReport(), ReadFiles(PUBLISHED)
    prompts = setup.prompts_of(rules)
    candidates = () if answering == "generate" else CANDIDATES

    def examples() -> Iterator[EvaluationExample]:
        for language in languages:
            records = records_in(language, statements, dataset, files=files)
            for example in read_examples(
                marvl_example, records, images=images, skipped=skipped, file_names=file_names
            ):
                if example.language != mix_code(language):
                    raise ValueError(
                        f"{NAME}: the record {example.id} is in {example.language!r}, but the file is for "
                        f"{language!r}. Name the file of each language."
                    )
                yield from ask_example(example, prompts, candidates)

    asked = list(examples())
    return benchmark_task(
        NAME,
        asked,
        metric=ChoiceAccuracy(CANDIDATES, main=rules.main),
        setup=setup,
        kind=rules,
        origin=ORIGIN,
        skipped=skipped,
        files=files,
        answering=answering,
        rank_by=rank_by,
        changes=changed_images(asked, rules),
    )


def changed_images(examples: Sequence[EvaluationExample], rules: Rules) -> tuple[str, ...]:
    """What differs from the protocol in how the images of a statement are shown."""
    others = {len(example.images) for example in examples} - {rules.arguments["images_shown"]}
    return tuple("both images in one" if number == 1 else "two images, not both in one" for number in others)
