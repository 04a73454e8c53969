"""Captions that nearly repeat an earlier one are skipped, in any script, alike in every process."""

import os
import random
import subprocess
import sys
from itertools import combinations, count
from pathlib import Path

import numpy as np
import pytest

from mblip.data.example import Example
from mblip.data.normal_text import normal_text
from mblip.data.skipped import SkipReport
from mblip.mix.filters.minhash import (
    BandIndex,
    band_hashes,
    jaccard,
    num_rows_of_bands,
    shingle_hashes,
    shingles,
    signatures,
)
from mblip.mix.filters.near_duplicates import drop_near_duplicates
from mblip.mix.filters.noun_phrases import select_by_noun_phrases

ROOT = Path(__file__).parents[3]
TEXTS = [
    "two dogs play with a ball on the grass",
    "two dogs playing with a ball on the grass",
    "zwei hunde spielen im gras",
    "一只狗坐在红色的沙发上",
    "一只猫坐在红色的沙发上",
    "赤いソファに座っている犬",
    "빨간 소파에 앉아 있는 개",
    "สุนัขนั่งอยู่บนโซฟาสีแดง",
    "एक कुत्ता लाल सोफे पर बैठा है",
    "كلب يجلس على أريكة حمراء",
    "iphone 手机 on a table",
    "a",
    "中",
    "dog",
    "ab中",
    "🐶🐶🐶",
]


def caption(number, text, language="en"):
    return Example((f"{number}.jpg",), "", text, language, "captioning", "made_up", str(number), f"made_up/{number}")


def kept(texts, **options):
    examples = (caption(number, text) for number, text in enumerate(texts))
    return [example.target for example in drop_near_duplicates(examples, **options)]


