"""GQA and xGQA: questions about photos of Visual Genome, asked in eight languages, answered in English.

GQA is read in LXMERT's layout, which IGLUE uses too (e-bug/iglue, datasets/gqa/annotations/train.json): a JSON array
of {"img_id": "2375429", "label": {"pipe": 1.0}, "question_id": "07333408", "sent": "What is ...?"}. A label gives a
score to each answer. GQA has one answer per question; of several, the one with the highest score is taken. A question
with an empty label is skipped.

xGQA (Adapter-Hub/xGQA, data/few_shot/<language>/train_5.json, dev.json, test.json) is a JSON object of question id to
GQA's own record: {"imageId": "n406334", "question": "Ist der Bus ...?", "answer": "no", ...}. Only the questions are
translated. The question ids are the same in every language.

Images are <image id>.jpg of GQA's images.zip. Licences: xGQA is CC BY 4.0; GQA is under its authors' terms.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..example import Example
from ..json_stream import iter_json_array
from ..languages import LanguageCode, get_language
from ..skipped import SkipReport, has_usable_texts
from . import published
from .image_names import Images, image_location
from .records import check_record, read_json_object

SOURCE = "gqa"
XGQA_SOURCE = "xgqa"
XGQA_LANGUAGES = ("bn", "de", "en", "id", "ko", "pt", "ru", "zh")

GQA_FIELDS = {"img_id": str, "label": dict[str, float], "question_id": str | int, "sent": str}
XGQA_FIELDS = {"question_id": str | int, "imageId": str, "question": str, "answer": str}


@published("questions about photos of Visual Genome", "GQA, in LXMERT's layout", "GQA's terms")
def gqa(seed: int, skipped: SkipReport | None = None, *, path: Path, images: Images) -> Iterator[Example]:
    """The questions of a file of GQA in LXMERT's layout, one after another in constant memory.

    Args:
        images: the folder, URL or archive of the images (images/locations.py).
    Raises:
        ValueError: the file is not as published. The message names the record and the field.
    """
    skipped = SkipReport() if skipped is None else skipped
    for index, record in enumerate(iter_json_array(path)):
        location = f"{path}, record {index}"
        fields = check_record(record, GQA_FIELDS, location=location)
        name, scores = f"{SOURCE}/{fields['question_id']}", fields["label"]
        if not scores:
            skipped.add("question without an answer", name)
        elif has_usable_texts([fields["sent"]], name=name, skipped=skipped):
            yield _example(
                images,
                location,
                source=SOURCE,
                id=str(fields["question_id"]),
                image=fields["img_id"],
                question=fields["sent"],
                answer=max(scores, key=scores.__getitem__),
                language="en",
            )


@published("GQA's questions in eight languages", "Adapter-Hub/xGQA", "CC BY 4.0")
def xgqa(
    seed: int,
    skipped: SkipReport | None = None,
    *,
    annotations: Path,
    languages: tuple[LanguageCode, ...],
    split: str,
    images: Images,
) -> Iterator[Example]:
    """The questions of xGQA in some languages, with English answers.

    Args:
        annotations: the parent folder of the languages' folders.
        split: the files' name without extension: train_5, dev, test.
    """
    for language in languages:
        path = annotations / language / f"{split}.json"
        yield from read_xgqa(path, language=language, images=images, skipped=skipped)


def read_xgqa(
    path: str | Path, *, language: str, images: str | Path, skipped: SkipReport | None = None
) -> Iterator[Example]:
    """The questions of a file of xGQA.

    Args:
        language: the questions' language, one of xGQA's eight. The file does not give it.
        images: the folder, URL or archive of the images (images/locations.py).
    Raises:
        ValueError: the file is not as published. The message names the question id and the field.
    """
    skipped = SkipReport() if skipped is None else skipped
    for location, record in read_xgqa_records(path):
        yield from xgqa_example(record, location=location, language=language, images=images, skipped=skipped)


def read_xgqa_records(path: str | Path) -> Iterator[tuple[str, Any]]:
    """The locations and records of a file of xGQA, with the question's id in the record.

    Raises:
        ValueError: the file is not a JSON object.
    """
    for question_id, record in read_json_object(path).items():
        is_object = isinstance(record, dict)
        yield f"{path}, question {question_id!r}", record | {"question_id": question_id} if is_object else record


def xgqa_example(
    record: Any, *, location: str, language: str, images: str | Path, skipped: SkipReport
) -> Iterator[Example]:
    """The example of a record. None, and counted, if a text is unusable.

    Raises:
        ValueError: the record is not as published. The message names the location and the field.
    """
    language = get_language(language).code
    fields = check_record(record, XGQA_FIELDS, location=location)
    id = f"{language}/{fields['question_id']}"
    if has_usable_texts([fields["question"], fields["answer"]], name=f"{XGQA_SOURCE}/{id}", skipped=skipped):
        yield _example(
            images,
            location,
            source=XGQA_SOURCE,
            id=id,
            image=fields["imageId"],
            question=fields["question"],
            answer=fields["answer"],
            language=language,
        )


def _example(images: str | Path, location: str, *, image: str, question: str, answer: str, **fields: Any) -> Example:
    """A question about an image. Both corpora name a photo the same way."""
    return Example(
        images=(image_location(images, f"{image}.jpg", location=location),),
        prompt="",
        target=answer.strip(),
        task="vqa_in_english",
        image_id=f"{SOURCE}/{image}",
        inputs={"question": question.strip()},
        **fields,
    )
