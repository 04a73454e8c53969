"""Recall at k in both directions, with ties against the model and pairs that were not scored."""

import pytest

from mblip.evaluation.metrics.retrieval import image_of_each_caption, score_retrieval

INF = float("inf")


def test_the_first_right_caption_of_an_image_counts():
    scores = [
        [0.9, 0.1, 0.5, 0.2],  # image 0 has captions 0 and 1: place 1
        [0.8, 0.7, 0.3, 0.6],  # image 1 has captions 2 and 3: place 3
    ]
    found = score_retrieval(scores, [0, 0, 1, 1], ks=(1, 2, 3))
    assert found.image_to_text.places == (1, 3)
    assert found.image_to_text.at == {1: 0.5, 2: 0.5, 3: 1.0}
    assert found.text_to_image.places == (1, 2, 2, 1)
    assert found.text_to_image.at == {1: 0.5, 2: 1.0, 3: 1.0}
    assert found.image_to_text.median_place == 2.0


def test_a_model_that_gives_every_pair_one_score_finds_nothing():
    found = score_retrieval([[0.5] * 6] * 3, [0, 0, 1, 1, 2, 2], ks=(1, 2, 4, 5))
    assert found.image_to_text.places == (5, 5, 5)  # behind the four wrong captions
    assert found.image_to_text.at == {1: 0.0, 2: 0.0, 4: 0.0, 5: 1.0}
    assert found.text_to_image.at == {1: 0.0, 2: 0.0, 4: 1.0, 5: 1.0}


def test_right_captions_of_one_score_do_not_stand_before_each_other():
    assert score_retrieval([[0.5, 0.5, 0.1], [0.0, 0.0, 0.2]], [0, 0, 1]).image_to_text.places == (1, 1)


def test_a_pair_that_was_not_scored_is_never_found():
    found = score_retrieval([[-INF, -5.0, -INF], [-INF, -1.0, -INF]], [0, 1, 1], ks=(1, 3))
    assert found.image_to_text.places == (4, 1)
    assert found.text_to_image.places == (3, 1, 3)
    assert found.image_to_text.at == {1: 0.5, 3: 0.5}


def test_wrong_pairs_that_were_not_scored_stand_behind():
    found = score_retrieval([[-2.0, -INF], [-INF, -3.0]], [0, 1])
    assert found.image_to_text.at[1] == found.text_to_image.at[1] == 1.0


@pytest.mark.parametrize(
    ("scores", "images", "ks", "why"),
    [
        ([[0.1, 0.2]], [0], (1,), r"shape \(1, 2\) and 1 captions"),
        ([], [], (1,), "at least one of each"),
        ([[0.1, float("nan")]], [0, 0], (1,), "image 0 with caption 1 is NaN"),
        ([[0.1, 0.2], [0.1, 0.2]], [0, 0], (1,), "Image 1 has no caption"),
        ([[0.1, 0.2]], [0, 3], (1,), "Image 3 has no caption or no scores"),
        ([[0.1]], [0], (0, 5), r"Found the ks \[0, 5\]"),
    ],
)
def test_what_does_not_agree_is_an_error(scores, images, ks, why):
    with pytest.raises(ValueError, match=why):
        score_retrieval(scores, images, ks=ks)


def test_the_captions_of_images_say_which_image_each_caption_has():
    assert image_of_each_caption([[0, 3], [2], [1]]) == [0, 2, 1, 0]


@pytest.mark.parametrize("captions", [[[0, 1], [1]], [[0], [2]], [[1], [-1]]])
def test_every_caption_belongs_to_one_image(captions):
    with pytest.raises(ValueError, match="expected each one from 0 to"):
        image_of_each_caption(captions)
