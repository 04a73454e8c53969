"""`mblip reproduce`: its verdict, its recipe, and what it refuses. tests/hub/test_reproduction.py runs it in full."""

from dataclasses import replace

import pytest
from table_model import example, knows_all

from mblip.data.recipes.strict_loading import convert
from mblip.data.recipes.yaml_values import read_yaml
from mblip.evaluation import EvaluationTask, ExactMatch, GenerationSettings, MeanScore, evaluate_task
from mblip.evaluation.metrics.intervals import Interval
from mblip.evaluation.recipe import CONVERTERS
from mblip.recipes import find_recipe
from mblip.reproduce import Published, Reproduction, main, report

PACKAGED = convert(read_yaml(find_recipe("reproduce_pangea")), Reproduction, "", CONVERTERS)


def measured(english, others, **changes):
    """Results with these intervals in points."""
    examples = [example(number) for number in range(2)]
    task = EvaluationTask("xgqa", examples, ExactMatch(), GenerationSettings(4), "pangea")
    results = evaluate_task(*knows_all(examples), task)
    score = replace(results.by_language("as_is")["en"], value=sum(english) / 200, interval=shares(*english))
    mean = MeanScore("as_is", "all but English", 2, 2, sum(others) / 200, shares(*others))
    return replace(results, scores=(score,), means=(mean,), **changes)


def shares(low, high):
    return Interval(low / 100, high / 100)


def verdict(english, others, *, tolerance=0.0, is_trial=False):
    ours = measured((42.0, 44.0), (38.0, 40.0), seconds=90.0, peak_memory_gb=9.76)
    recipe = replace(PACKAGED, tolerance=tolerance)
    published = [Published("m", "xgqa", "en", english), Published("m", "xgqa", "all but English", others)]
    return report({"xgqa_pangea": ours, "xgqa_paper": ours}, published, recipe, is_trial=is_trial)


@pytest.mark.parametrize(
    ("english", "others", "tolerance", "status"),
    [
        (43.0, 39.9, 0.0, 0),
        (44.05, 37.95, 0.0, 0),  # published figures are rounded
        (44.1, 39.0, 0.0, 1),
        (43.0, 37.9, 0.0, 1),
        (44.1, 37.9, 0.1, 0),
    ],
)
def test_a_reproduction_agrees_if_every_published_figure_lies_in_our_interval(english, others, tolerance, status):
    assert verdict(english, others, tolerance=tolerance)[1] == status


def test_the_report_names_the_figures_that_do_not_agree_and_what_the_run_cost():
    text, status = verdict(44.2, 39.9)
    assert status == 1
    assert "\n1 of 2 figures do not agree.\n" in text
    lines = [line for line in text.splitlines() if line.startswith("| xgqa, exact_match")]
    assert lines == [
        "| xgqa, exact_match | pangea | en | 43.0 [42.0, 44.0] | 44.2 | no | 1.5 | 9.8 |",
        "| xgqa, exact_match | pangea | all but English | 39.0 [38.0, 40.0] | 39.9 | yes | 1.5 | 9.8 |",
        "| xgqa, exact_match | pangea | en | 43.0 [42.0, 44.0] | - | - | 1.5 | 9.8 |",
        "| xgqa, exact_match | pangea | all but English | 39.0 [38.0, 40.0] | - | - | 1.5 | 9.8 |",
    ]


@pytest.mark.parametrize("english", [43.0, 99.0])
def test_a_trial_is_never_called_agreement_or_disagreement(english):
    text, status = verdict(english, 39.0, is_trial=True)
    assert status == 3
    assert "A trial: it shows neither agreement nor disagreement." in text
    assert "| 43.0 [42.0, 44.0] | 43.0 | - |" in text or "| 43.0 [42.0, 44.0] | 99.0 | - |" in text


def test_the_recipe_of_the_package_has_what_pangea_measured():
    figures = {
        model: [each.points for each in PACKAGED.published if each.model == f"Gregor/{model}"]
        for model in ("mblip-mt0-xl", "mblip-bloomz-7b")
    }
    assert figures == {
        "mblip-mt0-xl": [67.3, 66.7, 44.2, 39.9, 44.7, 36.8, 31.9, 3.1],
        "mblip-bloomz-7b": [62.3, 58.6, 43.3, 36.9, 44.7, 24.8, 22.5, 10.3],
    }
    languages = PACKAGED.evaluation.tasks[0].arguments["languages"]
    assert (PACKAGED.protocols, len(languages), "no" in languages) == (("pangea", "paper"), 36, True)


def test_a_model_without_published_figures_and_a_figure_without_its_benchmark_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"no published figures of my/model, expected --figures_of with one of Gregor/"
    ):
        main(["my/model", "--output_dir", str(tmp_path)])
    text = find_recipe("reproduce_pangea").read_text(encoding="utf-8").replace("task: maxm", "task: xvnli")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"`published` has a figure of xvnli, expected one of marvl, maxm, nlvr2, xgqa"
    ):
        main(["--recipe", str(tmp_path / "mine.yaml")])
