"""N-grams as integers: what is counted, what is shared, and which sets are refused."""

import numpy as np
import pytest

from mblip.evaluation.metrics.ngram_counts import count_ngrams

HYPOTHESES = [["b", "a", "b"], ["a"]]
REFERENCES = [[["a", "b"], []], [["c", "a", "a"]]]


def rows(table):
    return list(zip(table.caption.tolist(), table.ngram.tolist(), table.count.tolist(), strict=True))


def test_single_words_are_counted_caption_by_caption_in_alphabetical_order():
    words = count_ngrams(HYPOTHESES, REFERENCES).orders[0]
    assert words.num_ngrams == 3  # a, b, c
    assert rows(words.hypotheses) == [(0, 0, 1), (0, 1, 2), (1, 0, 1)]
    assert rows(words.references) == [(0, 0, 1), (0, 1, 1), (2, 0, 2), (2, 2, 1)]


def test_longer_ngrams_do_not_cross_from_one_caption_into_the_next():
    _, pairs, triples, fours = count_ngrams(HYPOTHESES, REFERENCES).orders
    # aa, ab, ba, ca
    assert rows(pairs.hypotheses) == [(0, 1, 1), (0, 2, 1)]
    assert rows(pairs.references) == [(0, 1, 1), (2, 0, 1), (2, 3, 1)]
    assert (triples.num_ngrams, fours.num_ngrams) == (2, 0)
    assert rows(fours.hypotheses) == rows(fours.references) == []


def test_shared_rows_are_those_of_one_image():
    words = count_ngrams(HYPOTHESES, REFERENCES).orders[0]
    shared = zip(words.shared_hypotheses.tolist(), words.shared_references.tolist(), strict=True)
    assert list(shared) == [(0, 0), (1, 1), (2, 2)]


def test_lengths_and_images_of_references_follow_the_images():
    counts = count_ngrams(HYPOTHESES, REFERENCES)
    assert counts.hypothesis_lengths.tolist() == [3, 1]
    assert counts.reference_lengths.tolist() == [2, 0, 3]
    assert counts.reference_images.tolist() == [0, 0, 1]
    assert counts.num_images == 2


def test_a_token_with_a_no_break_space_is_two_words():
    counts = count_ngrams([["1\u00a01/2", "cups"]], [[["1", "1/2", "cups"]]])
    assert counts.hypothesis_lengths.tolist() == counts.reference_lengths.tolist() == [3]
    assert len(counts.orders[2].shared_references) == 1


def test_a_set_without_any_word_is_counted():
    counts = count_ngrams([[]], [[[], []]])
    assert [order.num_ngrams for order in counts.orders] == [0, 0, 0, 0]
    assert counts.reference_lengths.tolist() == [0, 0]


def test_ngrams_are_found_among_many_captions_as_by_hand():
    draw = np.random.default_rng(0)
    captions = [[f"w{word}" for word in draw.integers(0, 9, length)] for length in draw.integers(0, 12, 60)]
    counts = count_ngrams(captions[:20], [captions[20 + 2 * i : 22 + 2 * i] for i in range(20)])
    for order in range(1, 5):
        spans = [[tuple(words[i : i + order]) for i in range(len(words) - order + 1)] for words in captions]
        different = sorted({ngram for span in spans for ngram in span})
        expected = [
            (number, different.index(ngram), span.count(ngram))
            for number, span in enumerate(spans)
            for ngram in sorted(set(span))
        ]
        found = counts.orders[order - 1]
        references = [(caption + 20, ngram, count) for caption, ngram, count in rows(found.references)]
        assert rows(found.hypotheses) + references == expected
        assert found.num_ngrams == len(different)


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        ([], [], "Found 0 hypotheses and references of 0 images, expected one hypothesis per image, at least"),
        ([["a"]], [[["a"]], [["b"]]], "Found 1 hypotheses and references of 2 images"),
        ([["a"], ["b"]], [[["a"]], []], "Image 1: found no reference, expected a list of at least one"),
    ],
)
def test_images_without_hypothesis_or_reference_are_an_error(hypotheses, references, message):
    with pytest.raises(ValueError, match=message):
        count_ngrams(hypotheses, references)
