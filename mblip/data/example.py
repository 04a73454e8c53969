"""From examples to rows.

An `Example` is one prompt about one set of images, with the target answer. Sources make examples, and prompts.py adds
the prompt templates. `to_rows` gathers all examples about the same images into one row. An image is then stored,
decoded and encoded once, however many prompts ask about it.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import datasets
import pyarrow
from PIL import Image as PILImage

from .images import (
    Image,
    MissingImageError,
    StoredImage,
    TrustedLocation,
    check_trusted,
    locate_image,
    store_image,
    trusted,
)
from .languages import get_language

IMAGE_TOKEN = "<image>"  # `MBlipProcessor.image_token`
PLACED_IMAGE = re.compile(rf"(?<!\\){IMAGE_TOKEN}")  # where a prompt places an image; `\<image>` is literal text

SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can write these, UTF-8 cannot

PROMPT_COLUMNS = (
    "prompts",
    "targets",
    "languages",
    "tasks",
    "sources",
    "ids",
)  # lists of equal length, one entry per prompt
COLUMNS = ("images", "image_id", *PROMPT_COLUMNS)
PROVENANCE = "provenance"  # a further list, of JSON objects, if an example of the row has a provenance

FEATURES = datasets.Features(
    {"images": datasets.List(datasets.Image(decode=False)), "image_id": datasets.Value("string")}
    | {column: datasets.List(datasets.Value("string")) for column in PROMPT_COLUMNS}
)


@dataclass
class TrustedPath(datasets.Value):
    """The path of an image in rows that this process made: a `TrustedLocation`. In a file it is mere text."""

    def decode_example(self, value: str, token_per_repo_id: Any = None) -> TrustedLocation:
        return TrustedLocation(value)


LOCATED_IMAGES = datasets.List({"bytes": datasets.Value("binary"), "path": TrustedPath("string")})
FEATURES_WITH_PROVENANCE = datasets.Features(FEATURES | {PROVENANCE: datasets.List(datasets.Value("string"))})


@dataclass(frozen=True)
class Example:
    """One prompt about one set of images, with the target answer.

    `prompt` is "" until `apply_prompt` fills a template of `task` with `inputs` ({"question": ...}, {"label": ...}).
    `language` is the example's language, a code of languages.tsv; yes and no answers are English in every language.
    `id` is unique within `source`. Examples with equal `image_id` share their images. `provenance` records the origin
    of text that the source did not write. Its keys are "<part>.<what>", where a part is "target" or the name of an
    input. A translation has "target.source_text", "target.engine", "target.model" and "target.revision".

    Raises:
        ValueError: the target is empty or holds `<image>`; the prompt holds `<image>`, but not once per image; the
            language is unknown; an id holds a lone surrogate; or the provenance is not text. The message names the
            example.
    """

    images: tuple[Image, ...]
    prompt: str
    target: str
    language: str
    task: str
    source: str
    id: str
    image_id: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for image in self.images:
            if not isinstance(image, PILImage.Image | bytes | str | Path):
                raise ValueError(
                    f"{self.name} holds an image of type {type(image).__name__}, "
                    "expected a PIL image, bytes or a path."
                )
        try:
            get_language(self.language)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from error
        for id in (self.id, self.image_id):
            check_characters(id, name=f"An id of {self.name}")
        check_target(self.target, name=self.name)
        check_prompt(self.prompt, len(self.images), name=self.name)
        for key, value in self.provenance.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise ValueError(
                    f"{self.name} has the provenance {key!r}: {value!r}, expected text for both. "
                    "Write numbers as text, one entry per fact."
                )

    @property
    def name(self) -> str:
        """The example's name in error messages."""
        return f"Example {self.id!r} of {self.source!r}"


