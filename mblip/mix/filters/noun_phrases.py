"""Choosing captions by their noun phrases, so that rare things are included and common ones do not dominate.

For every noun phrase that at least 10 captions have, up to 30 captions are taken (code of gregor-ge/mBLIP, commit
0380e68, which chose its 2,273,005 captions of BLIP CapFilt this way). We serve the rarest phrase first, and a caption
counts for all of its phrases, as in LLaVA's selection from CC3M (arXiv 2304.08485). A common phrase gets no captions
of its own if the captions of rarer phrases contain it often enough. mBLIP let every phrase draw for itself, which
takes more captions of common things.

spaCy finds the phrases, or a parser that you provide. With spaCy, a phrase is a noun chunk in normal form (lower case,
no punctuation) without leading determiners and pronouns: "the Two dogs" and "two dogs" are the same phrase, and "it"
is not a phrase. We do not lemmatise, because "two dogs" and "a dog" look different in an image; nor did the original
or LLaVA. The original removed all of NLTK's stop words, also within phrases.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile, islice
from typing import Any

import numpy as np

from mblip.data.example import Example
from mblip.data.normal_text import normal_text
from mblip.data.skipped import SkipReport
from mblip.data.stable_random import stable_random

Parser = Callable[[Sequence[str]], Iterator[Sequence[str]]]  # captions -> the noun phrases of each

PARSED_AT_ONCE = 10_000  # captions
_CHOSEN, _NO_PHRASE, _RARE, _ENOUGH = range(4)  # outcomes for a caption
# Parts of speech that are removed from the start of a phrase.
NOT_NAMING = frozenset({"DET", "PRON", "PUNCT", "SPACE"})
UNUSED_PARTS = ("ner", "lemmatizer")


def select_by_noun_phrases(
    examples: Callable[[], Iterable[Example]],
    *,
    parser: Parser,
    min_captions: int = 10,
    max_captions: int = 30,
    seed: int,
    as_released: bool = False,
    skipped: SkipReport | None = None,
) -> Iterator[Example]:
    """The examples whose target was chosen for one of its noun phrases, in order.

    The captions of a phrase are drawn by (seed, source, id), so the choice does not depend on the order of the
    examples. The examples are read twice and parsed once. In between, memory holds 16 bytes per caption, 4 per phrase
    in it, and about 150 per distinct phrase. While choosing, it holds another 40 for each occurrence of a frequent
    phrase.

    Args:
        examples: returns a fresh iterator over the same examples on every call.
        parser: such as `spacy_noun_phrases()`. A phrase that occurs twice in a caption counts once.
        as_released: every phrase draws for itself, as in the original, regardless of other phrases.
    Raises:
        ValueError: the two numbers are not a range, the parser returns a wrong number of results, or the second pass
            gives other examples than the first.
    """
    if not 1 <= min_captions <= max_captions:
        raise ValueError(
            f"Found min_captions {min_captions} and max_captions {max_captions}, "
            "expected at least 1 and no more than max_captions."
        )
    skipped = skipped if skipped is not None else SkipReport()
    captions = _read_captions(examples(), parser, seed)
    fates = _decide(captions, min_captions, max_captions, as_released=as_released)
    reasons = {
        _NO_PHRASE: "caption without a noun phrase",
        _RARE: f"noun phrases in fewer than {min_captions} captions",
        _ENOUGH: f"noun phrases with {max_captions} captions already",
    }
    # the second pass gives the examples that the first chose
    num_read = 0
    for example in examples():
        _check_same(example, num_read, captions, seed)
        fate = fates[num_read]
        num_read += 1
        if fate == _CHOSEN:
            yield example
        else:
            skipped.add(reasons[fate], f"{example.source}/{example.id}")
    if num_read != len(captions.draws):
        raise ValueError(_other_examples(f"{num_read} examples instead of {len(captions.draws)}"))


def spacy_noun_phrases(model: str = "en_core_web_sm", *, num_processes: int = 1) -> Parser:
    """A parser that gives the noun phrases of each caption.

    Args:
        model: the name or folder of a pipeline with a tagger and a parser, in any language for which spaCy has noun
            chunks.
    Raises:
        ImportError: spaCy or the model is not installed. The message says how to install both.
        ValueError: the pipeline has no parser, or spaCy has no noun chunks for its language.
    """
    pipeline = _load_pipeline(model)

    def parse(captions: Sequence[str]) -> Iterator[Sequence[str]]:
        with pipeline.memory_zone():  # forgets the words of these captions afterwards; web captions never run out
            yield from map(_noun_phrases, pipeline.pipe(captions, n_process=num_processes))

    return parse


@dataclass
class _Captions:
    """All captions as integers. `phrases` lists the phrases caption by caption; a caption's end at its `ends`."""

    draws: array = field(default_factory=lambda: array("Q"))
    ends: array = field(default_factory=lambda: array("Q"))
    phrases: array = field(default_factory=lambda: array("I"))
    numbers: dict[str, int] = field(default_factory=dict)  # phrase -> number, from 0

    def add(self, draw: int, phrases: Iterable[str]) -> None:
        """Add a caption."""
        self.draws.append(draw)
        for phrase in dict.fromkeys(phrases):
            self.phrases.append(self.numbers.setdefault(phrase, len(self.numbers)))
        self.ends.append(len(self.phrases))

    def phrases_of(self, caption: int) -> array:
        """The phrases of a caption by its number."""
        return self.phrases[self.ends[caption - 1] if caption else 0 : self.ends[caption]]


