"""Every metric of texts names the one that is none, and which image or answer it belongs to."""

import pytest

from mblip.evaluation.metrics.caption_scores import score_captions
from mblip.evaluation.metrics.chair import score_chair
from mblip.evaluation.metrics.choice_accuracy import score_choices
from mblip.evaluation.metrics.chrf import chrf
from mblip.evaluation.metrics.gqa_accuracy import score_gqa
from mblip.evaluation.metrics.language_fidelity import language_fidelity
from mblip.evaluation.metrics.maxm_accuracy import score_maxm
from mblip.evaluation.metrics.vqa_accuracy import score_vqa
from mblip.evaluation.metrics.yes_no import score_yes_no

PAIRS = [score_gqa, score_yes_no, lambda answers, references: score_choices(answers, references, ["yes", "no"])]


@pytest.mark.parametrize("found", [None, 5, float("nan"), b"a", ["a"]])
@pytest.mark.parametrize("score", [score_captions, chrf])
def test_a_caption_that_is_no_text_names_its_image(score, found):
    with pytest.raises(TypeError, match=r"^The hypothesis of image 1 is .*, expected text"):
        score(["a dog", found], [["a dog"], ["a cat"]])
    with pytest.raises(TypeError, match=r"^Reference 1 of image 0 is .*, expected text"):
        score(["a dog", "a cat"], [["a dog", found], ["a cat"]])


@pytest.mark.parametrize("score", [score_captions, chrf])
def test_a_caption_with_half_a_character_names_its_image(score):
    with pytest.raises(ValueError, match=r"^Reference 0 of image 1 holds half a character \(a lone surrogate\)"):
        score(["a dog", "a cat"], [["a dog"], ["a \ud800"]])


def test_no_list_of_references_names_its_image():
    with pytest.raises(ValueError, match="Image 1: found None, expected a list of at least one reference"):
        score_captions(["a dog", "a cat"], [["a dog"], None])


@pytest.mark.parametrize("score", [score_vqa, score_maxm])
def test_an_answer_or_reference_that_is_no_text_is_named(score):
    with pytest.raises(TypeError, match=r"^Answer 1 is None, expected text"):
        score(["yes", None], [["yes"] * 10] * 2)
    with pytest.raises(TypeError, match=r"^Reference 9 of answer 0 is 5, expected text"):
        score(["yes", "no"], [["yes"] * 9 + [5], ["no"] * 10])
    with pytest.raises(TypeError, match=r"^The reference of answer 1 is None, expected text"):
        score(["yes", "no"], [["yes"] * 10, None])


@pytest.mark.parametrize("score", PAIRS)
def test_a_pair_that_is_no_text_is_named(score):
    with pytest.raises(TypeError, match=r"^Answer 1 is 5, expected text"):
        score(["yes", 5], ["yes", "no"])
    with pytest.raises(TypeError, match=r"^The reference of answer 0 is None, expected text"):
        score(["yes", "no"], [None, "no"])


def test_outputs_and_captions_of_objects_are_named_too():
    with pytest.raises(TypeError, match=r"^Output 1 is None, expected text"):
        language_fidelity(["a dog", None], "en")
    with pytest.raises(TypeError, match=r"^Answer 0 is None, expected text"):
        score_chair([None], [{"dog"}], {"dog": "dog"})
