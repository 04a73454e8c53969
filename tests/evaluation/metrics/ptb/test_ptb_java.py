"""The PTB tokenizer against pycocoevalcap's own, run by Java: on every text of the sample data, and on random ones."""

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mblip.evaluation.metrics.ptb import ptb_tokenize
from tests.evaluation.metrics.ptb import test_ptb_tokenizer as written_out
from tests.evaluation.metrics.ptb.nasty_texts import OTHER_LINE_ENDS, nasty_text, scrambled_text

tokenizer = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer", reason="pycocoevalcap is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java to run pycocoevalcap's tokenizer with"),
]

SAMPLES = Path(os.environ.get("MBLIP_DATA", Path(__file__).parents[4] / ".." / "shared" / "data"))


def by_java(texts: list[str]) -> list[list[str]]:
    """The tokens by pycocoevalcap's tokenizer, of which every text is an image with one caption."""
    found = tokenizer.PTBTokenizer().tokenize({position: [{"caption": text}] for position, text in enumerate(texts)})
    return [[token for token in found[position][0].split(" ") if token] for position in range(len(texts))]


def differences(texts: list[str]) -> list[tuple[str, list[str], list[str]]]:
    """Every text of which the tokens differ, with those by Java and ours."""
    triples = zip(texts, by_java(texts), ptb_tokenize(texts), strict=True)
    return [(text, expected, found) for text, expected, found in triples if expected != found]


def strings(value: Any) -> Iterator[str]:
    """Every string in something read from JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)


def sample_texts() -> Iterator[str]:
    """The strings of all records, and the lines of all other texts."""
    for path in sorted(SAMPLES.rglob("*")):
        has_records = path.suffix == ".jsonl" or path.parent.parts[-2:] == ("output", "coco")
        if has_records or path.suffix in (".txt", ".md", ".csv"):
            lines = path.read_text(encoding="utf-8").split("\n")
            yield from (
                text for line in lines if line for text in (strings(json.loads(line)) if has_records else [line])
            )
        elif path.suffix == ".json":
            yield from strings(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no samples: set MBLIP_DATA to a folder with published corpora")
def test_every_text_of_the_samples_has_the_tokens_of_java():
    texts = [text.translate(OTHER_LINE_ENDS) for text in dict.fromkeys(sample_texts())]
    assert len(texts) > 100_000
    assert differences(texts) == []


@pytest.mark.parametrize("seed", range(3))
def test_random_texts_have_the_tokens_of_java_but_for_sigmas_beside_marks(seed):
    rng = random.Random(seed)
    found = differences([text for _ in range(50_000) for text in (nasty_text(rng), scrambled_text(rng))])
    assert [one for one in found if "\u03a3" not in one[0]] == []
    assert len(found) < 5


def test_what_is_written_out_is_what_java_gives():
    groups = [group for name, group in vars(written_out).items() if name.isupper() and isinstance(group, dict)]
    pairs = [pair for group in groups for pair in group.items()]
    assert len(pairs) > 80
    # A neutral text behind each, as if there were only one.
    found = by_java([text for pair in pairs for text in (pair[0], "x")])[::2]
    assert [(text, " ".join(tokens)) for (text, _), tokens in zip(pairs, found, strict=True)] == pairs


@pytest.mark.parametrize(("texts", "expected"), written_out.NEIGHBOURS)
def test_what_is_written_out_of_neighbours_is_what_java_gives(texts, expected):
    assert [" ".join(tokens) for tokens in by_java(texts)] == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["one\rtwo", "three", "four"], [["one"], ["two"], ["three"]]),
        (["<a b='x", "c'> d"], [["<a\u00a0b='x"], ["c'>", "d"]]),
        (["^.[^x= a", "b <>] c", "d"], [["^.[^x=", "a"], ["b", "<>]", "c"], ["d"]]),
        (["\u0391\u03a3\u093eX"], [["\u03b1\u03c3\u093ex"]]),
    ],
)
def test_the_differences_that_are_named_are_there(texts, expected):
    assert by_java(texts) == expected
    assert ptb_tokenize(texts) != expected
