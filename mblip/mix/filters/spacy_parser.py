"""Noun phrases found by spaCy, for `select_by_noun_phrases`.

A phrase is a noun chunk in normal form (lower case, no punctuation) without the determiners and pronouns in front:
"the Two dogs" and "two dogs" are one, "it" is none. Words are not reduced to lemmas: "two dogs" and "a dog" look
different in a picture, and neither the original nor LLaVA did so. The original took out all of NLTK's stop words,
within phrases too.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import dropwhile
from typing import Any

from mblip.data.normal_text import normal_text

NOT_NAMING = frozenset({"DET", "PRON", "PUNCT", "SPACE"})  # parts of speech that a phrase does not begin with
UNUSED_PARTS = ("ner", "lemmatizer")


def spacy_noun_phrases(
    model: str = "en_core_web_sm", *, num_processes: int = 1
) -> Callable[[Sequence[str]], Iterator[Sequence[str]]]:
    """A parser that gives the noun phrases of each caption.

    Args:
        model: the name or folder of a pipeline with a tagger and a parser, of any language for which spaCy finds
            noun chunks.

    Raises:
        ImportError: spaCy or the model is not installed; the message tells how to install both.
        ValueError: the pipeline does not parse, or spaCy has no noun chunks for its language.
    """
    pipeline = _load(model)

    def parse(captions: Sequence[str]) -> Iterator[Sequence[str]]:
        return map(noun_phrases, pipeline.pipe(captions, n_process=num_processes))

    return parse


def noun_phrases(parsed: Any) -> list[str]:
    """The noun phrases of a parsed caption (a `spacy.tokens.Doc`), in their order, each once."""
    phrases = []
    for chunk in parsed.noun_chunks:
        naming = list(dropwhile(lambda token: token.pos_ in NOT_NAMING, chunk))
        if naming:
            phrases.append(normal_text(parsed[naming[0].i : chunk.end].text))
    return list(dict.fromkeys(phrases))


def _load(model: str) -> Any:
    how = f"`pip install spacy` and `python -m spacy download {model}`, or give `parser` one of your own"
    try:
        import spacy
    except ImportError as error:
        raise ImportError(f"Finding noun phrases takes spaCy, which is not installed: {how}.") from error
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
