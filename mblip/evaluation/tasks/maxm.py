"""MaXM: questions about photos of Crossmodal-3600, asked and answered in seven languages.

maxm_v1_<language>.json of maxm_v1_release.zip (google-research-datasets/maxm) is documented as a JSON object of
"dataset", "version", "split" and "annotations", a list of {"image_id": "...", "image_url": "...", "qa_pairs":
[{"question_id": "...", "question": "...", "answers": [...], "processed_answers": [...], "is_collection": false}]}.
Image ids are the keys of Crossmodal-3600, whose photos are <key>.jpg. Hebrew is `iw`. We tested with this description,
not with published records.

Changpinyo et al., 2023. Licence: the repository states none; photos CC BY 2.0.

The prompt names the language of the answer. An answer is right if it equals one of the `processed_answers`
(metrics/maxm_accuracy.py). Where there are none, no answer is right, as in the protocols. There is no list of
candidates to rank.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mblip.data.skipped import SkipReport, has_usable_texts
from mblip.data.sources.image_names import Images, image_location, xm3600_image_id
from mblip.data.sources.records import check_record, read_json_object

from ..answer_scoring import RAW_ANSWERS, MaxmAccuracy
from ..benchmark import ask, benchmark_task
from ..languages import mix_code
from ..protocol import PromptForm, Setup
from ..read_files import Published, ReadFiles
from ..records import DatasetLocation, LocatedRecord, check_languages_of, image_of, records_in
from ..task import EvaluationExample, EvaluationTask, Origin

NAME = "maxm"
ORIGIN = Origin(
    "https://github.com/google-research-datasets/maxm",
    "states none; photos CC BY 2.0",
    layout="maxm_v1_<language>.json of maxm_v1_release.zip, and <image_id>.jpg of Crossmodal-3600 from "
    "https://google.github.io/crossmodal-3600",
)
MAXM_LANGUAGES = ("en", "fr", "hi", "iw", "ro", "th", "zh")
# Questions in each file, from the card of floschne/maxm, a copy on the Hub.
PUBLISHED = Published(
    {"test": {"en": 257, "fr": 264, "hi": 260, "iw": 280, "ro": 284, "th": 268, "zh": 277}}, num_languages=7
)

FILE_FIELDS = {"annotations": list[dict]}
IMAGE_FIELDS = {"image_id": str}
PAIRS_FIELDS = {"qa_pairs": list[dict]}
PAIR_FIELDS = {"question_id": str, "question": str, "processed_answers": list[str], "answers": list[str] | None}


def maxm(
    setup: Setup,
    *,
    questions: Path | None = None,
    images: Images | None = None,
    dataset: DatasetLocation | None = None,
    languages: tuple[str, ...] = MAXM_LANGUAGES,
) -> EvaluationTask:
    """The questions in each language, one language after another.

    Args:
        questions: the published files, with `{language}` in place of the code. Or give a `dataset` whose rows have the
            fields of an annotation, with a column `qa_pairs` or one question per row.
        images: the folder, URL or archive of Crossmodal-3600's photos, unless the dataset holds them.
    """
    check_languages_of(questions, dataset, languages)
    rules, skipped, files = (
        setup.rules(NAME),
        SkipReport(),
        ReadFiles(PUBLISHED, size=lambda located: len(list(_pairs(located[1], located[0])))),
    )
    prompts = setup.prompts_of(rules)
    examples = [
        example
        for language in languages
        for location, record in records_in(language, questions, dataset, read=read_maxm_records, files=files)
        for example in maxm_examples(
            record, prompts, location=location, language=mix_code(language), images=images, skipped=skipped
        )
    ]
    has_all = all(RAW_ANSWERS in example.facts for example in examples)
    is_other = rules.arguments.get("references") == RAW_ANSWERS and not has_all
    return benchmark_task(
        NAME,
        examples,
        metric=MaxmAccuracy(main=rules.main),
        setup=setup,
        kind=rules,
        origin=ORIGIN,
        skipped=skipped,
        files=files,
        changes=("processed answers as references",) if is_other else (),
    )


def read_maxm_records(path: Path) -> Iterator[LocatedRecord]:
    """The annotations of a file with their locations.

    Raises:
        ValueError: the file does not exist, or has another layout.
    """
    annotations = check_record(read_json_object(path), FILE_FIELDS, location=str(path))["annotations"]
    for index, annotation in enumerate(annotations):
        yield f"{path}, annotations[{index}]", annotation


def maxm_examples(
    record: Any,
    prompts: Sequence[PromptForm],
    *,
    location: str,
    language: str,
    images: str | None,
    skipped: SkipReport,
) -> Iterator[EvaluationExample]:
    """The questions of an annotation. Questions with unusable text are skipped and counted.

    Raises:
        ValueError: the record is not as documented, or its photo is missing; the message names the location.
    """
    key = check_record(record, IMAGE_FIELDS, location=location)["image_id"]
    file = None if images is None else image_location(images, f"{key}.jpg", location=location)
    image = image_of(record, file, location=location, name=f"{key}.jpg")
    for pair_location, pair in _pairs(record, location):
        fields = check_record(pair, PAIR_FIELDS, location=pair_location)
        id = f"{language}/{fields['question_id']}"
        answers = tuple(answer for answer in fields["processed_answers"] if answer.strip())
        if has_usable_texts([fields["question"]], name=f"{NAME}/{id}", skipped=skipped):
            yield from ask(
                prompts,
                images=(image,),
                image_id=xm3600_image_id(key),
                inputs={"question": fields["question"]},
                references=answers or ("",),  # no answer equals it
                language=language,
                id=id,
                answer_language=language,
                facts={} if fields["answers"] is None else {RAW_ANSWERS: "\n".join(fields["answers"])},
            )


def _pairs(record: Any, location: str) -> Iterator[LocatedRecord]:
    if "qa_pairs" not in record:
        yield location, record
        return
    for position, pair in enumerate(check_record(record, PAIRS_FIELDS, location=location)["qa_pairs"]):
        yield f"{location}, qa_pairs[{position}]", pair
