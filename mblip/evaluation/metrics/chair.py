"""CHAIR: the objects that captions name and the images do not show.

CHAIR-s is the share of captions that name at least one such object, CHAIR-i the share of such among all namings of
objects (Rohrbach et al., Object Hallucination in Image Captioning, EMNLP 2018). Lower is better, and saying nothing is
best: read both beside how much was named (`num_objects`, `num_without_objects`, `num_empty`).

Objects are COCO's 80 categories, named by the words of CHAIR's list of synonyms. That file (BSD 2-Clause) is not part
of this package: data/synonyms.txt of https://github.com/LisaAnne/Hallucination. Captions are cut into words by NLTK's
`NLTKWordTokenizer` and the words made singular (singular.py); some pairs of words count as one ("hot dog", "baby
bird"). Source: `chair` of src/tasks/vllm/evaluation.py in gregor-ge/mBLIP, which has one pair more than the first
CHAIR, "train track".

That function cuts captions into sentences first, by NLTK's punkt, whose data must be fetched. Without it a word in
front of a full stop within the caption keeps the full stop and is not found; so for captions of several sentences give
`split_sentences` (536 captions of four models: 1,039 objects found without it, 1,071 with sentences cut).
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

# Pairs of words, made singular, that are one word.
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
    """A word of a caption, made singular, and the category it names."""

    word: str
    category: str


@dataclass(frozen=True)
class CaptionChair:
    """What one caption names, and which of it is not in the image. `chair_i` is None where it names nothing."""

    chair_s: float
    chair_i: float | None
    objects: tuple[NamedObject, ...]
    hallucinated: tuple[NamedObject, ...]


@dataclass(frozen=True)
class ChairScores:
    """Both scores from 0 to 1 over all captions; `chair_i` is None where none names an object.

    `num_objects` objects were named; `num_without_objects` captions name none, of which `num_empty` are empty.
    """

    chair_s: float
    chair_i: float | None
    per_caption: tuple[CaptionChair, ...]
    num_objects: int
    num_without_objects: int
    num_empty: int


def read_synonyms(path: str | Path) -> dict[str, str]:
    """The category that each word names: a line of the file is a category and its synonyms, separated by ", ".

    Raises:
        ValueError: there is no such file, or it is not laid out so; the message tells where it can be had.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError) as error:
        raise ValueError(f"There is no list of synonyms at {path}: {error}. Get it from {SYNONYMS_URL}.") from error
    category_of: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        words = line.strip().split(", ")
        if not all(words) or any(mark in line for mark in "<>{}"):
            raise ValueError(
                f"{path}, line {number}: found {line[:60]!r}, expected a category of COCO and its synonyms, separated "
                f"by a comma and a space. Get the file from {SYNONYMS_URL}, as text."
            )
        # A space behind ", " stays with its word, which then names nothing (" cheesecake"), as in the original.
        category_of |= dict.fromkeys(words, words[0])
    return category_of


def find_objects(
    caption: str, category_of: Mapping[str, str], *, split_sentences: Sentences | None = None
) -> list[NamedObject]:
    """The objects that a caption names, in its order, as often as it names them.

    Args:
        category_of: of `read_synonyms`.
        split_sentences: cuts a text into sentences, such as NLTK's `sent_tokenize`; None: the caption is one.
    """
    sentences = [caption] if split_sentences is None else split_sentences(caption)
    tokenizer = _word_tokenizer()
    words = [singular(word) for sentence in sentences for word in tokenizer.tokenize(sentence.lower())]
    words = _join_pairs(words)
    if "toilet" in words:
        words = [word for word in words if word != "seat"]  # of the toilet: no chair
    return [NamedObject(word, category_of[word]) for word in words if word in category_of]


def score_chair(
    captions: Sequence[str],
    objects: Sequence[Collection[str]],
    category_of: Mapping[str, str],
    *,
    split_sentences: Sentences | None = None,
) -> ChairScores:
    """CHAIR of captions.

    Args:
        objects: the categories that each caption's image shows (chair_objects.py).
        category_of: of `read_synonyms`.
        split_sentences: as in `find_objects`.

    Raises:
        ValueError: captions and objects are of unequal length or empty, or an object is no category of the list.
        ImportError: NLTK is not installed.
    """
    check_pairs(captions, objects)
    unknown = {name for shown in objects for name in shown} - set(category_of.values())
    if unknown:
        raise ValueError(
            f"Found the objects {', '.join(sorted(unknown))}, expected categories of the list of synonyms. "
            f"Is that the list of {SYNONYMS_URL}?"
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
    """The words, with the pairs that are one word joined, from left to right."""
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
            "CHAIR takes the word tokenizer of NLTK, which is not installed: `pip install mblip[eval]`."
        ) from error
    return NLTKWordTokenizer()
