"""From examples to rows.

An `Example` is one prompt about one set of images with the answer wanted. Sources make them, prompts.py puts the
template around them, and `to_rows` gathers all examples about the same images into one row, so that an image is
stored, decoded and encoded once however many prompts ask about it.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
from PIL import Image as PILImage

from .images import Image, StoredImage, locate_image, store_image
from .languages import get_language

IMAGE_TOKEN = "<image>"  # `MBlipProcessor.image_token`
PLACED_IMAGE = re.compile(rf"(?<!\\){IMAGE_TOKEN}")  # where a prompt places an image; `\<image>` is the text itself

SURROGATE = re.compile("[\ud800-\udfff]")  # which JSON can spell and UTF-8 cannot

PROMPT_COLUMNS = (
    "prompts",
    "targets",
    "languages",
    "tasks",
    "sources",
    "ids",
)  # lists of equal length, one entry per prompt
COLUMNS = ("images", "image_id", *PROMPT_COLUMNS)
PROVENANCE = "provenance"  # one more such list, of JSON objects, in rows where some example has a provenance

FEATURES = datasets.Features(
    {"images": datasets.List(datasets.Image(decode=False)), "image_id": datasets.Value("string")}
    | {column: datasets.List(datasets.Value("string")) for column in PROMPT_COLUMNS}
)
FEATURES_WITH_PROVENANCE = datasets.Features(FEATURES | {PROVENANCE: datasets.List(datasets.Value("string"))})


@dataclass(frozen=True)
class Example:
    """One prompt about one set of images.

    `prompt` is "" until `apply_prompt` has put a template of `task` around `inputs` ({"question": ...}, {"label":
    ...}). `language` is the language the example is in, a code of languages.tsv; answers yes and no are English
    whatever it is. `id` is unique within `source`; examples of equal `image_id` share their images. `provenance`
    tells where text came from that the source did not write, as "<part>.<what>": "target.source_text",
    "target.engine", "target.model", "target.revision" of a translation; a part is "target" or the name of an input.

    Raises:
        ValueError: the target is empty or holds `<image>`, the prompt holds `<image>` but not once per image, the
            language is unknown, an id holds half a character, or the provenance is not text. The message names the
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
            if SURROGATE.search(id):
                raise ValueError(
                    f"{self.name} has an id with half a character in it (a lone surrogate): {id!r}. Mend the record, "
                    "or the name of the file it comes from."
                )
        check_target(self.target, name=self.name)
        check_prompt(self.prompt, len(self.images), name=self.name)
        for key, value in self.provenance.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise ValueError(
                    f"{self.name} has the provenance {key!r}: {value!r}, expected text for both. "
                    "Write numbers as text, and one entry for each thing to tell."
                )

    @property
    def name(self) -> str:
        """What errors call the example."""
        return f"Example {self.id!r} of {self.source!r}"


def check_target(target: str | None, *, name: str) -> None:
    """Raises ValueError for a target that no model should learn: an empty one, or one that holds `<image>`."""
    if not target or not target.strip():
        raise ValueError(f"{name} has an empty target. Leave the example out, or give it the text to learn.")
    if IMAGE_TOKEN in target:
        raise ValueError(
            f"{name} has `{IMAGE_TOKEN}` in its target: {target!r}. "
            "Only prompts may place images; take it out of the text."
        )


def check_prompt(prompt: str, num_images: int, *, name: str) -> None:
    """Raises ValueError for a prompt that says `<image>` another number of times than it has images, and not never."""
    num_tokens = len(PLACED_IMAGE.findall(prompt))
    if num_tokens not in (0, num_images):
        raise ValueError(
            f"{name} has {num_images} image(s), but its prompt holds {num_tokens} `{IMAGE_TOKEN}`. "
            "Write it once per image, or not at all."
        )


def to_rows(examples: Iterable[Example]) -> Iterator[dict[str, Any]]:
    """Gather examples of equal `image_id` into rows, in order of first appearance.

    Reads all examples before the first row comes, since examples of one image may stand anywhere; give paths rather
    than decoded images where there are many.

    Raises:
        ValueError: an example has no prompt, or two examples of equal `image_id` have different images.
    """
    groups: dict[str, list[Example]] = {}
    for example in examples:
        if not example.prompt:
            raise ValueError(f"{example.name} has no prompt. Put a template around it with `apply_prompt` first.")
        group = groups.setdefault(example.image_id, [])
        if group and group[0].images != example.images:
            raise ValueError(
                f"{example.name} and {group[0].name} share the image_id {example.image_id!r}, but not their images."
            )
        group.append(example)
    for group in groups.values():
        yield _row(group)


def _row(group: list[Example]) -> dict[str, Any]:
    row = {
        "images": list(group[0].images),
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
    """Rows as a `datasets.Dataset` with the images inside: files and bytes as they are, PIL images as PNG.

    There is a column `provenance` if some row has one; it is None in the others.

    Args:
        are_images_inside: if not, images on disk stay there and are read when they are wanted; memory holds their
            paths.

    Raises:
        ValueError: an image cannot be read, or, where it stays on disk, is not there; the message names its row and
            file.
    """
    stored = [store_row(row, store_image if are_images_inside else locate_image) for row in rows]
    features = features_of({column for row in stored for column in row})
    columns = {column: [row.get(column) for row in stored] for column in features}
    return datasets.Dataset.from_dict(columns, features=features)


def features_of(columns: Collection[str]) -> datasets.Features:
    """The features of rows that have these columns: with or without provenance."""
    return FEATURES_WITH_PROVENANCE if PROVENANCE in columns else FEATURES


def store_row(row: Mapping[str, Any], store: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """The row with its images as `datasets` stores them, by `store_image` or `locate_image`; `<image>` and empty
    targets are refused."""
    check_row(row)
    name = row_name(row)
    images: list[Image | StoredImage] = row["images"]
    return {**row, "images": [store(image, name=name) for image in images]}


def row_name(row: Mapping[str, Any]) -> str:
    """What errors call a row."""
    return f"Row {row['image_id']!r} (source {', '.join(sorted(set(row['sources'])))})"


def missing_columns(columns: Collection[str]) -> list[str]:
    """The columns of rows that are not there."""
    return [column for column in COLUMNS if column not in columns]


def check_columns(columns: Collection[str]) -> None:
    """Raises ValueError where a column of rows is missing."""
    if missing := missing_columns(columns):
        raise ValueError(
            f"A row has the columns {sorted(columns)}, but lacks {missing}. "
            "With the Trainer, set `remove_unused_columns=False`, or it takes them away."
        )


def check_row(row: Mapping[str, Any]) -> None:
    """Raises ValueError for a row that lacks a column, has lists of unequal length, a target that no model should
    learn, or a prompt that says `<image>` another number of times than there are images."""
    check_columns(row)
    has_provenance = row.get(PROVENANCE) is not None
    lengths = {column: len(row[column]) for column in (*PROMPT_COLUMNS, *([PROVENANCE] if has_provenance else []))}
    if len(set(lengths.values())) != 1 or not row["prompts"]:
        raise ValueError(
            f"{row_name(row)} has lists of the lengths {lengths}, expected one entry per prompt in each, at least one."
        )
    name, num_images = row_name(row), len(row["images"])
    for prompt, target in zip(row["prompts"], row["targets"], strict=True):
        check_target(target, name=name)
        check_prompt(prompt, num_images, name=name)
