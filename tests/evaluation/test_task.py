"""A task checks its examples when it is made, before any model is asked."""

import pytest
from PIL import Image
from table_model import example

from mblip.evaluation import EvaluationTask, ExactMatch, GenerationSettings, Setup, fixed_prompt


def task_of(*examples):
    return EvaluationTask("numbers", examples, ExactMatch(), GenerationSettings(max_new_tokens=4), "own")


def grey(level, size=2):
    return Image.new("RGB", (size, size), (level, level, level))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((grey(1),), (grey(2),)),
        ((grey(1),), (grey(1, size=3),)),
        ((grey(1),), (grey(1), grey(1))),
        ((grey(1),), ()),
        (("a.jpg",), ("b.jpg",)),
    ],
)
def test_one_image_id_for_different_images_is_an_error(first, second):
    message = r"'two' and 'one' share the `image_id` 'photo' but show different images\. Give each image set"
    with pytest.raises(ValueError, match=message):
        task_of(
            example(0, id="one", image_id="photo", images=first), example(0, id="two", image_id="photo", images=second)
        )


@pytest.mark.parametrize(
    ("first", "second"), [((grey(1),), (grey(1),)), (("a.jpg",), ("a.jpg",)), ((b"stored so",), (b"or so",))]
)
def test_examples_share_the_images_of_one_image_id(first, second):
    task = task_of(
        example(0, id="one", image_id="photo", images=first), example(0, id="two", image_id="photo", images=second)
    )
    assert len(task.examples) == 2


def test_a_metric_of_your_own_that_lacks_something_is_an_error_before_a_model_is_asked():
    class Length:
        main, description, is_share = "length", "number of letters", False

        def score(self, examples, outputs):
            raise AssertionError

    with pytest.raises(ValueError, match=r"numbers, Length, has no greater_is_better, others\. .*`others = \{\}`"):
        EvaluationTask("numbers", (example(0),), Length(), GenerationSettings(max_new_tokens=4), "own")


def test_an_unknown_language_is_an_error_that_names_it():
    with pytest.raises(ValueError, match=r"'xx'"):
        task_of(example(0), example(1, language="xx"))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"answering": "ranked"}, r"`answering: ranked` is unknown\. Did you mean `rank`\?"),
        ({"answering": "foo"}, r"`answering: foo` is unknown\. Expected one of generate, constrained, rank\."),
        ({"answering": "rank", "rank_by": "means"}, r"`rank_by: means` is unknown\. Did you mean `mean`\?"),
    ],
)
def test_an_unknown_way_of_answering_is_an_error_that_names_the_nearest(choice, message):
    examples = [example(0, candidates=("yes", "no"))]
    with pytest.raises(ValueError, match=message):
        EvaluationTask("numbers", examples, ExactMatch(), GenerationSettings(max_new_tokens=4), "own", **choice)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"protocol": "papers"}, r"`protocol: papers` is unknown\. Did you mean `paper`\?"),
        ({"language_names": "training"}, r"`language_names: training` is unknown\. Did you mean `trained`\?"),
        ({"missing_images": "skipped"}, r"`missing_images: skipped` is unknown\. Did you mean `skip`\?"),
    ],
)
def test_an_unknown_choice_of_the_setup_is_an_error_that_names_the_nearest(choice, message):
    with pytest.raises(ValueError, match=message):
        Setup(**choice)


def test_an_unknown_template_of_a_fixed_prompt_is_an_error_that_names_the_nearest():
    with pytest.raises(ValueError, match=r"`template: heldout` is unknown\. Did you mean `held_out`\?"):
        fixed_prompt("captioning", "sw", "heldout")
