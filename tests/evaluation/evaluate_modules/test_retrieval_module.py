"""Recall at k as a module: the values are those of the function."""

import pytest

SCORES = [[0.9, 0.2, 0.4], [0.1, 0.3, 0.2]]


def test_both_directions(load_module):
    found = load_module("retrieval_recall").compute(predictions=SCORES, references=[[0, 1], [2]], ks=[1, 2])
    assert found == {
        "image_to_text": {"recall_at_1": 0.5, "recall_at_2": 1.0, "median_place": 1.5, "places": [1, 2]},
        "text_to_image": {
            "recall_at_1": pytest.approx(1 / 3),
            "recall_at_2": 1.0,
            "median_place": 2.0,
            "places": [1, 2, 2],
        },
    }


def test_a_pair_that_was_not_scored_is_never_found(load_module):
    scores = [[float("-inf"), 0.2], [0.1, 0.3]]
    found = load_module("retrieval_recall").compute(predictions=scores, references=[[0], [1]], ks=[2])
    assert found["image_to_text"]["places"] == [3, 1]


def test_a_caption_of_two_images_is_an_error(load_module):
    with pytest.raises(ValueError, match="expected each one from 0 to 2 once"):
        load_module("retrieval_recall").compute(predictions=SCORES, references=[[0, 1], [1]])
