"""Sum, mean and calibrated side by side: each way's own choices, what every class won, and a row for each language."""

import re
from types import SimpleNamespace

from three_way import main, rank_in_every_way, ways_table

from mblip.evaluation.answer_scoring import ChoiceAccuracy
from mblip.evaluation.generation_settings import GenerationSettings
from mblip.evaluation.likelihood.ranking import ContentFree, grey_features, rank
from mblip.evaluation.task import EvaluationExample, EvaluationTask
from tests.evaluation.likelihood.likelihood_models import IMAGES, encode, model_and_processor
from tests.tiny import tiny_model, tiny_processor

CANDIDATES = ("red", "red circle", "blue w60 w61")


def small_task():
    examples = [
        EvaluationExample(
            images=(image,),
            image_id=str(number),
            prompt="what colour is the star",
            references=("red",),
            language="en",
            condition="as_is",
            id=str(number),
            candidates=CANDIDATES,
            content_free="caption",
        )
        for number, image in enumerate(IMAGES)
    ]
    return EvaluationTask("small", examples, ChoiceAccuracy(CANDIDATES), GenerationSettings(max_new_tokens=5), "own")


def test_every_way_makes_the_choices_of_rank():
    model, processor = model_and_processor("t5")
    results = rank_in_every_way(model, processor, small_task())
    arguments = {"image_features": encode(model, processor)}
    grey = grey_features(model, processor)
    ways = {"calibrated": {"content_free": ContentFree(["caption"] * 3, grey)}, "sum": {}, "mean": {}}
    assert results.keys() == ways.keys()
    for way, more in ways.items():
        ranked = rank(model, processor, ["what colour is the star"] * 3, CANDIDATES, scoring=way, **arguments, **more)
        assert [prediction.output for prediction in results[way].predictions] == [each.best for each in ranked]
        assert results[way].answering == f"rank, {way}"
    assert len({tuple(p.output for p in result.predictions) for result in results.values()}) > 1


def results_of(*rows):
    """Results whose predictions are (language, image, output, score)."""
    predictions = [
        SimpleNamespace(language=language, image_id=image, output=output, score=score)
        for language, image, output, score in rows
    ]
    return SimpleNamespace(
        conditions=["as_is"],
        predictions=predictions,
        by_language=lambda condition: dict.fromkeys(p.language for p in predictions),
        answers=lambda condition, language: [p for p in predictions if p.language == language],
    )


def test_the_table_counts_what_each_class_won_and_how_often_rightly():
    by_sum = results_of(
        ("en", "0", "yes", 1.0), ("en", "1", "yes", 0.0), ("sw", "0", "yes", 1.0), ("sw", "1", "no", 0.0)
    )
    calibrated = results_of(
        ("en", "0", "yes", 1.0), ("en", "1", "maybe", 1.0), ("sw", "0", "yes", 1.0), ("sw", "1", "no", 0.0)
    )
    table = ways_table({"sum": by_sum, "mean": by_sum, "calibrated": calibrated}, ("yes", "maybe", "no"))
    head, _, english, swahili, everything = table.splitlines()
    assert head.startswith("| language | sum | mean | calibrated | calibrated - sum | yes by sum | maybe by sum |")
    assert english.startswith("| en | 50.0 | 50.0 | 100.0 | +50.0 [+0.0, +100.0] | 2 (1) | 0 (0) | 0 (0) |")
    assert english.endswith("| 1 (1) | 1 (1) | 0 (0) |")
    assert swahili.startswith("| sw | 50.0 | 50.0 | 50.0 | +0.0 [-69.3, +69.3] | 1 (1) | 0 (0) | 1 (0) |")
    assert everything.startswith("| all | 50.0 | 50.0 | 75.0 | +25.0 [")
    assert everything.endswith("| 3 (2) | 0 (0) | 1 (0) | 2 (2) | 1 (1) | 1 (0) |")


def test_the_command_prints_a_row_for_each_language(tmp_path, capsys):
    tiny_model("t5").save_pretrained(tmp_path)
    tiny_processor("t5").save_pretrained(tmp_path)
    main([str(tmp_path), "--languages", "en,zh", "--num_images", "2"])
    rows = capsys.readouterr().out.splitlines()
    share, count = r"\d+\.\d", r"\d+ \(\d+\)"
    row = rf"\| {{}} \| {share} \| {share} \| {share} \| [+-]{share} \[.*\](?: \| {count}){{{{6}}}} \|"
    assert len(rows) == 5
    for line, name in zip(rows[2:], ("en", "zh", "all"), strict=True):
        assert re.fullmatch(row.format(name), line), line
