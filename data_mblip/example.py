"""From examples to rows.

An `Example` is one prompt about one set of images with the answer wanted. Sources make them, prompts.py puts the
wording around them, and `to_rows` gathers all examples about the same images into one row, so that an image is stored,
decoded and encoded once however many prompts ask about it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
from PIL import Image as PILImage

from .images import Image, StoredImage, store_image
from .languages import get_language

IMAGE_TOKEN = "<image>"
IMAGE_MARK = re.compile(r"(?<!\\)<image>")  # where a prompt places an image; `\<image>` is the word itself

PROMPT_COLUMNS = (
    "prompts",
    "targets",
    "languages",
    "tasks",
    "sources",
    "ids",
)  # lists of equal length, one entry per prompt
COLUMNS = ("images", "image_id", *PROMPT_COLUMNS)

FEATURES = datasets.Features(
    {"images": datasets.List(datasets.Image(decode=False)), "image_id": datasets.Value("string")}
    | {column: datasets.List(datasets.Value("string")) for column in PROMPT_COLUMNS}
)


@dataclass(frozen=True)
class Example:
    """One prompt about one set of images.

    `prompt` is "" until `apply_prompt` has put a wording of `task` around `inputs` ({"question": ...}, {"label":
    ...}). `language` is the language the example is in, a code of languages.tsv; answers yes and no are English
    whatever it is. `id` is unique within `source`; examples of equal `image_id` share their images.

    Raises:
        ValueError: the target is empty or holds `<image>`, the prompt holds `<image>` but not once per image, or the
        language is unknown. The
            message names the example.
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
        check_target(self.target, name=self.name)
        num_tokens = len(IMAGE_MARK.findall(self.prompt))
        if num_tokens not in (0, len(self.images)):
            raise ValueError(
                f"{self.name} has {len(self.images)} image(s), but its prompt holds {num_tokens} `{IMAGE_TOKEN}`. "
                "Write it once per image, or not at all."
            )

    @property
    def name(self) -> str:
        """What errors call the example."""
        return f"Example {self.id!r} of {self.source!r}"


def check_target(target: str, *, name: str) -> None:
    """Raises ValueError for a target that no model should learn: an empty one, or one that holds `<image>`."""
    if not target.strip():
        raise ValueError(f"{name} has an empty target. Leave the example out, or give it the text to learn.")
    if IMAGE_TOKEN in target:
        raise ValueError(
            f"{name} has `{IMAGE_TOKEN}` in its target: {target!r}. "
            "Only prompts may place images; take it out of the text."
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
            raise ValueError(f"{example.name} has no prompt. Put a wording around it with `apply_prompt` first.")
        group = groups.setdefault(example.image_id, [])
        if group and group[0].images != example.images:
            raise ValueError(
                f"{example.name} and {group[0].name} share the image_id {example.image_id!r}, but not their images."
            )
        group.append(example)
    for group in groups.values():
        yield _row(group)


def _row(group: list[Example]) -> dict[str, Any]:
    return {
        "images": list(group[0].images),
        "image_id": group[0].image_id,
        "prompts": [example.prompt for example in group],
        "targets": [example.target for example in group],
        "languages": [example.language for example in group],
        "tasks": [example.task for example in group],
        "sources": [example.source for example in group],
        "ids": [example.id for example in group],
    }


def rows_to_dataset(rows: Iterable[Mapping[str, Any]]) -> datasets.Dataset:
    """Rows as a `datasets.Dataset` with the images inside: files and bytes as they are, PIL images as PNG.

    Raises:
        ValueError: an image cannot be read; the message names its row and file.
    """
    stored = [store_row(row) for row in rows]
    columns = {column: [row[column] for row in stored] for column in COLUMNS}
    return datasets.Dataset.from_dict(columns, features=FEATURES)


def store_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with its images as `datasets` stores them, `<image>` and empty targets refused."""
    check_row(row)
    name = row_name(row)
    images: list[Image | StoredImage] = row["images"]
    return {**row, "images": [store_image(image, name=name) for image in images]}


def row_name(row: Mapping[str, Any]) -> str:
    """What errors call a row."""
    return f"Row {row['image_id']!r} (source {', '.join(sorted(set(row['sources'])))})"


def check_row(row: Mapping[str, Any]) -> None:
    """Raises ValueError for a row that lacks a column, has lists of unequal length, or a bad target."""
    missing = [column for column in COLUMNS if column not in row]
    if missing:
        raise ValueError(
            f"A row has the columns {sorted(row)}, but lacks {missing}. "
            "With the Trainer, set `remove_unused_columns=False`, or it takes them away."
        )
    lengths = {column: len(row[column]) for column in PROMPT_COLUMNS}
    if len(set(lengths.values())) != 1 or not row["prompts"]:
        raise ValueError(
            f"{row_name(row)} has lists of the lengths {lengths}, expected one entry per prompt in each, at least one."
        )
    for target in row["targets"]:
        check_target(target, name=row_name(row))
