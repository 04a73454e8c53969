import pytest
from table_model import example

from mblip.evaluation.benchmark import derangement, with_shuffled_images


@pytest.mark.parametrize("num_things", [2, 3, 5, 200])
@pytest.mark.parametrize("seed", range(5))
def test_a_derangement_moves_everything_and_loses_nothing(num_things, seed):
    order = derangement(num_things, seed=seed)
    assert sorted(order) == list(range(num_things))
    assert all(position != thing for position, thing in enumerate(order))


def test_one_thing_cannot_be_shuffled():
    with pytest.raises(ValueError, match=r"Found 1 image set\(s\) to shuffle, expected at least 2"):
        derangement(1, seed=0)


def test_every_prompt_sees_another_image_and_keeps_its_own_references():
    examples = [example(number, language=language) for number in range(4) for language in ("en", "sw")]
    shuffled = with_shuffled_images(examples, seed=3)
    assert {entry.condition for entry in shuffled} == {"shuffled"}
    for before, after in zip(examples, shuffled, strict=True):
        assert (after.prompt, after.references, after.id) == (before.prompt, before.references, before.id)
        assert after.image_id != before.image_id
        assert after.images == example(int(after.image_id.removeprefix("picture-"))).images


def test_all_languages_of_an_image_see_the_same_other_image():
    examples = [example(number, language=language) for number in range(4) for language in ("en", "sw")]
    shuffled = with_shuffled_images(examples, seed=3)
    assert [entry.image_id for entry in shuffled[::2]] == [entry.image_id for entry in shuffled[1::2]]
