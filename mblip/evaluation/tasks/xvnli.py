"""XVNLI: does a photo make a sentence true, false, or neither? In five languages, answered in English.

<language>/test.jsonl of IGLUE (e-bug/iglue, datasets/XVNLI/annotations) is JSON lines of SNLI's pairs. The photo, from
Flickr30k, replaces the premise (mblip/data/sources/xvnli.py). Pairs without a majority label ("-") are skipped and
counted, as in the original evaluation. Images: <Flikr30kID>.jpg of Flickr30k.

Bugliarello et al., 2022, after Bowman et al., 2015. Licences: texts CC BY-SA 4.0 (SNLI), photos under Flickr30k's
terms (research only).

The answer is yes (entailment), maybe (neutral) or no (contradiction), as in training: the model generates it freely or
chooses one of the three. The metric is accuracy. The share and recall of each answer show if a class never wins.
"""

from collections.abc import Iterator
from pathlib import Path

from mblip.data.skipped import SkipReport
from mblip.data.sources.image_names import Images
from mblip.data.sources.xvnli import XVNLI_LANGUAGES, xvnli_example

from ..answer_scoring import ChoiceAccuracy
from ..benchmark import ask_example, benchmark_task
from ..languages import mix_code
from ..protocol import Setup
from ..read_files import Published, ReadFiles
from ..records import DatasetLocation, check_languages_of, read_examples, records_in
from ..task import Answering, EvaluationExample, EvaluationTask, Origin, RankBy

NAME = "xvnli"
ORIGIN = Origin(
    "https://github.com/e-bug/iglue/tree/main/datasets/XVNLI",
    "texts CC BY-SA 4.0 (SNLI), photos by the terms of Flickr30k (research only)",
    size="photos 4.4 GB",
    layout="annotations/<language>/test.jsonl, and <id>.jpg of Flickr30k from https://shannon.cs.illinois.edu/DenotationGraph",
)
CANDIDATES = ("yes", "no", "maybe")
# Lines of <language>/test.jsonl in e-bug/iglue at 43cbac9.
PUBLISHED = Published({"test": 1164, "dev": None, "train": None}, reported=("test",), num_languages=5)


def xvnli(
    setup: Setup,
    *,
    pairs: Path | None = None,
    images: Images | None = None,
    dataset: DatasetLocation | None = None,
    languages: tuple[str, ...] = XVNLI_LANGUAGES,
    answering: Answering = "generate",
    rank_by: RankBy = "sum",
) -> EvaluationTask:
    """Yes, no or maybe: the pairs in each language, one language after another.

    Args:
        pairs: the published files, with `{language}` in place of the code. Or give a `dataset` with their fields.
        images: the folder, URL or archive of Flickr30k's images, unless the dataset holds them.
    """
    check_languages_of(pairs, dataset, languages)
    rules, skipped, files = setup.rules(NAME), SkipReport(), ReadFiles(PUBLISHED)
    prompts = setup.prompts_of(rules)
    candidates = () if answering == "generate" else CANDIDATES

    def examples() -> Iterator[EvaluationExample]:
        for language in languages:
            records, code = records_in(language, pairs, dataset, files=files), mix_code(language)
            for example in read_examples(xvnli_example, records, images=images, skipped=skipped, language=code):
                yield from ask_example(example, prompts, candidates)

    return benchmark_task(
        NAME,
        examples(),
        metric=ChoiceAccuracy(CANDIDATES, main=rules.main),
        setup=setup,
        kind=rules,
        origin=ORIGIN,
        skipped=skipped,
        files=files,
        answering=answering,
        rank_by=rank_by,
    )
