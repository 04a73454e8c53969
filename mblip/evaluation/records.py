"""Reads the records of a benchmark, from its published file or from a dataset with the same fields as columns.

    for location, record in records_of(captions, dataset):
        fields = check_record(record, {"image/key": str}, location=location)

A recipe names either the file or, under `dataset`, what `datasets` should load (`DatasetLocation`). Both give the same
records, so one reader checks both. A dataset may also hold the images, in a column `image`, or `images` for several
per record. These replace image files (`images_in`) and stay in memory, encoded, as long as the task.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import HTTPError
from PIL import Image as PILImage

from mblip.data.example import Example
from mblip.data.images import Image, TrustedLocation
from mblip.data.images.locations import check_inside
from mblip.data.json_stream import open_binary
from mblip.data.skipped import SkipReport
from mblip.data.sources.dataset_rows import dataset_folders, read_rows
from mblip.data.sources.records import describe, read_json, read_json_lines
from mblip.data.sources.text_tables import read_table

from .languages import mix_code
from .layouts import as_published
from .read_files import ReadFiles
from .task import Answering

LocatedRecord = tuple[str, Any]  # the location for errors, and the record
ReadFile = Callable[[Path], Iterator[LocatedRecord]]
ReadRecord = Callable[..., Iterator[Example]]

IMAGE_COLUMNS = ("image", "images")
LANGUAGE_MARK = "{language}"


@dataclass(frozen=True)
class DatasetLocation:
    """A dataset in a recipe. `path` is a name on the Hub, or a folder or file that `datasets` reads. If the benchmark
    has one part per language, write `{language}` for its code in `path`, `split` or `config`. Rows may name image
    files in the dataset's own folder, and no others. `columns` gives the column of each field that has another name in
    the dataset: {question_id: id}."""

    path: str
    split: str = "test"
    config: str | None = None
    revision: str | None = None
    columns: dict[str, str] = field(default_factory=dict)

    def records(self, language: str | None = None, files: ReadFiles | None = None) -> Iterator[LocatedRecord]:
        """The rows with their locations, with `language` in place of `{language}`.

        Args:
            files: notes what was read.

        Raises:
            ValueError: the dataset cannot be loaded, or a row names an image file elsewhere.
            OSError: there is no such dataset, or the Hub cannot be reached.
        """
        path, split = _in_language(self.path, language), _in_language(self.split, language)
        config = None if self.config is None else _in_language(self.config, language)
        folders = dataset_folders(path)
        rows = read_rows(path, split=split, config=config, revision=self.revision)
        renamed = ((location, self._renamed(row, location)) for location, row in rows)
        records = ((location, _with_checked_images(row, folders, location)) for location, row in renamed)
        if files is None:
            return records
        file = Path(path) if Path(path).is_file() else None
        return files.counted(
            records,
            ", ".join([path, *([] if config is None else [f"config {config}"]), f"split {split}"]),
            file=file,
            name="" if file else f"{split} {config}",
            revision=replace(self, path=path).commit,
            part=None if language is None else mix_code(language),
        )

    @property
    def commit(self) -> str | None:
        """The commit of a dataset of the Hub, or else its given `revision`, without a Hub; None for a local one."""
        return None if Path(self.path).exists() else _commit(self.path, self.revision)

    def _renamed(self, row: Mapping[str, Any], location: str) -> dict[str, Any]:
        if missing := [column for column in self.columns.values() if column not in row]:
            raise ValueError(f"{location}: found no column {missing[0]} of `columns`, only {', '.join(row)}.")
        others = {name: value for name, value in row.items() if name not in self.columns.values()}
        return others | {name: row[column] for name, column in self.columns.items()}

    @property
    def is_by_language(self) -> bool:
        """Whether each language has its own part of the dataset."""
        return any(LANGUAGE_MARK in (text or "") for text in (self.path, self.split, self.config))

    def check_is_by_language(self) -> None:
        """Raise ValueError unless each language has its own part of the dataset."""
        if not self.is_by_language:
            raise ValueError(
                f"`dataset` names {self.path} for every language, expected one part per language. Write "
                f"{LANGUAGE_MARK} into its `path`, `config` or `split`."
            )


def check_one_location(file: Path | None, dataset: DatasetLocation | None) -> None:
    """Raise ValueError unless a recipe names exactly one of the two."""
    if (file is None) == (dataset is None):
        found = "neither files nor a dataset" if dataset is None else f"both {file} and the dataset {dataset.path}"
        raise ValueError(
            f"Found {found}, expected one of the two. Name the published files, or a `dataset` with their fields as "
            "columns."
        )


def check_languages_of(files: Path | None, dataset: DatasetLocation | None, languages: Sequence[str]) -> None:
    """Raise ValueError for an unknown or repeated language, unless exactly one of files and dataset is named, and
    unless it has one part per language."""
    check_one_location(files, dataset)
    check_codes(languages)
    if dataset is not None:
        dataset.check_is_by_language()
    elif LANGUAGE_MARK not in str(files):
        raise ValueError(
            f"found {files} for every language, expected one file per language. Write {LANGUAGE_MARK} in place "
            "of the language's code."
        )


def check_codes(languages: Sequence[str]) -> None:
    """Raise ValueError for an unknown or repeated language, also if it is repeated under another code."""
    codes = [mix_code(language) for language in languages]
    if not codes or len(set(codes)) < len(codes):
        raise ValueError(f"found the languages {', '.join(languages) or 'none'}, expected each one once.")


def records_of(
    file: Path | None,
    dataset: DatasetLocation | None,
    *,
    read: ReadFile = read_json_lines,
    language: str | None = None,
    files: ReadFiles | None = None,
) -> Iterator[LocatedRecord]:
    """The records of the file or of the dataset, whichever is given.

    The records may be in another layout that we know (layouts.py).

    Args:
        read: reads the records of the file; by default JSON lines.
        language: the code to put in place of `{language}` in the dataset.
        files: notes what was read.

    Raises:
        ValueError: both or neither are given, or the records cannot be read.
    """
    check_one_location(file, dataset)
    if dataset is not None:
        records = dataset.records(language, files)
    else:
        assert file is not None  # checked
        with open_binary(Path(file)) as opened:
            is_array = opened.read(2) == b"[{"  # as the original's inputs are, and no published file
        records = (read_table if is_array else read)(file)
        if files is not None:
            part = None if language is None else mix_code(language)
            records = files.counted(records, str(file), file=file, part=part)
    return ((location, as_published(record, number, language)) for number, (location, record) in enumerate(records))


def records_in(
    language: str,
    paths: Path | None,
    dataset: DatasetLocation | None,
    *,
    read: ReadFile = read_json_lines,
    files: ReadFiles | None = None,
) -> Iterator[LocatedRecord]:
    """The records of one language, from its file or its part of the dataset. `files` notes what was read."""
    file = None if paths is None else Path(str(paths).replace(LANGUAGE_MARK, language))
    return records_of(file, dataset, read=read, language=language, files=files)


def read_examples(
    read: ReadRecord, records: Iterable[LocatedRecord], *, images: str | None, skipped: SkipReport, **arguments: object
) -> Iterator[Example]:
    """The examples that a training source makes of records. Images in a row of a dataset replace image files.

    Args:
        read: a function of mblip/data/sources, such as `xvnli_example`.
        images: the folder, URL or archive of the images; None: the rows hold them.
        arguments: further arguments of `read`.

    Raises:
        ValueError: a record is not as published or has the wrong number of images; the message names its location.
    """
    for location, record in records:
        for example in read(record, location=location, images=images or "", skipped=skipped, **arguments):
            shown = images_in(record, location=location)
            is_stitched = len(shown) == 1 and "conversations" in record  # PangeaBench's MaRVL and NLVR2
            if len(shown) != len(example.images) and (shown or images is None) and not is_stitched:
                raise ValueError(
                    f"{location}: found {len(shown)} images, expected {len(example.images)}. Name the folder of files "
                    "with `images`, or give the dataset a column `image` (`images` for several)."
                )
            yield replace(example, images=shown or example.images)


def images_in(record: Mapping[str, Any], *, location: str) -> tuple[Image, ...]:
    """The images in a dataset row's column `image` or `images`. A record of a file has none.

    Text in `image` is a field of the benchmark, not an image.

    Raises:
        ValueError: a cell holds something other than images.
    """
    images, image = record.get("images"), record.get("image")
    if images is None:
        return () if image is None or isinstance(image, str) else (_image_of_cell(image, location, "image"),)
    several = images if isinstance(images, list) else [images]
    return tuple(_image_of_cell(value, location, "images") for value in several)


def image_of(
    record: Mapping[str, Any], file: Path | str | None, *, location: str, name: str, field: str = "images"
) -> Image:
    """The image in a dataset row, or otherwise the file.

    Args:
        file: the path or URL of the image; None if the recipe names none.
        name: the name of the file, for the error.
        field: the key of the recipe that names the images, for the error.

    Raises:
        ValueError: the row has several images, or it has none and there is no file.
    """
    images = images_in(record, location=location)
    if len(images) > 1:
        raise ValueError(f"{location}: found {len(images)} images, expected one.")
    if images:
        return images[0]
    if file is None:
        raise ValueError(f"{location}: found no image in the record. Name the folder of {name} with `{field}`.")
    return file


def check_vocabulary(vocabulary: Path | None, answering: Answering) -> None:
    """Raise ValueError if ranked or constrained answers lack a vocabulary, or generated answers have one."""
    if (vocabulary is None) != (answering == "generate"):
        found = "no `vocabulary`" if vocabulary is None else f"the `vocabulary` {vocabulary}"
        raise ValueError(
            f"found {found} with `answering: {answering}`. To rank or constrain answers, name the file of answers, "
            "such as trainval_label2ans.json. Remove it if the model generates answers freely."
        )


def read_vocabulary(path: str | Path, skipped: SkipReport, files: ReadFiles | None = None) -> tuple[str, ...]:
    """The answers that a benchmark chooses from, in the order of their file, which `files` notes.

    The file is a JSON list of strings: trainval_label2ans.json of GQA (1,842 answers) or VQAv2 (3,129). VQAv2's
    contains an empty answer, which we skip and count.

    Raises:
        ValueError: the file does not exist, is not a JSON list of strings, or has an answer twice.
    """
    path = Path(path)
    answers = read_json(path)
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
        raise ValueError(f"{path}: found the answer {twice!r} more than once. Download the file again.")
    if files is not None:
        files.add(path, len(answers))
    return kept


def _image_of_cell(value: Any, location: str, column: str) -> Image:
    if isinstance(value, bytes | PILImage.Image):
        return value
    if isinstance(value, Mapping) and value.get("bytes"):
        return value["bytes"]
    if isinstance(value, Path | TrustedLocation):
        return value
    raise ValueError(
        f"{location}: `{column}` holds {describe(value)}, expected an image, as `datasets.Image` stores it."
    )


def _with_checked_images(row: Mapping[str, Any], folders: Sequence[Path], location: str) -> dict[str, Any]:
    return {**row} | {name: _checked(row[name], folders, location) for name in IMAGE_COLUMNS if name in row}


def _checked(cell: Any, folders: Sequence[Path], location: str) -> Any:
    """The cell of a dataset with a location for each image that it names by its path."""
    if isinstance(cell, list):
        return [_checked(value, folders, location) for value in cell]
    path = None if not isinstance(cell, Mapping) or cell.get("bytes") else cell.get("path")
    if not isinstance(path, str):
        return cell
    check_inside(path, folders, row=location)
    return TrustedLocation(path) if "://" in path else Path(path)


@cache
def _commit(name: str, revision: str | None) -> str | None:
    try:
        return HfApi().dataset_info(name, revision=revision).sha
    except (OSError, HTTPError, ValueError):
        return revision


def _in_language(text: str, language: str | None) -> str:
    return text if language is None else text.replace(LANGUAGE_MARK, language)
