"""The score of a caption with an image is its log-likelihood per token behind the caption prompt of its language."""

import pytest
import torch
from likelihood_models import encode, model_and_processor, separate_forward

from mblip.evaluation.likelihood.image_text_scores import image_text_scores
from mblip.evaluation.likelihood.ranking import grey_image

CAPTIONS = ("a red circle", "ein Kreis", "a star", "a red circle")
LANGUAGES = ("en", "de", "en", "de")
PROMPTS = ("Caption in English: ", "Caption in German: ", "Caption in English: ", "Caption in German: ")


def per_token(model, processor, image, caption, **images):
    total, num_tokens = separate_forward(model, processor, PROMPTS[caption], [image], CAPTIONS[caption], **images)
    return total / num_tokens


@pytest.mark.parametrize("family", ["t5", "bloom"])
def test_scores_are_log_likelihoods_per_token_in_each_captions_language(family):
    model, processor = model_and_processor(family)
    scores_IC = image_text_scores(model, processor, encode(model, processor), CAPTIONS, languages=LANGUAGES)
    expected = [[per_token(model, processor, image, caption) for caption in range(4)] for image in range(3)]
    torch.testing.assert_close(scores_IC, torch.tensor(expected, dtype=torch.float64), rtol=2e-6, atol=0)


def test_pairs_say_what_is_scored():
    model, processor = model_and_processor("t5")
    features = encode(model, processor)
    every_IC = image_text_scores(model, processor, features, CAPTIONS, languages=LANGUAGES)
    some_IC = image_text_scores(model, processor, features, CAPTIONS, languages=LANGUAGES, pairs=[[0, 3], [], [1]])
    is_scored_IC = torch.tensor([[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]]).bool()
    torch.testing.assert_close(some_IC[is_scored_IC], every_IC[is_scored_IC])
    assert some_IC[~is_scored_IC].isneginf().all()


def test_less_the_content_free_input_a_captions_own_likelihood_does_not_count():
    model, processor = model_and_processor("bloom")
    features, grey = encode(model, processor), [grey_image(processor)]
    plain_IC, less_IC = (
        image_text_scores(model, processor, features, CAPTIONS, languages=LANGUAGES, less_content_free=less)
        for less in (False, True)
    )
    expected_C = [per_token(model, processor, 0, caption, images=grey) for caption in range(4)]
    found_IC = plain_IC - less_IC
    torch.testing.assert_close(found_IC, torch.tensor([expected_C] * 3, dtype=torch.float64), rtol=1e-4, atol=0)


def test_one_language_may_stand_for_all():
    model, processor = model_and_processor("t5")
    features = encode(model, processor)[:1]
    one = image_text_scores(model, processor, features, CAPTIONS[:2], languages="de")
    each = image_text_scores(model, processor, features, CAPTIONS[:2], languages=["de", "de"])
    assert torch.equal(one, each)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"languages": ["en"]}, "Found 4 captions with 1 languages, and 3 images with 3 lists of pairs"),
        ({"pairs": [[0]]}, "Found 4 captions with 4 languages, and 3 images with 1 lists of pairs"),
        ({"languages": "xx"}, "'xx'"),
    ],
)
def test_what_does_not_agree_is_an_error(changes, why):
    model, processor = model_and_processor("t5")
    with pytest.raises(ValueError, match=why):
        image_text_scores(model, processor, encode(model, processor), CAPTIONS, **changes)
