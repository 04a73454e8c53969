"""Rows of your own data as examples: which column holds what, and what a row may hold.

An image may be a PIL image, the bytes of a file, the record {"bytes", "path"} that `datasets` stores, a path or a URL,
or a list of these. Errors name the row, the column, and all columns.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image as PILImage

from ..example import Example
from ..images import Image
from ..images.locations import check_inside, is_url
from ..languages import get_language
from ..prompts import get_task
from ..skipped import SkipReport, has_usable_texts
from .dataset_rows import Row
from .image_names import folder_of, image_location, join_image_ids, url_image_id
from .records import describe

TWO_IMAGES = "two_image_statement"  # the task with two images


@dataclass(frozen=True)
class Columns:
    """The names of the columns. None where the data have no such column.

    `target` is the text to learn. `image` is the image; `second_image` follows it in a task with two images.
    `language` holds a code of languages.tsv. `id` is text or a whole number, unique per row; without it, rows are
    numbered. The rest are the inputs of tasks: `question` for vqa, `label` for image_deciding and so on.
    """

    target: str
    image: str | None = None
    second_image: str | None = None
    language: str | None = None
    id: str | None = None
    question: str | None = None
    answer: str | None = None
    caption: str | None = None
    label: str | None = None
    hypothesis: str | None = None
    statement: str | None = None

    def mapped(self) -> dict[str, str]:
        """The mapped fields, with the names of their columns."""
        return {field: column for field, column in dataclasses.asdict(self).items() if column is not None}


@dataclass(frozen=True)
class OwnRows:
    """How rows become examples of a task.

    `language` is the language of all rows, or None if a column gives it. Image names are joined to `images`, a folder,
    URL or archive (images/locations.py). Rows may name files of this folder and of `folders`, and no others.

    Raises:
        ValueError: the columns do not match the task's inputs, the language is unknown, or it is given twice or not at
            all.
    """

    source: str
    task: str
    columns: Columns
    language: str | None
    images: str | Path
    folders: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        mapped = self.columns.mapped()
        taken, given = set(get_task(self.task).inputs), set(mapped) & ALL_INPUTS
        if taken != given:
            raise ValueError(
                f"The task {self.task!r} takes the inputs {sorted(taken) or 'none'}, but the columns map "
                f"{sorted(given) or 'none'}. Map exactly its inputs."
            )
        if (self.language is None) == (self.columns.language is None):
            found = "neither" if self.language is None else "both"
            raise ValueError(
                f"Found {found} of `language` and a column of languages, expected one. Give the code of all rows, "
                "or the column that holds each row's."
            )
        if self.language is not None:
            get_language(self.language)

    def examples(self, rows: Iterable[tuple[str, Row]], *, id_prefix: str, skipped: SkipReport) -> Iterator[Example]:
        """The examples of rows. Rows come with their locations.

        Raises:
            ValueError: a column is missing, a value has a wrong type, or an id is repeated.
        """
        seen: set[str] = set()
        for number, (location, row) in enumerate(rows):
            cells = Cells(row, location, self.columns.mapped())
            id = f"{id_prefix}{number if self.columns.id is None else cells.id()}"
            if id in seen:
                raise cells.wrong("id", f"{id.removeprefix(id_prefix)!r} a second time", "a unique id")
            if self.columns.id is not None:
                seen.add(id)
            example = self._example(cells, id, skipped)
            if example is not None:
                yield example

    def _example(self, cells: "Cells", id: str, skipped: SkipReport) -> Example | None:
        inputs = {name: cells.text(name) for name in get_task(self.task).inputs}
        target = cells.text("target")
        language = self.language if self.language is not None else cells.language()
        shown = [image for field in ("image", "second_image") for image in cells.images(field, self)]
        if self.task == TWO_IMAGES and len(shown) != 2:
            raise cells.wrong("image", f"{len(shown)} image(s) of the row", f"two, as {TWO_IMAGES} requires")
        urls = [image for image, _ in shown if isinstance(image, str)]
        if not has_usable_texts([target, *inputs.values(), *urls], name=f"{self.source}/{id}", skipped=skipped):
            return None
        return Example(
            images=tuple(image for image, _ in shown),
            prompt="",
            target=target,
            language=language,
            task=self.task,
            source=self.source,
            id=id,
            image_id=join_image_ids(*(image_id for _, image_id in shown)),
            inputs=inputs,
        )


NOT_INPUTS = {"target", "image", "second_image", "language", "id"}
ALL_INPUTS = {field.name for field in dataclasses.fields(Columns)} - NOT_INPUTS


@dataclass(frozen=True)
class Cells:
    """The cells of a row, by field. `mapped` gives the column of each field."""

    row: Row
    location: str
    mapped: Mapping[str, str]

    def text(self, field: str) -> str:
        """A text, stripped of white space. An empty cell gives an empty text; a whole number, true and false the text
        that JSON has."""
        value = self._value(field)
        if value is None:
            return ""
        if isinstance(value, int):
            return json.dumps(value)
        if not isinstance(value, str):
            raise self.wrong(field, describe(value), "text")
        return value.strip()

    def id(self) -> str:
        value = self._value("id")
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise self.wrong("id", describe(value), "text or a whole number")
        return str(value)

    def language(self) -> str:
        value = self._value("language")
        try:
            return get_language(value).code
        except ValueError as error:
            raise ValueError(f"{self.location}, column `{self.mapped['language']}`: {error}") from error

    def images(self, field: str, rows: OwnRows) -> list[tuple[Image, str]]:
        """The images of a cell with their ids. Empty if no column is mapped."""
        if field not in self.mapped:
            return []
        value = self._value(field)
        if value == []:
            raise self.wrong(field, "an empty list", "an image or a list of them")
        return [self._image(field, one, rows) for one in (value if isinstance(value, list) else [value])]

    def wrong(self, field: str, found: str, expected: str) -> ValueError:
        """The error for a cell."""
        return ValueError(
            f"{self.location}: the column `{self.mapped[field]}`, mapped as `{field}`, holds {found}, expected "
            f"{expected}. The columns are {', '.join(f'`{column}`' for column in self.row)}."
        )

    def _value(self, field: str) -> Any:
        column = self.mapped[field]
        if column not in self.row:
            raise ValueError(
                f"{self.location}: there is no column `{column}`, mapped as `{field}`. The columns are "
                f"{', '.join(f'`{name}`' for name in self.row)}."
            )
        return self.row[column]

    def _image(self, field: str, value: Any, rows: OwnRows) -> tuple[Image, str]:
        if isinstance(value, Mapping):
            value = value.get("bytes") or value.get("path")
        if isinstance(value, bytes):
            return value, f"{rows.source}/{_digest(value)}"
        if isinstance(value, PILImage.Image):
            return value, f"{rows.source}/{_digest(repr((value.mode, value.size)).encode(), value.tobytes())}"
        if not isinstance(value, str | Path) or not str(value):
            expected = "an image: PIL, bytes, {'bytes', 'path'}, a path or a URL"
            raise self.wrong(field, describe(value), expected)
        return self._placed(str(value), rows)

    def _placed(self, name: str, rows: OwnRows) -> tuple[Image, str]:
        """An image by its name: a URL, a member of an archive, or a file."""
        if is_url(name):
            return name, url_image_id(name)
        if "hf://" in name:
            raise ValueError(
                f"{self.location}: {name} stays on the Hub while streaming. Set `streaming` to false to download it."
            )
        folder = folder_of(rows.images)
        roots = rows.folders if folder is None else (folder, *rows.folders)
        if "://" in name:
            check_inside(name, roots, row=self.location)
            member, separator, archive = name.partition("::")
            return name, f"{rows.source}/{member}{separator}{_called(Path(archive), rows)}"
        path = Path(name)
        if path.is_absolute():
            check_inside(path, roots, row=self.location)
            return path, f"{rows.source}/{_called(path, rows)}"
        return image_location(rows.images, name, location=self.location), f"{rows.source}/{name}"


def _called(path: Path, rows: OwnRows) -> str:
    """A file's name in an id, without this machine's folders: its path below `images`, or else a digest."""
    folder = Path(rows.images).absolute()
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else _digest(os.fsencode(path))


def _digest(*parts: bytes) -> str:
    """An id for an image without a name. Equal images have equal ids."""
    return hashlib.sha1(b"".join(parts)).hexdigest()
