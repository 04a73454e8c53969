"""CHAIR: objects that captions name although the images do not show them.

CHAIR-s is the share of captions that name at least one such object. CHAIR-i is the share of such objects among all
named objects (Rohrbach et al., Object Hallucination in Image Captioning, EMNLP 2018). Lower is better, and an empty
caption scores best. Read both together with `num_objects`, `num_without_objects` and `num_empty`.

Objects are COCO's 80 categories. CHAIR's list of synonyms maps words to them. That file (BSD 2-Clause) is not part of
this package: data/synonyms.txt of https://github.com/LisaAnne/Hallucination. NLTK's `NLTKWordTokenizer` splits
captions into words, and we make the words singular (singular.py). Some pairs of words count as one ("hot dog", "baby
bird").
Source: `chair` of src/tasks/vllm/evaluation.py in gregor-ge/mBLIP. It has one more pair than the first CHAIR, "train
track".

That function first splits captions into sentences with NLTK's punkt, whose data must be downloaded. Without sentence
splitting, a word before a full stop inside the caption keeps the full stop and is not found. For captions of several
sentences give `split_sentences`. (In 536 captions of four models we found 1,039 objects without it and 1,071 with it.)
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from .answers import check_pairs, count_empty
from .singular import singular

if TYPE_CHECKING:
    from nltk.tokenize import NLTKWordTokenizer

SYNONYMS_URL = "https://github.com/LisaAnne/Hallucination/blob/master/data/synonyms.txt"

# Pairs of singular words that count as one word.
_PAIRS = """
    motor bike, motor cycle, air plane, traffic light, street light, traffic signal, stop light, fire hydrant,
    stop sign, parking meter, suit case, sports ball, baseball bat, baseball glove, tennis racket, wine glass, hot dog,
    cell phone, mobile phone, teddy bear, hair drier, potted plant, laptop computer, home plate, train track
"""
_ANIMALS = "bird cat dog horse sheep cow elephant bear zebra giraffe animal cub"
WORD_OF_PAIR: Mapping[str, str] = (
    {" ".join(pair.split()): " ".join(pair.split()) for pair in _PAIRS.split(",")}
    | {f"{age} {animal}": animal for age in ("baby", "adult") for animal in _ANIMALS.split()}
    | {f"passenger {vehicle}": vehicle for vehicle in ("jet", "train")}
    | {"bow tie": "tie", "toilet seat": "toilet", "wine glas": "wine glass"}
)

Sentences = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class NamedObject:
    """A word of a caption, in the singular, and its category."""

    word: str
    category: str


@dataclass(frozen=True)
class CaptionChair:
    """The objects that a caption names, and those its image does not show. `chair_i` is None if it names none."""

    chair_s: float
    chair_i: float | None
    objects: tuple[NamedObject, ...]
    hallucinated: tuple[NamedObject, ...]


@dataclass(frozen=True)
class ChairScores:
    """Both scores over all captions, from 0 to 1. `chair_i` is None if no caption names an object.

    The captions name `num_objects` objects. `num_without_objects` captions name none; `num_empty` of these are empty.
    """

    chair_s: float
    chair_i: float | None
    per_caption: tuple[CaptionChair, ...]
    num_objects: int
    num_without_objects: int
    num_empty: int


def read_synonyms(path: str | Path) -> dict[str, str]:
    """Read the category of each word. A line of the file is a category and its synonyms, separated by ", ".

    Raises:
        ValueError: the file does not exist, or has another layout; the message says where to get it.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError) as error:
        raise ValueError(f"Found no list of synonyms at {path}: {error}. Get it from {SYNONYMS_URL}.") from error
    category_of: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        words = line.strip().split(", ")
        if not all(words) or any(mark in line for mark in "<>{}"):
            raise ValueError(
                f"{path}, line {number}: found {line[:60]!r}, expected a COCO category and its synonyms, separated by "
                f"a comma and a space. Get the file from {SYNONYMS_URL}, as text."
            )
        # As in the original, an extra space stays with its word, which then never matches (" cheesecake").
        category_of |= dict.fromkeys(words, words[0])
    return category_of


def find_objects(
    caption: str, category_of: Mapping[str, str], *, split_sentences: Sentences | None = None
) -> list[NamedObject]:
    """The objects that a caption names, in its order, with repetitions.

    Args:
        category_of: from `read_synonyms`.
        split_sentences: splits a text into sentences, such as NLTK's `sent_tokenize`. None: the caption is one
            sentence.
    """
    sentences = [caption] if split_sentences is None else split_sentences(caption)
    tokenizer = _word_tokenizer()
    words = [singular(word) for sentence in sentences for word in tokenizer.tokenize(sentence.lower())]
    words = _join_pairs(words)
    if "toilet" in words:
        words = [word for word in words if word != "seat"]  # the seat of a toilet is not a chair
    return [NamedObject(word, category_of[word]) for word in words if word in category_of]


def score_chair(
    captions: Sequence[str],
    objects: Sequence[Collection[str]],
    category_of: Mapping[str, str],
    *,
    split_sentences: Sentences | None = None,
) -> ChairScores:
    """The CHAIR scores of captions.

    Args:
        objects: for each caption, the categories that its image shows (chair_objects.py).
        category_of: from `read_synonyms`.
        split_sentences: see `find_objects`.

    Raises:
        ValueError: captions and objects differ in length or are empty, or an object is not a category of the list.
        ImportError: NLTK is not installed.
    """
    check_pairs(captions, objects)
    unknown = {name for shown in objects for name in shown} - set(category_of.values())
    if unknown:
        raise ValueError(
            f"Found the objects {', '.join(sorted(unknown))}, expected categories of the list of synonyms. "
            f"Use the list of {SYNONYMS_URL}."
        )
    per_caption = tuple(
        _score_caption(find_objects(caption, category_of, split_sentences=split_sentences), shown)
        for caption, shown in zip(captions, objects, strict=True)
    )
    num_objects = sum(len(scored.objects) for scored in per_caption)
    return ChairScores(
        chair_s=sum(scored.chair_s for scored in per_caption) / len(per_caption),
        chair_i=sum(len(scored.hallucinated) for scored in per_caption) / num_objects if num_objects else None,
        per_caption=per_caption,
        num_objects=num_objects,
        num_without_objects=sum(not scored.objects for scored in per_caption),
        num_empty=count_empty(captions),
    )


def _score_caption(named: Sequence[NamedObject], shown: Collection[str]) -> CaptionChair:
    hallucinated = tuple(entry for entry in named if entry.category not in shown)
    return CaptionChair(
        chair_s=float(bool(hallucinated)),
        chair_i=len(hallucinated) / len(named) if named else None,
        objects=tuple(named),
        hallucinated=hallucinated,
    )


def _join_pairs(words: Sequence[str]) -> list[str]:
    """Join pairs that count as one word, from left to right."""
    joined: list[str] = []
    position = 0
    while position < len(words):
        pair = " ".join(words[position : position + 2])
        joined.append(WORD_OF_PAIR.get(pair, words[position]))
        position += 2 if pair in WORD_OF_PAIR else 1
    return joined


@cache
def _word_tokenizer() -> "NLTKWordTokenizer":
    try:
        from nltk.tokenize import NLTKWordTokenizer
    except ImportError as error:
        raise ImportError(
            "CHAIR needs NLTK's word tokenizer, which is not installed: `pip install mblip[eval]`."
        ) from error
    return NLTKWordTokenizer()
