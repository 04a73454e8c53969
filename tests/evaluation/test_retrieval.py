"""Retrieval: which photos are searched, what counts as found, and a run with both kinds of language model."""

import hashlib

import pytest
import torch
from PIL import Image

from mblip.evaluation import EvaluationTask, GenerationSettings, conditions_table
from mblip.evaluation.answer_scoring import ExactMatch
from mblip.evaluation.likelihood.image_text_scores import image_text_scores
from mblip.evaluation.retrieval import RetrievalSettings, choose_pools, retrieval_results
from tests.evaluation.table_model import example
from tests.tiny import tiny_model, tiny_processor

CAPTIONS = {
    "red": ("a red circle", "the red circle right above"),
    "green": ("one green star",),
    "blue": ("two small heart",),
    "white": ("no shape in the large square",),
}


def task(*languages, conditions=("as_is",)):
    """The task of captioning an image of each colour."""
    examples = [
        example(
            number,
            language=language,
            condition=condition,
            images=(Image.new("RGB", (28, 28), colour),),
            image_id=colour,
            references=captions,
        )
        for condition in conditions
        for language in languages or ("en",)
        for number, (colour, captions) in enumerate(CAPTIONS.items())
    ]
    return EvaluationTask("photos", examples, ExactMatch(), GenerationSettings(5), "paper")


def retrieve(*languages, num_candidates=4, family="mt5"):
    settings = RetrievalSettings(num_candidates)
    return retrieval_results(tiny_model(family), tiny_processor(family), task(*languages), settings=settings)


@pytest.fixture
def scored(monkeypatch):
    """Makes retrieval find these scores, photos and captions in the order of the pool, and those of a grey image;
    returns the languages that it will have asked in."""

    asked = []

    def use(scores_IC, grey_C):
        def table(model, processor, features, captions, *, languages, batch_size):
            assert len(captions) == len(grey_C)
            asked.append(languages)
            return torch.tensor([grey_C] if len(features) == 1 else scores_IC, dtype=torch.float64)

        monkeypatch.setattr("mblip.evaluation.retrieval.image_text_scores", table)
        return asked

    return use


def lowest(num_photos):
    """The images that are searched, in their order."""
    return sorted(CAPTIONS, key=lambda image_id: hashlib.sha256(image_id.encode()).hexdigest())[:num_photos]


def test_the_photos_of_the_lowest_sha256_are_searched_with_all_their_captions():
    pools = choose_pools(task("en", "sw"), 3)
    assert [(pool.language, [one.image_id for one in pool.examples]) for pool in pools] == [
        ("en", lowest(3)),
        ("sw", lowest(3)),
    ]
    (everything,) = choose_pools(task(), 4)
    assert everything.captions == [caption for colour in lowest(4) for caption in CAPTIONS[colour]]
    assert everything.image_of_caption == [place for place, c in enumerate(lowest(4)) for _ in CAPTIONS[c]]


def test_too_few_photos_or_several_templates_are_an_error():
    with pytest.raises(ValueError, match="photos: found 4 images with captions in 'en', but `num_candidates` is 5"):
        choose_pools(task(), 5)
    with pytest.raises(
        ValueError, match="photos: in 'en', red has more than one example, or an example shows several images"
    ):
        choose_pools(task(conditions=("as_is", "shuffled")), 2)


def test_what_is_likely_behind_any_image_is_no_find_once_it_is_calibrated(scored):
    first, second = lowest(2)
    owners = [first] * len(CAPTIONS[first]) + [second] * len(CAPTIONS[second])
    likely = [-1.0 if owner == first else -3.0 for owner in owners]  # the captions of the first, whatever is shown
    fitting = [[value + (0.5 if owner == shown else 0.0) for value, owner in zip(likely, owners, strict=True)]
               for shown in (first, second)]  # fmt: skip
    scored(fitting, likely)
    results = retrieve(num_candidates=2)
    values = {condition: results.by_language(condition)["en"].value for condition in results.conditions}
    assert values == {"image to text": 0.5, "image to text, calibrated": 1.0, "text to image": 1.0}
    plain = results.answers("image to text", "en")
    assert [(one.image_id, one.score, one.references) for one in plain] == [
        (first, 1.0, CAPTIONS[first]),
        (second, 0.0, CAPTIONS[second]),
    ]
    assert plain[1].output in CAPTIONS[first]
    assert plain[1].log_likelihoods[CAPTIONS[second][0]] == -2.5


def test_a_model_that_tells_nothing_apart_finds_nothing(scored):
    asked = scored([[0.0] * 5] * 4, [0.0] * 5)
    results = retrieve("en", "sw")
    assert asked == ["en", "en", "sw", "sw"]  # the photos, and the grey image
    for condition in results.conditions:
        score = results.by_language(condition)["en"]
        assert (score.value, score.figures["recall@5"]) == (0.0, 1.0)  # behind the three or four wrong ones
    assert results.by_language("text to image")["en"].figures["chance"] == 0.25


@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_recall_is_that_of_the_scores_of_all_pairs(family):
    model, processor = tiny_model(family), tiny_processor(family)
    results = retrieve("en", "sw", family=family)
    assert results.task == "photos_retrieval_4"
    assert results.conditions == ["image to text", "image to text, calibrated", "text to image"]
    pool = choose_pools(task("en", "sw"), 4)[1]
    images = processor(images=[one.images[0] for one in pool.examples], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        features = model.get_image_features(images).pooler_output
    scores_IC = image_text_scores(model, processor, features, pool.captions, languages="sw")
    owners = torch.tensor(pool.image_of_caption)
    of_image = (owners[scores_IC.argmax(dim=1)] == torch.arange(4)).double()
    of_caption = (scores_IC.argmax(dim=0) == owners).double()
    found = results.answers("text to image", "sw")
    assert [one.score for one in results.answers("image to text", "sw")] == of_image.tolist()
    assert [one.score for one in found] == of_caption.tolist()
    assert [one.output for one in found] == [pool.examples[i].image_id for i in scores_IC.argmax(dim=0)]
    assert results.by_language("text to image")["sw"].value == of_caption.mean()
    likely = dict(zip((one.image_id for one in pool.examples), scores_IC[:, 0].tolist(), strict=True))
    assert found[0].log_likelihoods == pytest.approx(likely, rel=1e-6)
    assert found[0].prompt == f"Caption in Swahili: {pool.captions[0]}"
    assert "chance finds one in 4" in conditions_table(results)