def made_up_captions(num_captions, seed=0):
    """Captions of a small vocabulary, half of them an earlier one as it is or with a letter changed."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefgh", k=draw.randint(2, 7))) for _ in range(200)]
    captions = []
    while len(captions) < num_captions:
        if captions and draw.random() < 0.5:
            text = draw.choice(captions)
            position = draw.randrange(len(text))
            captions.append(text[:position] + draw.choice(["x", "", text[position]]) + text[position + 1 :])
        else:
            captions.append(" ".join(draw.choices(words, k=draw.randint(4, 10))))
    return captions


def test_the_first_of_captions_that_are_nearly_equal_stays_in_the_order_they_came():
    texts = [
        "A dog sits on a red couch.",
        "two dogs play with a ball on the grass in a park near the river",
        "a dog  sits on a RED couch",
        "a cat sits on a red couch",
        "two dogs playing with a ball on the grass in a park near the river",
        "一只狗坐在红色的沙发上",
        "一只狗,坐在红色的沙发上。",
    ]
    assert kept(texts) == [texts[0], texts[1], texts[3], texts[5]]


def test_what_is_skipped_is_counted_and_named():
    skipped = SkipReport()
    kept(["a dog asleep", "a man", "A dog asleep!", "a dog, asleep"], threshold=0.9, skipped=skipped)
    reason = "caption nearly repeats an earlier one (similarity 0.9 or more)"
    assert dict(skipped.counts) == {reason: 2}
    assert skipped.names == {reason: ["made_up/2", "made_up/3"]}


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("A dog,  asleep.", "a dog asleep"),
        ("ＤＯＧ\u3000ｓｔｒａßｅ", "dog strasse"),
        ("Cafe\u0301", "café"),
        ("black-and-white\n“photo”", "black and white photo"),
        ("می\u200cخواهم", "میخواهم"),
        ("हिन्दी।", "हिन्दी"),
        ("🐶 + 1€", "🐶 + 1€"),
        ("一只狗,坐在 沙发上。ok", "一只狗坐在沙发上ok"),
        ("빨간 소파", "빨간 소파"),
        ("?!", "?!"),
        ("", ""),
    ],
)
def test_texts_are_compared_without_case_punctuation_spacing_and_composition(text, normal):
    assert normal_text(text) == normal


def test_shingles_are_four_characters_or_two_from_a_syllable_on():
    assert shingles("abcde") == {"abcd", "bcde"}
    assert shingles("红色ab") == {"红色", "色a"}
    assert shingles("빨간 소") == {"빨간", "간 "}
    assert shingles("สุนัข") == {"สุนั", "ุนัข"}
    assert shingles("ab中") == {"ab中"}


def test_the_hashed_shingles_are_the_shingles():
    hashes_S, starts_T = shingle_hashes(TEXTS)
    hashed = [set(part.tolist()) for part in np.split(hashes_S, starts_T[1:])]
    assert len(hashed) == len(TEXTS)
    for (text, own), (other_text, other) in combinations(zip(TEXTS, hashed, strict=True), 2):
        assert (len(own), len(own & other)) == (len(shingles(text)), len(shingles(text) & shingles(other_text)))


def test_an_empty_text_has_no_shingles():
    with pytest.raises(ValueError, match="Text 1 of the batch is empty"):
        shingle_hashes(["a dog", ""])


def test_signatures_agree_in_the_share_that_sets_have_in_common():
    texts = made_up_captions(200)
    signatures_TH = signatures(texts, 512)
    errors = [
        np.mean(signatures_TH[i] == signatures_TH[j]) - jaccard(shingles(texts[i]), shingles(texts[j]))
        for i, j in combinations(range(200), 2)
    ]
    assert len(errors) == 19900
    assert abs(np.mean(errors)) < 0.002
    assert max(map(abs, errors)) < 0.12  # five standard deviations of a mean of 512 draws


def test_a_signature_does_not_depend_on_the_texts_beside_it():
    together = signatures(TEXTS, 16)
    alone = np.concatenate([signatures([text], 16) for text in TEXTS])
    np.testing.assert_array_equal(together, alone)
    assert together[2].tolist()[:2] == [405766164, 101457101]


def test_equal_minima_in_different_bands_are_no_reason_to_compare():
    minima_TH = np.array([[1, 2, 3, 4], [3, 4, 1, 2], [1, 2, 9, 9]], dtype=np.uint32)
    hashes_TB = band_hashes(minima_TH, 2)
    assert hashes_TB.shape == (3, 2)
    assert hashes_TB[0, 0] == hashes_TB[2, 0]
    assert len(set(hashes_TB.flatten().tolist())) == 5


@pytest.mark.parametrize(("threshold", "rows"), [(0.5, 3), (0.8, 7), (0.9, 12), (1.0, 128)])
def test_the_more_alike_texts_must_be_the_more_rows_a_band_has(threshold, rows):
    assert num_rows_of_bands(threshold, 128, 0.95) == rows


def test_a_threshold_too_low_to_be_found_is_an_error():
    with pytest.raises(ValueError, match=r"No bands of 128 hashes find 95% of the pairs of similarity 0.02"):
        num_rows_of_bands(0.02, 128, 0.95)


def test_the_index_finds_what_a_dictionary_finds_while_it_grows():
    draw = random.Random(0)
    index, plain = BandIndex(num_bands=3), {}
    for number in range(6000):
        hashes = [draw.randrange(2**32) if draw.random() < 0.5 else draw.randrange(3000) for _ in range(3)]
        assert index.candidates(hashes) == {found for hash_ in hashes for found in plain.get(hash_, ())}
        index.add(hashes)
        for hash_ in hashes:
            plain.setdefault(hash_, set()).add(number)
    assert len(index._latest) == 32768  # grown three times


@pytest.mark.parametrize("threshold", [0.6, 0.8, 1.0])
def test_no_caption_is_skipped_wrongly_and_few_are_missed(threshold):
    texts = made_up_captions(600)
    examples = [caption(number, text) for number, text in enumerate(texts)]
    stayed = {int(example.id) for example in drop_near_duplicates(examples, threshold=threshold)}
    sets = [shingles(normal_text(text)) for text in texts]
    nearest = [max((jaccard(sets[i], sets[j]) for j in range(i) if j in stayed), default=0.0) for i in range(600)]
    gone = set(range(600)) - stayed
    missed = [i for i in stayed if nearest[i] >= threshold]
    assert len(gone) > 50
    assert min(nearest[i] for i in gone) >= threshold
    assert len(missed) <= 0.02 * len(gone)


def test_captions_stream_through():
    endless = (caption(number, f"caption number {number}") for number in count())
    assert next(drop_near_duplicates(endless, threshold=1.0)).id == "0"


@pytest.mark.parametrize("threshold", [0, 1.1, -1])
def test_a_threshold_that_is_no_similarity_is_an_error(threshold):
    with pytest.raises(ValueError, match=rf"Found the threshold {threshold}, expected a Jaccard similarity above 0"):
        kept(["a dog"], threshold=threshold)


def left_after_both_filters():
    examples = [caption(number, text) for number, text in enumerate(made_up_captions(2000))]
    by_words = select_by_noun_phrases(
        lambda: examples, parser=lambda texts: map(str.split, texts), max_captions=12, seed=0
    )
    return [example.id for example in drop_near_duplicates(by_words, threshold=0.7)]


@pytest.mark.slow
def test_another_process_with_another_hash_seed_leaves_out_the_same():
    code = "from tests.mix.filters.test_near_duplicates import *; print(left_after_both_filters())"
    here = left_after_both_filters()
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "1"})
    assert printed.decode().strip() == str(here)
    assert 200 < len(here) < 1500
