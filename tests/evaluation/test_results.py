import json
import math
from dataclasses import replace

import pytest
from table_model import example, knows_all

from mblip.evaluation import (
    EvaluationTask,
    ExactMatch,
    GenerationSettings,
    Setup,
    evaluate_task,
    ratio_to_reference,
)
from mblip.evaluation.metrics.bootstrap import mean_estimate
from mblip.evaluation.metrics.intervals import paired_ratio_interval, wilson_interval
from mblip.evaluation.predictions import predict
from mblip.evaluation.results import mean_ratio, mean_scores, score_predictions
from scenes.task import scenes

SETTINGS = GenerationSettings(max_new_tokens=4)


def task_of(examples):
    return EvaluationTask("numbers", examples, ExactMatch(), SETTINGS, "own")


def prediction(number, output, *, language="en", condition="as_is", is_cut=False):
    asked = example(number, language=language, condition=condition)
    answered = predict("numbers", "own", asked, output, is_cut=is_cut)
    return replace(answered, score=float(output in asked.references))


@pytest.mark.parametrize(("is_better", "title"), [(True, "wrong"), (False, "wrong (lower is better)")])
def test_results_say_whether_lower_is_better(is_better, title):
    metric = ExactMatch(main="wrong", greater_is_better=is_better)
    task = EvaluationTask("numbers", [example(0)], metric, SETTINGS, "own")
    results = evaluate_task(*knows_all([example(0)]), task)
    assert (results.greater_is_better, results.metric_title) == (is_better, title)


def test_a_score_counts_right_empty_and_cut_answers_of_a_condition_and_language():
    predictions = [
        prediction(0, "answer 0"),
        prediction(1, ""),
        prediction(2, "answer answer", is_cut=True),
        prediction(3, "answer 3"),
        prediction(0, "answer 0", language="sw"),
        prediction(0, "answer 1", condition="shuffled"),
    ]
    task = task_of([example(n) for n in range(4)] + [example(0, language="sw"), example(0, condition="shuffled")])
    scores, scored = score_predictions(task, [replace(answer, score=None) for answer in predictions])
    assert [(s.condition, s.language, s.value, s.num_prompts, s.num_empty, s.num_cut) for s in scores] == [
        ("as_is", "en", 0.5, 4, 1, 1),
        ("as_is", "sw", 1.0, 1, 0, 0),
        ("shuffled", "en", 0.0, 1, 0, 0),
    ]
    assert [score.figures for score in scores] == [{"exact_match": value} for value in (0.5, 1.0, 0.0)]
    assert [score.interval for score in scores] == [
        wilson_interval(2, 4),
        wilson_interval(1, 1),
        wilson_interval(0, 1),
    ]
    assert list(scored) == predictions


def test_several_prompts_about_one_image_give_a_bootstrap_interval_over_images():
    examples = [example(n, id=f"{n}/{k}") for n in range(3) for k in range(2)]
    outputs = ["answer 0", "answer 0", "answer 1", "wrong", "wrong", "wrong"]
    answers = [predict("numbers", "own", *pair) for pair in zip(examples, outputs, strict=True)]
    score = score_predictions(task_of(examples), answers)[0][0]
    assert score.value == 0.5
    assert score.interval == mean_estimate([1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 2, 2]).interval


def scored(numbers, languages, is_right):
    """Scores and scored answers about these images in these languages, right where `is_right` says so."""
    examples = [example(n, language=code) for code in languages for n in numbers]
    outputs = [f"answer {n}" if is_right(n, code) else "wrong" for code in languages for n in numbers]
    answers = [predict("numbers", "own", *pair) for pair in zip(examples, outputs, strict=True)]
    return score_predictions(task_of(examples), answers)


def test_every_group_of_languages_has_a_mean_with_its_languages_and_images():
    means = mean_scores(*scored(range(4), ("en", "sw", "hi"), lambda n, code: code == "sw" or n < 2))
    assert [(mean.languages, mean.num_languages, mean.num_images, round(mean.value, 6)) for mean in means] == [
        ("all", 3, 4, 0.666667),
        ("high", 1, 4, 0.5),
        ("Latn", 2, 4, 0.75),
        ("all but English", 2, 4, 0.75),
        ("low", 1, 4, 1.0),
        ("middle", 1, 4, 0.5),
        ("Deva", 1, 4, 0.5),
    ]


def test_the_mean_of_one_language_is_its_score():
    scores, answers = scored(range(4), ("sw",), lambda n, code: n < 2)
    means = mean_scores(scores, answers)
    assert {(mean.value, mean.interval) for mean in means} == {(0.5, wilson_interval(2, 4))}


def test_an_image_is_drawn_in_all_languages_at_once():
    """If all languages are right about the same images, their mean varies as one of them does; if about different
    ones, it varies less."""
    alike = mean_scores(*scored(range(40), ("en", "sw"), lambda n, code: n < 20))[0]
    one = mean_estimate([1.0] * 20 + [0.0] * 20)
    assert (alike.value, alike.interval) == (one.value, one.interval)
    opposite = mean_scores(*scored(range(40), ("en", "sw"), lambda n, code: (n < 20) == (code == "en")))[0]
    assert opposite.value == 0.5
    assert opposite.interval.low == pytest.approx(wilson_interval(20, 40).low)


def test_a_mean_over_images_that_languages_do_not_share_leaves_out_languages_that_are_not_drawn():
    english, swahili = (
        scored(numbers, (code,), lambda n, _: n == 0) for numbers, code in (((0, 1), "en"), ((2,), "sw"))
    )
    mean = mean_scores((*english[0], *swahili[0]), (*english[1], *swahili[1]))[0]
    assert (mean.value, mean.num_images) == (0.25, 3)
    assert (mean.interval.low, mean.interval.high) == (0.0, 1.0)


