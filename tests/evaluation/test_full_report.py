import dataclasses

import pytest
from PIL import Image
from table_model import example, knows_all

from mblip.data.skipped import SkipReport
from mblip.evaluation import EvaluationTask, ExactMatch, GenerationSettings, evaluate_task, write_report
from mblip.evaluation.reports.charts import INCHES_PER_LETTER, draw_languages, shortened
from mblip.evaluation.reports.full_report import report_text
from mblip.evaluation.reports.template_spread import templates_table
from mblip.evaluation.task import Origin, Scored


class TwoFigures(ExactMatch):
    """Exact match, and how long answers are."""

    def score(self, examples, outputs):
        scored = super().score(examples, outputs)
        return Scored(scored.figures | {"length": sum(map(len, outputs)) / len(outputs)}, scored.per_example)


def results_of(examples, known, *, metric=None, **changes):
    skipped = SkipReport()
    for number in range(9):
        skipped.add("image missing", f"photos/{number}")
    task = EvaluationTask(
        "photos",
        examples,
        metric or ExactMatch(),
        GenerationSettings(max_new_tokens=4),
        changes.pop("protocol", "paper"),
        origin=Origin("https://example.org", "CC BY 4.0"),
        skipped=skipped,
    )
    return dataclasses.replace(evaluate_task(*knows_all(known), task), **changes)


def in_languages(*codes, num=2, **changes):
    return [example(number, language=code, **changes) for code in codes for number in range(num)]


def test_a_report_says_what_was_skipped_where_files_come_from_and_how_prompts_read():
    examples = in_languages("en", "sw", prompt="Caption in X: \nnow")
    text = report_text({"photos": results_of(examples, examples)}, ["All images are stand-ins."])
    assert "Files: https://example.org (CC BY 4.0). Skipped: 9 image missing" in text
    assert "image missing (such as photos/0, photos/1, photos/2)." in text
    assert "- as_is, English: `Caption in X: \\nnow`" in text
    assert "\n\nAll images are stand-ins.\n\n## Overview" in text
    assert "- Model: table; float32\n" in text


def test_the_overview_has_english_the_mean_of_the_others_and_of_the_unseen_among_them():
    examples = in_languages("en", "sw", "hr", "quz")
    known = [entry for entry in examples if entry.language in ("en", "hr")]
    lines = report_text({"photos": results_of(examples, known)}).splitlines()
    row = next(line for line in lines if line.startswith("| photos |"))
    assert row == "| photos | as_is | exact_match | generate | 4 | 100.0 | 33.3 | 50.0 |"
    assert "| Croatian (`hr`) † | Latn | 100.0 [34.2, 100.0] |" in lines
    assert "† not among the 96 languages of the training mix." in lines
    assert "| unseen | 50.0 (languages: 2, answers: 4) |" in lines


def test_figures_of_two_protocols_never_stand_in_one_table():
    examples = in_languages("en")
    results = {name: results_of(examples, examples, protocol=name) for name in ("paper", "centurio")}
    tables = report_text(results).partition("## Overview")[2].partition("Times 100")[0].strip().split("\n\n")
    assert [table.splitlines()[0] for table in tables[::2]] == ["Protocol `paper`:", "Protocol `centurio`:"]
    assert [len(table.splitlines()) for table in tables[1::2]] == [3, 3]


def test_every_figure_of_a_metric_is_shown_in_its_own_unit():
    examples = in_languages("en", "sw")
    text = report_text({"photos": results_of(examples, examples, metric=TwoFigures())})
    assert "| language | condition | answers | exact_match | length |" in text
    assert "| Swahili | as_is | 2 | 1.0000 | 8.0000 |" in text


def test_templates_are_shown_with_their_prompts_mean_and_spread():
    conditions = {"wording 1": 2, "wording 2": 1, "held-out wording": 0}
    examples, known = [], []
    for condition, num_known in conditions.items():
        asked = in_languages("en", condition=condition, prompt=f"ask by {condition}")
        examples += asked
        known += asked[:num_known]
    table = templates_table(results_of(examples, known))
    assert table.splitlines()[2:] == [
        "| wording 1 | ask by wording 1 | 100.0 |",
        "| wording 2 | ask by wording 2 | 50.0 |",
        "| held-out wording | ask by held-out wording | 0.0 |",
        "",
        "Mean of the templates 50.0, standard deviation 50.0, lowest 0.0, highest 100.0.",
    ]
    assert templates_table(results_of(examples[:2], known)) == ""


def test_templates_of_each_of_a_benchmarks_own_conditions_have_a_table_of_their_own():
    splits = [
        *in_languages("en", condition="random, wording 1", prompt="ask"),
        *in_languages("en", condition="random, held-out wording", prompt="ask"),
        *in_languages("en", condition="popular, wording 1", prompt="never asked", references=("unknown",)),
        *in_languages("en", condition="popular, held-out wording", prompt="ask"),
    ]
    tables = templates_table(results_of(splits, [splits[0], splits[1]])).split("\n\n| wording")
    assert [table.splitlines()[2:] for table in tables] == [
        [
            "| random, wording 1 | ask | 100.0 |",
            "| random, held-out wording | ask | 100.0 |",
            "",
            "Mean of the templates 100.0, standard deviation 0.0, lowest 100.0, highest 100.0.",
        ],
        [
            "| popular, wording 1 | never asked | 0.0 |",
            "| popular, held-out wording | ask | 100.0 |",
            "",
            "Mean of the templates 50.0, standard deviation 70.7, lowest 0.0, highest 100.0.",
        ],
    ]


def test_a_report_is_written_with_a_chart_of_each_condition_but_controls(tmp_path):
    examples = [
        *in_languages("en", "sw", "hr"),
        *in_languages("en", "sw", condition="question: what?"),
        *in_languages("en", "sw", condition="shuffled"),
    ]
    write_report(tmp_path, {"photos": results_of(examples, examples)})
    charts = sorted(path.name for path in (tmp_path / "charts").iterdir())
    assert charts == [f"photos_{name}.{kind}" for name in ("as_is", "question__what_") for kind in ("png", "svg")]
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    for name in charts[::2]:
        assert f"](charts/{name})" in text
        with Image.open(tmp_path / "charts" / name) as chart:
            assert chart.size[0] > 400


def test_charts_name_changes_marks_and_direction_and_have_the_same_bytes_each_time(tmp_path):
    examples = in_languages("en", "sw")
    results = results_of(examples, examples, greater_is_better=False, changes=("num_beams 1",), marks=("split dev",))
    drawn = []
    for folder in ("first", "second"):
        draw_languages(results, "as_is", tmp_path / folder / "chart.png")
        drawn.append([(tmp_path / folder / f"chart.{kind}").read_bytes() for kind in ("png", "svg")])
    assert drawn[0] == drawn[1]
    svg = drawn[0][1].decode()
    assert "<!-- photos (split dev), paper, changed: num_beams 1 -->" in svg
    assert "<!-- exact_match (lower is better) x 100 -->" in svg


@pytest.mark.parametrize(
    ("name", "expected"),
    [("runs/a/model", "runs/a/model"), ("runs/an/model", "…ns/an/model"), ("x" * 500, f"…{'x' * 11}")],
)
def test_a_name_that_is_too_long_for_a_chart_keeps_its_end(name, expected):
    assert shortened(name, 12 * INCHES_PER_LETTER) == expected


def test_one_language_needs_no_chart(tmp_path):
    examples = in_languages("en")
    write_report(tmp_path, {"photos": results_of(examples, examples)})
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]