def _read_captions(examples: Iterable[Example], parser: Parser, seed: int) -> _Captions:
    captions = _Captions()
    waiting = iter(examples)
    while batch := list(islice(waiting, PARSED_AT_ONCE)):
        parsed = list(parser([example.target for example in batch]))
        if len(parsed) != len(batch):
            raise ValueError(
                f"The parser gave the noun phrases of {len(parsed)} captions, expected those of {len(batch)}. "
                "Return a sequence for each caption, an empty one if it has no noun phrase."
            )
        for example, phrases in zip(batch, parsed, strict=True):
            captions.add(_draw(example, seed), phrases)
    return captions


def _draw(example: Example, seed: int) -> int:
    """A phrase takes its captions in the order of these numbers."""
    return stable_random(seed, "noun phrases", example.source, example.id).getrandbits(64)


def _decide(captions: _Captions, min_captions: int, max_captions: int, *, as_released: bool) -> bytearray:
    """The outcome of each caption.

    Shape suffixes: N = captions, P = distinct phrases, M = occurrences of phrases in captions.
    """
    # the phrases with enough captions, and the captions that have one
    counts_P = np.bincount(np.frombuffer(captions.phrases, dtype=np.uint32), minlength=len(captions.numbers))
    phrases_M, captions_M = _frequent_entries(captions, counts_P >= min_captions)
    fates = _fates_before_drawing(captions, captions_M)
    # each phrase's captions in drawing order, the rarest phrase first
    by_rarity = _frequent_by_rarity(captions.numbers, counts_P, min_captions)
    num_taken = [0] * len(captions.numbers)
    candidates = _candidates(captions, by_rarity, counts_P, phrases_M, captions_M)
    # a caption that is taken counts for all of its phrases
    for phrase, drawn in zip(by_rarity, candidates, strict=True):
        # Captions taken for other phrases already count, so the first `max_captions` candidates are enough.
        for caption in drawn[:max_captions].tolist():
            if num_taken[phrase] >= max_captions and not as_released:
                break
            if fates[caption] != _CHOSEN:
                fates[caption] = _CHOSEN
                for other in captions.phrases_of(caption):
                    num_taken[other] += 1
    return fates


