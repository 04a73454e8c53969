"""Sources of a recipe for fine-tuning: training data of benchmarks, and anybody's own data.

Where a benchmark has a file for each language, in folders named by their codes, `annotations` is the folder above them
and `split` the name of the file without its ending: train_5, dev, test.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..example import Example
from ..left_out import LeftOut
from ..sources.coco_files import Missing
from ..sources.flickr30k import read_flickr30k, read_xflickrco
from ..sources.gqa import read_gqa, read_xgqa
from ..sources.nlvr2 import UnicodeForm, read_marvl, read_nlvr2
from ..sources.own import read_dataset, read_image_folder
from ..sources.own_rows import Columns
from ..sources.xvnli import read_snli_ve, read_xvnli
from .source_arguments import ENGLISH, Images, LanguageCode


def gqa(seed: int, left_out: LeftOut, *, path: Path, images: Images) -> Iterator[Example]:
    """Questions of GQA with English answers, a file in LXMERT's layout."""
    return read_gqa(path, images=images, left_out=left_out)


def xgqa(
    seed: int,
    left_out: LeftOut,
    *,
    annotations: Path,
    languages: tuple[LanguageCode, ...],
    split: str,
    images: Images,
) -> Iterator[Example]:
    """Questions of xGQA in some languages, with English answers."""
    return _each_language(read_xgqa, annotations, languages, f"{split}.json", images=images, left_out=left_out)


def snli_ve(seed: int, left_out: LeftOut, *, path: Path, images: Images) -> Iterator[Example]:
    """English sentences about photos of Flickr30k that are true, false or neither."""
    return read_snli_ve(path, images=images, left_out=left_out)


def xvnli(
    seed: int,
    left_out: LeftOut,
    *,
    annotations: Path,
    languages: tuple[LanguageCode, ...],
    split: str,
    images: Images,
) -> Iterator[Example]:
    """Sentences of XVNLI in some languages about photos of Flickr30k."""
    return _each_language(read_xvnli, annotations, languages, f"{split}.jsonl", images=images, left_out=left_out)


def nlvr2(
    seed: int, left_out: LeftOut, *, path: Path, images: Images, language: LanguageCode = ENGLISH
) -> Iterator[Example]:
    """Statements of NLVR2 about two images; `language` is that of the file, where it is a machine-translated one."""
    return read_nlvr2(path, images=images, language=language, left_out=left_out)


def marvl(
    seed: int, left_out: LeftOut, *, path: Path, images: Images, file_names: UnicodeForm = "NFD"
) -> Iterator[Example]:
    """Statements of MaRVL about two images, in the language that the records say."""
    return read_marvl(path, images=images, file_names=file_names, left_out=left_out)


def flickr30k(seed: int, left_out: LeftOut, *, path: Path, images: Images) -> Iterator[Example]:
    """English captions of Flickr30k."""
    return read_flickr30k(path, images=images, left_out=left_out)


def xflickrco(
    seed: int,
    left_out: LeftOut,
    *,
    annotations: Path,
    languages: tuple[LanguageCode, ...],
    split: str,
    images: Images,
    coco_images: Images | None = None,
    missing: Missing = "error",
) -> Iterator[Example]:
    """Captions of xFlickrCO in some languages; `coco_images` is asked for where a file has photos of COCO."""
    return _each_language(
        read_xflickrco,
        annotations,
        languages,
        f"{split}.jsonl",
        images=images,
        coco_images=coco_images,
        missing=missing,
        left_out=left_out,
    )


def own_folder(
    seed: int,
    left_out: LeftOut,
    *,
    path: Path,
    task: str,
    columns: Columns,
    language: LanguageCode | None = None,
    name: str | None = None,
) -> Iterator[Example]:
    """A folder of images with metadata.jsonl, .csv or .parquet; `language` where no column says it."""
    return read_image_folder(path, task=task, columns=columns, language=language, name=name, left_out=left_out)


def own_dataset(
    seed: int,
    left_out: LeftOut,
    *,
    path: str,
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
    """A dataset that `datasets` loads: a name on the Hub, a folder, a parquet, JSON or csv file."""
    return read_dataset(
        path,
        task=task,
        columns=columns,
        language=language,
        split=split,
        config=config,
        revision=revision,
        images=images,
        name=name,
        streaming=streaming,
        left_out=left_out,
    )


def _each_language(
    read: Callable[..., Iterator[Example]],
    annotations: Path,
    languages: Iterable[LanguageCode],
    file_name: str,
    **arguments: Any,
) -> Iterator[Example]:
    """The examples of a benchmark's files of some languages, one after another."""
    for language in languages:
        yield from read(annotations / language / file_name, language=language, **arguments)
