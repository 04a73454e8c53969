"""Sources of a recipe out of the training mix: English examples, trained on as they are, and the mix as released.

The mix itself is built by mblip.data, which allots English examples to languages and translates them; a recipe trains
on the rows that come out. These are for a run on one of its sources alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mblip.mix.filters.near_duplicates import drop_near_duplicates
from mblip.mix.filters.noun_phrases import select_by_noun_phrases, spacy_noun_phrases
from mblip.mix.sources.capfilt import read_capfilt

from ..example import Example
from ..left_out import LeftOut
from ..sources.aokvqa import read_aokvqa
from ..sources.coco_captions import read_coco_captions, read_karpathy_captions
from ..sources.coco_files import Missing
from ..sources.llava import read_llava_conversations, read_llava_details
from ..sources.released_json import named_language, named_or_identified_language, read_released_json
from ..sources.vqav2 import read_vqav2
from .source_arguments import Images, LanguageCode, counted_once


@dataclass(frozen=True)
class NounPhrases:
    """How captions are chosen by their noun phrases; `model` is spaCy's."""

    model: str = "en_core_web_sm"
    min_captions: int = 10
    max_captions: int = 30
    num_processes: int = 1


def capfilt(
    seed: int,
    left_out: LeftOut,
    *,
    path: Path,
    max_similarity: float | None = None,
    noun_phrases: NounPhrases | None = None,
    as_released: bool = False,
) -> Iterator[Example]:
    """Web captions of BLIP CapFilt, a JSON array of URLs and captions.

    With `max_similarity`, such as 0.8, captions as similar to an earlier one are left out; with `noun_phrases` those
    that are left are chosen by them, in the original's way with `as_released`.
    """

    def read(counted: LeftOut) -> Iterator[Example]:
        captions = read_capfilt(path, left_out=counted)
        if max_similarity is None:
            return captions
        return drop_near_duplicates(captions, threshold=max_similarity, left_out=counted)

    if noun_phrases is None:
        return read(left_out)
    return select_by_noun_phrases(
        counted_once(read, left_out),
        parser=spacy_noun_phrases(noun_phrases.model, num_processes=noun_phrases.num_processes),
        min_captions=noun_phrases.min_captions,
        max_captions=noun_phrases.max_captions,
        seed=seed,
        as_released=as_released,
        left_out=left_out,
    )


def coco_captions(
    seed: int, left_out: LeftOut, *, path: Path, images: Images, missing: Missing = "error"
) -> Iterator[Example]:
    """Captions of COCO, an official file."""
    return read_coco_captions(path, images=images, missing=missing, left_out=left_out)


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


def llava_details(
    seed: int, left_out: LeftOut, *, path: Path, images: Images, missing: Missing = "error"
) -> Iterator[Example]:
    """LLaVA's detailed descriptions."""
    return read_llava_details(path, images=images, missing=missing, left_out=left_out)


def released_json(
    seed: int,
    left_out: LeftOut,
    *,
    path: Path,
    images: Images,
    identify: bool = False,
    other_language: LanguageCode | None = None,
) -> Iterator[Example]:
    """The original's training mix with its own prompts. Where these name no language, it is the target's with
    `identify`, or else `other_language`; an example without any is left out."""

    def language_of(context: str, label: str) -> str | None:
        found = named_or_identified_language if identify else named_language
        return found(context, label) or other_language

    return read_released_json(path, images=images, language_of=language_of, left_out=left_out)
