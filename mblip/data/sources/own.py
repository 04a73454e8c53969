"""Your own data: a folder of images with a table, or any dataset that `datasets` loads.

    columns = Columns(image="file_name", target="text", language="lang")
    own_folder(7, path=Path("photos"), task="captioning", columns=columns)           # photos/metadata.jsonl
    own_dataset(7, path="me/my-captions", task="captioning", columns=Columns(target="caption"), language="sw")

`Columns` (own_rows.py) says which column holds what. The data stay as they are. The same in a recipe:

    - source: own_dataset
      path: me/my-captions
      task: captioning
      language: sw
      columns: {image: photo, target: caption}

Empty texts are skipped and counted. Everything else that cannot be trained on is an error. Licence: that of your data.
"""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pyarrow.parquet

from ..example import Example
from ..images.locations import check_inside
from ..languages import LanguageCode
from ..skipped import SkipReport
from .dataset_rows import Row, dataset_folders, local_dataset, read_rows
from .image_names import Images
from .own_rows import Columns, OwnRows
from .text_tables import read_table

SOURCE = "own"
METADATA_NAMES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")  # as in `datasets`' ImageFolder


def own_folder(
    seed: int,
    skipped: SkipReport | None = None,
    *,
    path: Path,
    task: str,
    columns: Columns,
    language: LanguageCode | None = None,
    name: str | None = None,
) -> Iterator[Example]:
    """The rows of a folder in the layout of `datasets`' ImageFolder.

    The table is metadata.jsonl, metadata.csv or metadata.parquet. Its column `file_name`, or the column that
    `columns.image` names, holds the paths of images relative to the folder. They may not lead out of it, by a link
    or otherwise.

    Args:
        task: one of `TASKS`. Its inputs must be mapped.
        language: the language of all rows, if no column gives it.
        name: the source is called own/<name>, and draws depend on this. None: the name of the folder.
    Raises:
        ValueError: the folder has no table or several, a column is missing, a cell has a wrong type, or an image is
            missing. The message names the line or row, and the columns.
    """
    columns = columns if columns.image is not None else dataclasses.replace(columns, image="file_name")
    rows = OwnRows(f"{SOURCE}/{name or path.resolve().name}", task, columns, language, path)
    table = metadata_file(path)
    skipped = SkipReport() if skipped is None else skipped
    examples = rows.examples(_read_table(table), id_prefix="", skipped=skipped)
    for number, example in enumerate(examples, 1):
        if missing := _missing_images(example):
            of_rest = [bool(_missing_images(other)) for other in examples]
            raise ValueError(
                f"{table}: images are missing in {1 + sum(of_rest)} of {number + len(of_rest)} rows. {example.name} "
                f"shows {missing[0]}, but there is no such file."
            )
        yield example


def own_dataset(
    seed: int,
    skipped: SkipReport | None = None,
    *,
    path: Annotated[str, local_dataset],
    task: str,
    columns: Columns,
    language: LanguageCode | None = None,
    split: str = "train",
    config: str | None = None,
    revision: str | None = None,
    images: Images | None = None,
    name: str | None = None,
    streaming: bool = False,
) -> Iterator[Example]:
    """The rows of a dataset. Images are neither opened nor decoded.

    Args:
        path: a name on the Hub, a folder or a file, as `read_rows` takes them.
        task: one of `TASKS`. Its inputs must be mapped.
        columns: the image column is `image` unless mapped otherwise.
        language: the language of all rows, if no column gives it.
        images: the folder, URL or archive (images/locations.py) to join image names to. None: the folder `path`, or
            the file's folder. Rows may name files in these folders only, also after links are followed.
        name: the source is called own/<name>, and draws depend on this. None: the last part of `path`.
        streaming: read rows as they come, without preparing them on disk first.
    Raises:
        ValueError: the dataset cannot be loaded, a column is missing, or a cell has a wrong type. The message names
            the row, counted from 0, and the columns.
        OSError: there is no such dataset, or the Hub cannot be reached.
    """
    columns = columns if columns.image is not None else dataclasses.replace(columns, image="image")
    source = f"{SOURCE}/{name or Path(path).name}"
    folders = dataset_folders(path)
    rows = OwnRows(source, task, columns, language, folders[0] if images is None else images, folders)
    placed = read_rows(path, split=split, config=config, revision=revision, streaming=streaming)
    return rows.examples(placed, id_prefix=f"{split}/", skipped=SkipReport() if skipped is None else skipped)


def _missing_images(example: Example) -> list[Path]:
    return [image for image in example.images if isinstance(image, Path) and not os.path.isfile(image)]


def metadata_file(folder: Path) -> Path:
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}. Paths are relative to the working directory, {Path.cwd()}.")
    found = [folder / name for name in METADATA_NAMES if (folder / name).is_file()]
    if len(found) != 1:
        shown = " and ".join(path.name for path in found) or "none"
        raise ValueError(f"{folder}: found {shown}, expected one of {', '.join(METADATA_NAMES)}.")
    check_inside(found[0], [folder], row=str(folder))
    return found[0]


def _read_table(path: Path) -> Iterator[tuple[str, Row]]:
    """The rows of a table with their locations."""
    if path.suffix != ".parquet":
        return read_table(path)
    try:
        records = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path} is damaged or not a table of its kind: {error}") from error
    if not records:
        raise ValueError(f"{path} has no rows, expected at least one.")
    return ((f"{path}, row {number}", record) for number, record in enumerate(records))