def _frequent_entries(captions: _Captions, is_frequent_P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frequent phrases in captions, and the captions that contain them: (M,) and (M,)."""
    phrases_M = np.frombuffer(captions.phrases, dtype=np.uint32)
    num_phrases_N = _num_phrases(captions)
    is_frequent_M = is_frequent_P[phrases_M]
    captions_M = np.repeat(np.arange(len(num_phrases_N), dtype=np.uint32), num_phrases_N)
    return phrases_M[is_frequent_M], captions_M[is_frequent_M]


def _num_phrases(captions: _Captions) -> np.ndarray:
    """The number of phrases of each caption: (N,)."""
    ends_N = np.frombuffer(captions.ends, dtype=np.int64)
    return ends_N - np.concatenate([np.zeros(1, dtype=np.int64), ends_N[:-1]])


def _fates_before_drawing(captions: _Captions, captions_M: np.ndarray) -> bytearray:
    fates_N = np.where(_num_phrases(captions) > 0, _RARE, _NO_PHRASE).astype(np.uint8)
    fates_N[captions_M] = _ENOUGH
    return bytearray(fates_N.tobytes())


def _frequent_by_rarity(numbers: dict[str, int], counts_P: np.ndarray, min_captions: int) -> list[int]:
    """The phrases with enough captions, rarest first; equally rare ones in alphabetical order."""
    frequent = [(int(counts_P[n]), phrase, n) for phrase, n in numbers.items() if counts_P[n] >= min_captions]
    return [number for _, _, number in sorted(frequent)]


def _candidates(
    captions: _Captions, by_rarity: list[int], counts_P: np.ndarray, phrases_M: np.ndarray, captions_M: np.ndarray
) -> Iterator[np.ndarray]:
    """The captions of each phrase of `by_rarity`, in drawing order."""
    positions_P = np.zeros(len(counts_P), dtype=np.uint32)
    positions_P[by_rarity] = np.arange(len(by_rarity))
    draws_M = np.frombuffer(captions.draws, dtype=np.uint64)[captions_M]
    ordered_M = captions_M[np.lexsort((draws_M, positions_P[phrases_M]))]
    ends = np.cumsum(counts_P[by_rarity])
    return (ordered_M[end - counts_P[phrase] : end] for phrase, end in zip(by_rarity, ends, strict=True))


def _check_same(example: Example, number: int, captions: _Captions, seed: int) -> None:
    if number >= len(captions.draws) or _draw(example, seed) != captions.draws[number]:
        raise ValueError(_other_examples(f"{example.name} at position {number}"))


def _other_examples(what: str) -> str:
    return (
        f"The second pass over the examples gave {what}, which the first did not. `examples` must return a fresh "
        "iterator over the same examples on every call: `lambda: read_capfilt(path)`."
    )


def _noun_phrases(parsed: Any) -> list[str]:
    """The noun phrases of a parsed caption (a `spacy.tokens.Doc`), in order, each once."""
    phrases = []
    for chunk in parsed.noun_chunks:
        naming = list(dropwhile(lambda token: token.pos_ in NOT_NAMING, chunk))
        if naming:
            phrases.append(normal_text(parsed[naming[0].i : chunk.end].text))
    return list(dict.fromkeys(phrases))


def _load_pipeline(model: str) -> Any:
    how = f"`pip install spacy` and `python -m spacy download {model}`, or pass your own `parser`"
    try:
        import spacy
    except ImportError as error:
        raise ImportError(f"Finding noun phrases needs spaCy, which is not installed: {how}.") from error
    try:
        pipeline = spacy.load(model, exclude=UNUSED_PARTS)
    except OSError as error:
        raise ImportError(f"spaCy has no model {model!r} here: {how}.") from error
    if pipeline.vocab.get_noun_chunks is None:
        raise ValueError(f"spaCy finds no noun chunks in {pipeline.lang!r}, the language of {model!r}. {how}.")
    if not pipeline("A dog sits on a couch.").has_annotation("DEP"):
        raise ValueError(
            f"The pipeline {model!r} has the parts {pipeline.pipe_names}, expected a parser among them: {how}."
        )
    return pipeline
