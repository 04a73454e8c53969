"""Each count equally often, one right answer in English, whatever language asks about the same images."""

from collections import Counter

import pytest

from mblip.evaluation.protocol import Setup
from scenes.counts import CANDIDATES, draw_counted, scene_counts
from scenes.world import is_held_out


def task(**changes):
    return scene_counts(Setup(), **{"languages": ("en", "sw"), "num_images": 5} | changes)


def test_every_count_is_right_equally_often_in_every_language():
    examples = task().examples
    counts = Counter((example.language, *example.references) for example in examples)
    assert counts == {(language, count): 5 for language in ("en", "sw") for count in CANDIDATES}


def test_the_question_is_asked_in_each_language_and_answered_in_english():
    examples = task(num_images=1).examples
    english, swahili = examples[0], examples[1]
    assert english.prompt.startswith("Question: How many ")
    assert swahili.prompt.startswith("Question: ")
    assert swahili.prompt != english.prompt
    assert all(example.prompt.endswith("? Short answer in English:") for example in examples)
    assert english.image_id == swahili.image_id
    assert english.references == swahili.references


def test_the_answer_is_the_number_of_things_in_the_group_that_is_asked_for():
    for number in range(12):
        image = draw_counted(number, seed=0)
        example = task(languages=("en",), num_images=4).examples[number]
        group = image.scene.groups[image.position]
        assert example.references == (CANDIDATES[group.count - 1],)
        assert group.shape in example.prompt
        assert is_held_out(image.scene)


def test_image_number_i_of_a_seed_is_the_same_however_many_are_asked_for():
    few, many = task(num_images=1).examples, task(num_images=2).examples
    assert [(e.id, e.prompt, e.references, e.images[0].tobytes()) for e in few] == [
        (e.id, e.prompt, e.references, e.images[0].tobytes()) for e in many[: len(few)]
    ]
    assert task(seed=1).examples[0].images[0].tobytes() != few[0].images[0].tobytes()


def test_without_content_the_question_stays():
    ranked = task(rank_by="calibrated")
    assert (ranked.answering, ranked.rank_by) == ("rank", "calibrated")
    assert all(example.content_free == example.prompt for example in ranked.examples)


@pytest.mark.parametrize("changes", [{"num_images": 0}, {"languages": ("xx",)}])
def test_what_cannot_be_asked_is_an_error(changes):
    with pytest.raises(ValueError, match=r"xx|expected at least one image of each count"):
        task(**changes)
