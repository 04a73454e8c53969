"""How tasks are answered: written, chosen while writing, or ranked by likelihood."""

from dataclasses import replace

import pytest
from table_model import example

from mblip.evaluation import EvaluationTask, ExactMatch, GenerationSettings, RunSettings, evaluate_task
from mblip.evaluation.likelihood.ranking import rank
from tests.tiny import tiny_model, tiny_processor

CANDIDATES = ("red star", "blue", "two large circle")
FAMILIES = pytest.mark.parametrize("family", ["mt5", "llama"])


def task_of(answering, rank_by="sum", **changes):
    images = [example(number).images[0] for number in (40, 200)]
    examples = [
        example(0, images=(), image_id="none", **changes),
        example(1, images=(images[0],), image_id="one", **changes),
        example(2, images=(images[0], images[1]), image_id="two", **changes),
        example(3, images=(images[1],), image_id="three", prompt="what colour is the star", **changes),
    ]
    examples = [replace(entry, candidates=CANDIDATES, content_free="prompt") for entry in examples]
    return EvaluationTask(
        "choice", examples, ExactMatch(), GenerationSettings(max_new_tokens=9), "paper", answering, rank_by
    )


def likelihoods(model, processor, entry):
    """Of an example's candidates, each example by itself."""
    features = None
    if entry.images:
        pixel_values = processor(images=list(entry.images), return_tensors="pt")["pixel_values"]
        features = model.get_image_features(pixel_values).pooler_output.detach()
    rows = [list(range(len(entry.images)))]
    (ranked,) = rank(model, processor, [entry.prompt], CANDIDATES, image_features=features, image_rows=rows)
    return ranked


@FAMILIES
def test_ranked_answers_are_the_likeliest_candidates_and_keep_their_likelihoods(family):
    model, processor, task = tiny_model(family), tiny_processor(family), task_of("rank")
    predictions = evaluate_task(model, processor, task, settings=RunSettings(batch_size=3)).predictions
    for entry, prediction in zip(task.examples, predictions, strict=True):
        alone = likelihoods(model, processor, entry)
        assert prediction.output == alone.best
        expected = dict(zip(CANDIDATES, alone.log_likelihoods.tolist(), strict=True))
        assert prediction.log_likelihoods == pytest.approx(expected, rel=1e-5)
        assert next(iter(prediction.log_likelihoods)) == prediction.output


@FAMILIES
def test_the_mean_per_token_may_choose_another_answer_than_the_sum(family):
    model, processor, task = tiny_model(family), tiny_processor(family), task_of("rank", "mean")
    predictions = evaluate_task(model, processor, task).predictions
    for entry, prediction in zip(task.examples, predictions, strict=True):
        alone = likelihoods(model, processor, entry)
        means = (alone.log_likelihoods / alone.num_tokens).tolist()
        assert prediction.output == CANDIDATES[means.index(max(means))]


@FAMILIES
def test_an_answer_calibrated_by_its_own_prompt_has_no_prior_left(family):
    """Prompt and grey image are the example's own: every candidate is as likely as before, so the first wins."""
    model, processor = tiny_model(family), tiny_processor(family)
    task = task_of("rank", "calibrated")
    asked = replace(task.examples[0], content_free=task.examples[0].prompt)
    (prediction,) = evaluate_task(model, processor, replace(task, examples=[asked])).predictions
    assert prediction.output == CANDIDATES[0]
    answered = evaluate_task(model, processor, task).predictions
    assert all(prediction.output in CANDIDATES for prediction in answered)


@FAMILIES
@pytest.mark.parametrize("num_beams", [1, 3])
def test_constrained_answers_are_candidates(family, num_beams):
    model, processor = tiny_model(family), tiny_processor(family)
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    task = replace(task_of("constrained"), generation=GenerationSettings(max_new_tokens=1, num_beams=num_beams))
    results = evaluate_task(model, processor, task)
    assert [prediction.output in CANDIDATES for prediction in results.predictions] == [True] * 4
    assert [prediction.is_cut for prediction in results.predictions] == [False] * 4
    assert results.answering == "constrained"


@pytest.mark.parametrize(
    ("answering", "rank_by", "changes", "message"),
    [
        ("rank", "sum", {"candidates": ()}, "has no candidates, which `answering: rank` needs"),
        ("constrained", "sum", {"candidates": ()}, "which `answering: constrained` needs"),
        ("generate", "mean", {}, "has `rank_by: mean` with `answering: generate`"),
        ("rank", "calibrated", {"content_free": None}, "has no content-free prompts to calibrate with"),
    ],
)
def test_a_way_to_answer_that_lacks_what_it_needs_is_an_error(answering, rank_by, changes, message):
    examples = [replace(entry, **changes) for entry in task_of("rank").examples]
    with pytest.raises(ValueError, match=message):
        replace(task_of("rank"), examples=examples, answering=answering, rank_by=rank_by)
