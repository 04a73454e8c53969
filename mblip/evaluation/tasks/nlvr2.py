"""NLVR2: is a statement about two photos true? In English, and machine-translated into four languages.

dev.json and test1.json of lil-lab/nlvr are JSON lines of sentences about a left and a right photo. IGLUE has them as
dev.jsonl, and translations with the same identifiers as dev-<language>_gmt.jsonl (e-bug/iglue,
datasets/nlvr2/annotations; mblip/data/sources/nlvr2.py). The photos of the identifier dev-896-0-1 are
dev-896-0-img0.png and dev-896-0-img1.png. NLVR2's authors provide them.

Suhr et al., 2019; translations: Bugliarello et al., 2022. Licences: texts CC BY 4.0; the photos belong to their owners
(research only).

Prompt and metric are those of MaRVL (marvl.py), which is modelled on NLVR2. mBLIP's evaluation takes the test split in
English; IGLUE translates the development split.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from mblip.data.languages import ENGLISH
from mblip.data.skipped import SkipReport
from mblip.data.sources.image_names import Images
from mblip.data.sources.nlvr2 import nlvr2_example

from ..answer_scoring import ChoiceAccuracy
from ..benchmark import ask_example, benchmark_task
from ..languages import mix_code
from ..protocol import Setup
from ..read_files import Published, ReadFiles
from ..records import (
    DatasetLocation,
    check_codes,
    check_languages_of,
    check_one_location,
    read_examples,
    records_in,
)
from ..task import Answering, EvaluationExample, EvaluationTask, Origin, RankBy
from .marvl import CANDIDATES, changed_images

NAME = "nlvr2"
SPLIT = re.compile(r"\w+/(train|dev|test\d)-")  # in the id of an example
ORIGIN = Origin(
    "https://github.com/lil-lab/nlvr",
    "texts CC BY 4.0, photos of their owners (research only)",
    layout="a split's .json, translations of https://github.com/e-bug/iglue (datasets/nlvr2/annotations), and the "
    "split's photos, <identifier>-img0.png and -img1.png, in one folder",
)
# Lines of nlvr2/data in lil-lab/nlvr at 1892484. Results are reported on `test`, which is test1.json.
PUBLISHED = Published({"test": 6967, "dev": 6982, "test2": 6970, "train": None}, reported=("test",))


def nlvr2(
    setup: Setup,
    *,
    statements: Path | None = None,
    translated: Path | None = None,
    images: Images | None = None,
    dataset: DatasetLocation | None = None,
    languages: tuple[str, ...] = (ENGLISH,),
    answering: Answering = "generate",
    rank_by: RankBy = "sum",
) -> EvaluationTask:
    """Yes or no: the statements in each language, one language after another.

    Args:
        statements: the file of a split.
        translated: the files in other languages, with `{language}` in place of the code. Instead of all files you can
            give a `dataset` with their fields and the images in a column `images`, the left one first.
        images: the folder, URL or archive of the split's photos, unless the dataset holds them.
    """
    check_codes(languages)
    if ENGLISH in languages:
        check_one_location(statements, dataset)
    if others := [language for language in languages if language != ENGLISH]:
        check_languages_of(translated, dataset, others)
    rules, skipped, files = setup.rules(NAME), SkipReport(), ReadFiles(PUBLISHED)
    prompts = setup.prompts_of(rules)
    candidates = () if answering == "generate" else CANDIDATES

    def examples() -> Iterator[EvaluationExample]:
        for language in languages:
            paths = statements if language == ENGLISH else translated
            records = records_in(language, paths, dataset, files=files)
            code = mix_code(language)
            for example in read_examples(nlvr2_example, records, images=images, skipped=skipped, language=code):
                yield from ask_example(example, prompts, candidates)

    asked = list(examples())
    splits = {found[1] for example in asked if (found := SPLIT.match(example.id))} - {rules.arguments["split"]}
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
        changes=(*(f"split {split}" for split in sorted(splits)), *changed_images(asked, rules)),
    )
