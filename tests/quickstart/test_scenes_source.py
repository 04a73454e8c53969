"""The drawn world as a source of examples."""

from collections import Counter

import numpy as np
import pytest

from scenes.languages import SCENE_LANGUAGES
from scenes.source import scenes


def test_an_image_is_the_same_however_many_are_asked_for():
    few, many = list(scenes(1, num_images=2)), list(scenes(1, num_images=5))
    assert [example.target for example in few] == [example.target for example in many[: len(few)]]
    assert np.array_equal(np.asarray(few[-1].images[0]), np.asarray(many[len(few) - 1].images[0]))


def test_another_seed_draws_other_images():
    first, second = list(scenes(1, num_images=1)), list(scenes(2, num_images=1))
    assert first[0].target != second[0].target
    assert first[0].image_id != second[0].image_id


def test_prompts_of_an_image_share_it_and_ask_in_different_languages():
    examples = list(scenes(0, num_images=20, num_prompts=12))
    for start in range(0, len(examples), 12):
        row = examples[start : start + 12]
        assert {id(example.images[0]) for example in row} == {id(row[0].images[0])}
        assert sorted(example.language for example in row) == sorted(SCENE_LANGUAGES)


def test_more_prompts_than_languages_begin_again():
    counts = Counter(example.language for example in scenes(0, num_images=1, num_prompts=4, languages=["sw", "de"]))
    assert counts == {"sw": 2, "de": 2}


def test_about_the_wanted_share_are_questions_with_their_inputs():
    examples = list(scenes(0, num_images=500, num_prompts=2, question_share=0.5))
    questions = [example for example in examples if example.task == "vqa"]
    assert 0.38 < len(questions) / len(examples) < 0.52  # scenes of two groups of one shape have none
    assert all(set(example.inputs) == {"question"} for example in questions)
    assert not any(example.inputs for example in examples if example.task == "captioning")


def test_no_languages_and_unknown_languages_are_errors():
    with pytest.raises(ValueError, match="given no languages, expected some of en, de"):
        next(scenes(0, num_images=1, languages=[]))
    with pytest.raises(ValueError, match="no captions in 'xx'"):
        list(scenes(0, num_images=1, languages=["xx"], question_share=0.0))