@pytest.mark.parametrize("is_right", [True, False])
def test_the_mean_of_languages_that_are_all_right_or_all_wrong_has_an_interval_with_a_width(is_right):
    mean = mean_scores(*scored(range(3), ("en", "sw"), lambda n, code: is_right))[0]
    assert mean.interval == wilson_interval(3 * is_right, 3)


def test_the_mean_of_ratios_to_a_reference_draws_the_images_of_all_at_once():
    answers = scored(range(40), ("en", "sw"), lambda n, code: n % 2 == 0)[1]
    reference = scored(range(40), ("en",), lambda n, code: n % 2 == 0)[1]
    by_language = {"en": answers[:40], "sw": answers[40:]}
    ratio = mean_ratio(by_language, reference)
    assert ratio.value == 1.0
    single = paired_ratio_interval([True, False] * 20, [True, False] * 20)
    assert ratio.interval == single  # all resamples are 1
    assert mean_ratio({"en": answers[:40]}, reference) is None
    mixed = mean_ratio(by_language, scored(range(40), ("en",), lambda n, code: n < 30)[1])
    assert mixed.value == pytest.approx(20 / 30)
    assert 0.4 < mixed.interval.low < 0.5
    assert 0.9 < mixed.interval.high < 1.0


@pytest.mark.parametrize(("output", "num_right"), [("answer 0", 3), ("wrong", 0)])
def test_answers_that_are_all_right_or_all_wrong_still_have_an_interval_with_a_width(output, num_right):
    examples = [example(0, id=f"{n}/{k}", image_id=f"picture-{n}") for n in range(3) for k in range(2)]
    answers = [predict("numbers", "own", entry, output) for entry in examples]
    score = score_predictions(task_of(examples), answers)[0][0]
    assert score.interval == wilson_interval(num_right, 3)


def test_scores_do_not_depend_on_the_order_of_the_examples():
    examples = [example(n % 3, id=str(n)) for n in range(7)]
    answers = [predict("numbers", "own", entry, f"answer {n % 2}") for n, entry in enumerate(examples)]
    scores = score_predictions(task_of(examples), answers)[0]
    assert score_predictions(task_of(examples[::-1]), answers[::-1])[0] == scores


def test_the_ratio_to_a_reference_pairs_answers_by_image_whatever_their_order_and_language():
    ours = [prediction(0, "answer 0", language="sw"), prediction(1, "x", language="sw")]
    reference = [prediction(1, "answer 1"), prediction(0, "answer 0")]
    ratio = ratio_to_reference(ours, reference)
    assert ratio.value == 0.5
    assert ratio.interval == paired_ratio_interval([True, False], [True, True])


def test_a_reference_without_a_right_answer_has_no_ratio():
    assert ratio_to_reference([prediction(0, "answer 0")], [prediction(0, "x")]) is None


def test_answers_about_other_images_cannot_be_compared():
    with pytest.raises(
        ValueError, match="answers about 1 images and reference answers about 2, with 1 images in common"
    ):
        ratio_to_reference([prediction(0, "x")], [prediction(0, "x"), prediction(1, "x")])


def test_two_answers_about_one_image_cannot_be_paired():
    with pytest.raises(ValueError, match="Found 2 answers about 1 images, expected one per image"):
        ratio_to_reference([prediction(0, "x"), prediction(0, "x", language="sw")], [prediction(0, "x")])


def test_a_model_that_knows_all_scores_100_per_cent_and_nothing_when_shuffled():
    examples = evaluation_examples()
    model, processor = knows_all(examples)
    results = evaluate_task(model, processor, scenes(Setup(), languages=["en", "ht"], num_images=4))
    assert {code: score.value for code, score in results.by_language("as_is").items()} == {"en": 1.0, "ht": 1.0}
    assert {code: score.value for code, score in results.by_language("shuffled").items()} == {"en": 0.0, "ht": 0.0}


def evaluation_examples():
    return scenes(Setup(), languages=["en", "ht"], num_images=4, conditions=["as_is"]).examples


def test_results_record_how_they_were_made():
    model, processor = knows_all([example(0)])
    task = task_of([example(0), example(1)])
    plain = evaluate_task(model, processor, task).to_json()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["scores"][0]["figures"] == {"exact_match": 0.5}
    assert plain["scores"][0]["interval"]["high"] == wilson_interval(1, 2).high
    assert plain["prompts"] == {"as_is": {"en": "prompt in en"}}
    assert plain["generation"]["max_new_tokens"] == 4
    unsaid = {"revision": None, "base": None, "base_revision": None}
    assert plain["model"] == {"name": "table", **unsaid, "precision": "float32"}
    named = ("task", "protocol", "metric", "num_images", "num_processes")
    assert [plain[name] for name in named] == ["numbers", "own", "exact_match", 2, 1]
    assert {"python", "torch", "transformers"} <= plain["versions"].keys()
    assert plain["hardware"].startswith("CPU (")
    assert math.isfinite(plain["seconds"])
    assert "predictions" not in plain


def test_a_condition_that_was_not_evaluated_is_an_error_that_names_those_that_were():
    model, processor = knows_all([example(0)])
    results = evaluate_task(model, processor, task_of([example(0)]))
    with pytest.raises(ValueError, match="no scores of the condition 'shuffled', expected one of as_is"):
        results.by_language("shuffled")
    with pytest.raises(ValueError, match="no answers in 'sw' under the condition 'as_is'"):
        results.answers("as_is", "sw")
