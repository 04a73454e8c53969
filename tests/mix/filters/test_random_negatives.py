"""Wrong captions drawn at random: of another image, in other words, and the same ones every time."""

from collections import Counter

from mblip.data.example import Example
from mblip.mix.filters.negatives import RandomNegatives


def caption(number, text, image_id, language="en"):
    return Example((f"{image_id}.jpg",), "", text, language, "captioning", "made_up", str(number), image_id)


CAPTIONS = [
    caption(0, "a dog", "x"),
    caption(1, "a brown dog", "x"),
    caption(2, "A dog!", "y"),
    caption(3, "a cat", "y"),
    caption(4, "a bus", "z"),
]


def test_a_wrong_caption_is_of_another_image_and_in_other_words():
    drawn = Counter(RandomNegatives(CAPTIONS, seed=seed)(CAPTIONS[0]).text for seed in range(200))
    assert set(drawn) == {"a cat", "a bus"}
    assert min(drawn.values()) > 60


def test_a_wrong_caption_is_in_the_language_of_the_right_one():
    german = [caption(5, "ein Bus", "x", "de"), caption(6, "ein Hund", "y", "de"), caption(7, "eine Katze", "z", "de")]
    drawn = {RandomNegatives([*CAPTIONS, *german], seed=seed)(german[0]).text for seed in range(50)}
    assert drawn == {"ein Hund", "eine Katze"}


def test_a_wrong_caption_says_where_it_is_from_and_is_the_same_again():
    first, again = (RandomNegatives(CAPTIONS, seed=3)(CAPTIONS[4]) for _ in range(2))
    assert first == again
    (source,) = [one for one in CAPTIONS if one.id == first.provenance["negative.id"]]
    assert first.text == source.target
    assert first.provenance == {"negative.rank": "random", "negative.source": "made_up", "negative.id": source.id}


def test_where_there_is_no_wrong_caption_there_is_none():
    assert RandomNegatives(CAPTIONS[:3], seed=0)(CAPTIONS[0]) is None
    assert RandomNegatives([], seed=0)(CAPTIONS[0]) is None
