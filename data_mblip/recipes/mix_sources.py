"""Sources of a recipe out of the training mix: English examples, trained on as they are, and the mix as released.

The mix itself is built by data_mblip, which allots English examples to languages and translates them; a recipe trains
on the rows that come out. These are for a run on one of its sources alone.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from ..example import Example
from ..left_out import LeftOut
from ..sources.aokvqa import read_aokvqa
from ..sources.capfilt import read_capfilt
from ..sources.coco_captions import read_coco_captions, read_karpathy_captions
from ..sources.coco_files import Missing
from ..sources.llava import read_llava_conversations, read_llava_details
from ..sources.released_json import named_language, read_released_json
from ..sources.vqav2 import read_vqav2
from .source_arguments import Images, LanguageCode, reports_left_out


@reports_left_out
def capfilt(seed: int, left_out: LeftOut, *, path: Path) -> Iterator[Example]:
    """Web captions of BLIP CapFilt, a JSON array of URLs and captions."""
    return read_capfilt(path, left_out=left_out)


@reports_left_out
def coco_captions(
    seed: int, left_out: LeftOut, *, path: Path, images: Images, missing: Missing = "error"
) -> Iterator[Example]:
    """Captions of COCO, an official file."""
    return read_coco_captions(path, images=images, missing=missing, left_out=left_out)


@reports_left_out
def karpathy_captions(
    seed: int,
    left_out: LeftOut,
    *,
    path: Path,
    images: Images,
    splits: tuple[Literal["train", "restval", "val", "test"], ...] = ("train",),
    missing: Missing = "error",
) -> Iterator[Example]:
    """Captions of COCO, some splits of Karpathy's file."""
    return read_karpathy_captions(path, images=images, splits=splits, missing=missing, left_out=left_out)


@reports_left_out
def vqav2(
    seed: int,
    left_out: LeftOut,
    *,
    questions: Path,
    annotations: Path,
    images: Images,
    tasks: tuple[Literal["vqa", "question_generation"], ...] = ("vqa", "question_generation"),
    as_released: bool = False,
    missing: Missing = "error",
) -> Iterator[Example]:
    """Questions of VQAv2 to answer, and answers to find the question to."""
    return read_vqav2(
        questions,
        annotations,
        images=images,
        tasks=tasks,
        as_released=as_released,
        seed=seed,
        missing=missing,
        left_out=left_out,
    )


@reports_left_out
def aokvqa(
    seed: int,
    left_out: LeftOut,
    *,
    path: Path,
    images: Images,
    tasks: tuple[Literal["reasoning", "explaining"], ...] = ("reasoning", "explaining"),
    missing: Missing = "error",
) -> Iterator[Example]:
    """Questions of A-OKVQA with reasons, to reason and to explain."""
    return read_aokvqa(path, images=images, tasks=tasks, missing=missing, left_out=left_out)


@reports_left_out
def llava_conversations(
    seed: int,
    left_out: LeftOut,
    *,
    path: Path,
    images: Images,
    max_sentences: int | None = 3,
    missing: Missing = "error",
) -> Iterator[Example]:
    """Single turns of LLaVA's dialogues whose answers have no more than `max_sentences`."""
    return read_llava_conversations(
        path, images=images, max_sentences=max_sentences, missing=missing, left_out=left_out
    )


@reports_left_out
def llava_details(
    seed: int, left_out: LeftOut, *, path: Path, images: Images, missing: Missing = "error"
) -> Iterator[Example]:
    """LLaVA's detailed descriptions."""
    return read_llava_details(path, images=images, missing=missing, left_out=left_out)


@reports_left_out
def released_json(
    seed: int, left_out: LeftOut, *, path: Path, images: Images, other_language: LanguageCode | None = None
) -> Iterator[Example]:
    """The original's training mix with its own prompts; `other_language` is that of prompts that name none, which are
    left out without it."""

    def language_of(context: str, label: str) -> str | None:
        return named_language(context, label) or other_language

    return read_released_json(path, images=images, language_of=language_of, left_out=left_out)
