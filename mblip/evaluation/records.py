"""Records of a benchmark with their locations: of the published file, or of a dataset that has its fields as columns.

    for location, record in records_of(captions, dataset):
        fields = check_record(record, {"image/key": str}, location=location)

A recipe names the file, or under `dataset` what `datasets` loads (`DatasetLocation`). Both give the same records, so
one reader checks both. A dataset may hold the images too, in a column `image`, or `images` for several of a record;
they are shown in place of files (`images_in`), and stay in memory, encoded, as long as the task.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image as PILImage

from mblip.data.example import Example
from mblip.data.images import Image
from mblip.data.skipped import SkipReport
from mblip.data.sources.dataset_rows import read_rows
from mblip.data.sources.records import describe, read_json_lines

from .languages import mix_code
from .task import Answering

LocatedRecord = tuple[str, Any]  # what an error calls the record, and the record
ReadFile = Callable[[Path], Iterator[LocatedRecord]]
ReadRecord = Callable[..., Iterator[Example]]

LANGUAGE_MARK = "{language}"


@dataclass(frozen=True)
class DatasetLocation:
    """What a recipe says of a dataset. `path` is a name on the Hub, or a folder or file that `datasets` reads. Where a
    benchmark has a file for each language, `{language}` in `path`, `split` or `config` stands for its code."""

    path: str
    split: str = "test"
    config: str | None = None
    revision: str | None = None

    def records(self, language: str | None = None) -> Iterator[LocatedRecord]:
        """The rows with their locations; of one language where the recipe says `{language}`.

        Raises:
            ValueError: the dataset cannot be loaded.
            OSError: there is no such dataset, or the Hub cannot be reached.
        """
        return read_rows(
            _in_language(self.path, language),
            split=_in_language(self.split, language),
            config=None if self.config is None else _in_language(self.config, language),
            revision=self.revision,
        )

    def check_is_by_language(self) -> None:
        """Raises ValueError unless each language has a part of its own."""
        if not any(LANGUAGE_MARK in (text or "") for text in (self.path, self.split, self.config)):
            raise ValueError(
                f"`dataset` names {self.path} for every language, expected a part of its own for each. Write "
                f"{LANGUAGE_MARK} into its `path`, `config` or `split`."
            )


def check_one_location(file: Path | None, dataset: DatasetLocation | None) -> None:
    """Raises ValueError unless a recipe names just one of the two."""
    if (file is None) == (dataset is None):
        found = "neither files nor a dataset" if dataset is None else f"both {file} and the dataset {dataset.path}"
        raise ValueError(
            f"Found {found}, expected one of the two. Name the files as published, or under `dataset` what has their "
            "fields as columns."
        )


def check_languages_of(files: Path | None, dataset: DatasetLocation | None, languages: Sequence[str]) -> None:
    """Raises ValueError for an unknown language, and unless just one of files and dataset is named and has a part of
    its own for each language."""
    check_one_location(files, dataset)
    check_codes(languages)
    if dataset is not None:
        dataset.check_is_by_language()
    elif LANGUAGE_MARK not in str(files):
        raise ValueError(
            f"found {files} for every language, expected a file of its own for each. Write {LANGUAGE_MARK} in place "
            "of the language's code."
        )


def check_codes(languages: Sequence[str]) -> None:
    """Raises ValueError for an unknown language, or one that is named twice, by whichever of its codes."""
    codes = [mix_code(language) for language in languages]
    if not codes or len(set(codes)) < len(codes):
        raise ValueError(f"found the languages {', '.join(languages) or 'none'}, expected each one once.")


def records_of(
    file: Path | None,
    dataset: DatasetLocation | None,
    *,
    read: ReadFile = read_json_lines,
    language: str | None = None,
) -> Iterator[LocatedRecord]:
    """The records of the file, or of the dataset, whichever is given.

    Args:
        read: the records of a file, JSON lines unless said otherwise.
        language: which stands in place of `{language}` in the dataset.

    Raises:
        ValueError: both or neither are given, or the one given cannot be read.
    """
    check_one_location(file, dataset)
    if dataset is not None:
        return dataset.records(language)
    assert file is not None  # checked
    return read(file)


def records_in(
    language: str, files: Path | None, dataset: DatasetLocation | None, *, read: ReadFile = read_json_lines
) -> Iterator[LocatedRecord]:
    """The records of one language, of its file or of its part of the dataset."""
    file = None if files is None else Path(str(files).replace(LANGUAGE_MARK, language))
    return records_of(file, dataset, read=read, language=language)


def read_examples(
    read: ReadRecord, records: Iterable[LocatedRecord], *, images: str | None, skipped: SkipReport, **arguments: object
) -> Iterator[Example]:
    """The examples that a source makes of records. Images in a row of a dataset are shown in place of files.

    Args:
        read: of mblip/data/sources, such as `xvnli_example`.
        images: the folder, URL or archive of the images; None: the rows hold them.
        arguments: more of `read`.

    Raises:
        ValueError: a record is not as published, or holds another number of images; the message names its location.
    """
    for location, record in records:
        for example in read(record, location=location, images=images or "", skipped=skipped, **arguments):
            shown = images_in(record, location=location)
            if len(shown) != len(example.images) and (shown or images is None):
                raise ValueError(
                    f"{location}: holds {len(shown)} images, expected {len(example.images)}. Say with `images` "
                    "where the files lie, or give the dataset a column `image`, or `images` for several."
                )
            yield replace(example, images=shown or example.images)


def images_in(record: Mapping[str, Any], *, location: str) -> tuple[Image, ...]:
    """The images that a row of a dataset holds, in its column `image` or `images`; none in the record of a file.

    Text in `image` is a field of the benchmark's own.

    Raises:
        ValueError: a cell holds something else than images.
    """
    images, image = record.get("images"), record.get("image")
    if images is None:
        return () if image is None or isinstance(image, str) else (_image_of_cell(image, location, "image"),)
    if not isinstance(images, list):
        raise ValueError(f"{location}: `images` is {describe(images)}, expected a list of images.")
    return tuple(_image_of_cell(value, location, "images") for value in images)


def image_of(
    record: Mapping[str, Any], file: Path | str | None, *, location: str, name: str, field: str = "images"
) -> Image:
    """The image that a row of a dataset holds, or else the file.

    Args:
        file: where the image lies; None where the recipe does not say it.
        name: of the file, for the error.
        field: of the recipe, that says where the images lie.

    Raises:
        ValueError: the row holds several, or none and there is no file.
    """
    images = images_in(record, location=location)
    if len(images) > 1:
        raise ValueError(f"{location}: found {len(images)} images, expected one.")
    if images:
        return images[0]
    if file is None:
        raise ValueError(f"{location}: there is no image in the record. Say with `{field}` where {name} lies.")
    return file


def check_vocabulary(vocabulary: Path | None, answering: Answering) -> None:
    """Raises ValueError unless there is a vocabulary where answers are chosen from one, and there alone."""
    if (vocabulary is None) != (answering == "generate"):
        found = "no `vocabulary`" if vocabulary is None else f"the `vocabulary` {vocabulary}"
        raise ValueError(
            f"found {found} with `answering: {answering}`. Name the file of answers, such as trainval_label2ans.json, "
            "where answers are ranked or constrained, and leave it out where the model generates them."
        )


def read_vocabulary(path: str | Path, skipped: SkipReport) -> tuple[str, ...]:
    """The answers that a benchmark chooses from, in the order of their file: trainval_label2ans.json of GQA (1,842)
    and VQAv2 (3,129), a JSON list of texts. VQAv2's has an empty one, which is skipped and counted: saying nothing is
    no answer.

    Raises:
        ValueError: there is no such file, it is no JSON list of texts, or an answer stands in it twice.
    """
    path = Path(path)
    try:
        answers = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ValueError(f"There is no file {path}. Expected the vocabulary of answers to choose from.") from error
    except ValueError as error:
        raise ValueError(f"{path} is not JSON in UTF-8: {error}.") from error
    if not isinstance(answers, list) or not answers:
        raise ValueError(f"{path}: found {describe(answers)}, expected a list of answers, such as GQA's 1,842.")
    for position, answer in enumerate(answers):
        if not isinstance(answer, str):
            raise ValueError(f"{path}, answer {position}: found {describe(answer)}, expected text.")
        if not answer.strip():
            skipped.add("empty answer of the vocabulary", f"{path.name}, answer {position}")
    kept = tuple(answer for answer in answers if answer.strip())
    if len(set(kept)) < len(kept):
        twice = next(answer for position, answer in enumerate(kept) if answer in kept[:position])
        raise ValueError(f"{path}: the answer {twice!r} stands there more than once. Fetch the file again.")
    return kept


def _image_of_cell(value: Any, location: str, column: str) -> Image:
    if isinstance(value, bytes | PILImage.Image):
        return value
    if isinstance(value, Mapping) and (value.get("bytes") or value.get("path")):
        return value.get("bytes") or Path(value["path"])
    raise ValueError(
        f"{location}: `{column}` holds {describe(value)}, expected an image, as `datasets.Image` stores it."
    )


def _in_language(text: str, language: str | None) -> str:
    return text if language is None else text.replace(LANGUAGE_MARK, language)