def check_target(target: str | None, *, name: str) -> None:
    """Raise ValueError if a target is empty or holds `<image>`: no model should learn it."""
    if not target or not target.strip():
        raise ValueError(f"{name} has an empty target. Give it the text to learn, or skip the example.")
    if IMAGE_TOKEN in target:
        raise ValueError(
            f"{name} has `{IMAGE_TOKEN}` in its target: {target!r}. "
            "Only prompts may place images. Remove it from the text."
        )


def check_prompt(prompt: str, num_images: int, *, name: str) -> None:
    """Raise ValueError if a prompt holds `<image>`, but not once per image."""
    num_tokens = len(PLACED_IMAGE.findall(prompt))
    if num_tokens not in (0, num_images):
        raise ValueError(
            f"{name} has {num_images} image(s), but its prompt holds {num_tokens} `{IMAGE_TOKEN}`. "
            "Write it once per image, or not at all."
        )


def to_rows(examples: Iterable[Example]) -> Iterator[dict[str, Any]]:
    """Gather examples of equal `image_id` into rows, in order of first appearance.

    Reads all examples before it gives the first row, because examples of one image may be anywhere. If there are many,
    give paths rather than decoded images.

    Raises:
        ValueError: an example has no prompt, or two examples of equal `image_id` have different images.
    """
    groups: dict[str, list[Example]] = {}
    for example in examples:
        if not example.prompt:
            raise ValueError(f"{example.name} has no prompt. Call `apply_prompt` on it first.")
        group = groups.setdefault(example.image_id, [])
        if group and group[0].images != example.images:
            raise ValueError(
                f"{example.name} and {group[0].name} have the image_id {example.image_id!r}, but different images."
            )
        group.append(example)
    for group in groups.values():
        yield _row(group)


def _row(group: list[Example]) -> dict[str, Any]:
    row = {
        "images": [trusted(image) for image in group[0].images],  # examples come from sources and your code
        "image_id": group[0].image_id,
        "prompts": [example.prompt for example in group],
        "targets": [example.target for example in group],
        "languages": [example.language for example in group],
        "tasks": [example.task for example in group],
        "sources": [example.source for example in group],
        "ids": [example.id for example in group],
    }
    if any(example.provenance for example in group):
        row[PROVENANCE] = [_json(example.provenance) for example in group]
    return row


def _json(provenance: Mapping[str, str]) -> str:
    return json.dumps(dict(provenance), ensure_ascii=False, sort_keys=True)


def rows_to_dataset(rows: Iterable[Mapping[str, Any]], *, are_images_inside: bool = True) -> datasets.Dataset:
    """Rows as a `datasets.Dataset` with the images inside: files and bytes unchanged, PIL images as PNG.

    If a row has a `provenance`, there is such a column; it is None in the other rows.

    Args:
        are_images_inside: if False, images on disk stay there and are read when needed. Memory then holds only their
            paths.
    Raises:
        ValueError: an image cannot be read, or an image that should stay on disk is missing. The message names row and
            file.
    """
    stored, missing = [], []
    for row in rows:
        try:
            stored.append(store_row(row, store_image if are_images_inside else locate_image))
        except MissingImageError as error:
            missing.append(error)
    if missing:
        raise ValueError(f"Images are missing in {len(missing)} of {len(missing) + len(stored)} rows. {missing[0]}")
    features = features_of({column for row in stored for column in row})
    if not are_images_inside:
        features = datasets.Features(features | {"images": LOCATED_IMAGES})
    columns = {column: [row.get(column) for row in stored] for column in features}
    # not `from_dict`, which drops the bytes of an image if the working folder holds a file of its name
    table = datasets.table.InMemoryTable(pyarrow.table(columns, schema=features.arrow_schema))
    return datasets.Dataset(table, datasets.DatasetInfo(features=features))


def features_of(columns: Collection[str]) -> datasets.Features:
    """The `datasets` features of rows with these columns, with or without provenance."""
    return FEATURES_WITH_PROVENANCE if PROVENANCE in columns else FEATURES


def store_row(row: Mapping[str, Any], store: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """The row with its images as `datasets` stores them, by `store_image` or `locate_image`.

    Raises ValueError for a misplaced `<image>`, for an empty target, and for an image that only the row names.
    """
    check_row(row)
    name = row_name(row)
    images: list[Image | StoredImage] = row["images"]
    for image in images:
        check_trusted(image, name=name)
    return {**row, "images": [store(image, name=name) for image in images]}


def row_name(row: Mapping[str, Any]) -> str:
    """The row's name in error messages. The row may be bad."""
    sources = row.get("sources")
    named = sorted({str(source) for source in sources}) if isinstance(sources, list | tuple) else []
    return f"Row {row.get('image_id')!r} (source {', '.join(named) or 'unknown'})"


def missing_columns(columns: Collection[str]) -> list[str]:
    """The required columns of rows that are missing."""
    return [column for column in COLUMNS if column not in columns]


def check_columns(columns: Collection[str]) -> None:
    """Raise ValueError if a required column of rows is missing."""
    if missing := missing_columns(columns):
        raise ValueError(
            f"A row has the columns {sorted(columns)}, but lacks {missing}. "
            "With the Trainer, set `remove_unused_columns=False`, or it removes them."
        )


def check_row(row: Mapping[str, Any]) -> None:
    """Check one row.

    Raises:
        ValueError: the row lacks a column, has a value of a wrong type, lists of unequal length, a target that is
            empty or holds `<image>`, a prompt that holds `<image>`, but not once per image, or half a character.
    """
    check_columns(row)
    check_values(row)
    check_targets(row)
    name = row_name(row)
    for prompt in row["prompts"]:
        check_prompt(prompt, len(row["images"]), name=name)
    for text in (row["image_id"], *chain.from_iterable(row[column] for column in PROMPT_COLUMNS)):
        check_characters(text, name=name)


def check_characters(text: str, *, name: str) -> None:
    """Raise ValueError if a text holds a lone surrogate, which neither a tokenizer nor UTF-8 takes."""
    if SURROGATE.search(text):
        raise ValueError(f"{name} holds half a character (a lone surrogate): {text!r:.80}. Correct the text.")


def check_values(row: Mapping[str, Any]) -> None:
    """Raise ValueError if a value of a row is null or of a wrong type. Targets may be null until `check_targets`."""
    if not isinstance(row["image_id"], str):
        raise _wrong_value(row, "image_id", row["image_id"], "text")
    for column in ("images", *PROMPT_COLUMNS, *([PROVENANCE] if row.get(PROVENANCE) is not None else [])):
        expected = "a list of images" if column == "images" else "a list of texts, one per prompt"
        if not isinstance(row[column], list | tuple):
            raise _wrong_value(row, column, row[column], expected)
        for entry in row[column]:
            is_null, is_text = entry is None, isinstance(entry, str)
            if (is_null and column != "targets") or (column != "images" and not is_null and not is_text):
                raise _wrong_value(row, column, entry, expected)


def _wrong_value(row: Mapping[str, Any], column: str, found: object, expected: str) -> ValueError:
    shown = "null" if found is None else f"{str(found)[:60]!r} of type {type(found).__name__}"
    return ValueError(
        f"{row_name(row)} has {shown} in `{column}`, expected {expected}. Write the rows with `to_rows`."
    )


def check_targets(row: Mapping[str, Any]) -> None:
    """Raise ValueError if a row has lists of unequal length, or a target that is empty or holds `<image>`."""
    has_provenance = row.get(PROVENANCE) is not None
    lengths = {column: len(row[column]) for column in (*PROMPT_COLUMNS, *([PROVENANCE] if has_provenance else []))}
    if len(set(lengths.values())) != 1 or not row["prompts"]:
        raise ValueError(
            f"{row_name(row)} has lists of lengths {lengths}. Each needs one entry per prompt, at least one."
        )
    for target in row["targets"]:
        check_target(target, name=row_name(row))
