import re
from dataclasses import replace

import pytest
from PIL import Image
from table_model import example, knows_all

from mblip.data.skipped import SkipReport
from mblip.evaluation import (
    ChoiceAccuracy,
    EvaluationTask,
    ExactMatch,
    GenerationSettings,
    VqaAccuracy,
    YesNoAccuracy,
    evaluate_task,
    write_report,
)
from mblip.evaluation.reports.charts import draw_languages, shortened
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
    return replace(evaluate_task(*knows_all(known), task), **changes)


def in_languages(*codes, num=2, **changes):
    return [example(number, language=code, **changes) for code in codes for number in range(num)]


def test_a_report_says_what_was_skipped_where_files_come_from_and_how_prompts_read():
    examples = in_languages("en", "sw", prompt="Caption in X: \nnow")
    text = report_text({"photos": results_of(examples, examples)}, ["All images are stand-ins."])
    assert "Files: https://example.org (CC BY 4.0). Skipped: image missing: 9" in text
    assert "image missing: 9 (such as photos/0, photos/1, photos/2)." in text
    assert "- as_is, English: `Caption in X: \\nnow`" in text
    assert "\n\nAll images are stand-ins.\n\n## Overview" in text
    assert "- Model: table; float32\n" in text


def test_the_overview_has_images_questions_english_the_means_and_that_of_unseen_languages():
    examples = in_languages("en", "sw", "hr", "quz")
    known = [entry for entry in examples if entry.language in ("en", "hr")]
    lines = report_text({"photos": results_of(examples, known)}).splitlines()
    row = next(line for line in lines if line.startswith("| photos |"))
    assert row == (
        "| photos | as_is | exact_match | generate | 2 | 8 | 4 | 100.0 [34.2, 100.0] | 50.0 [17.1, 82.9] | "
        "33.3 [11.4, 77.2] | 50.0 [17.1, 82.9] |"
    )
    assert "| Croatian (`hr`) † | Latn | 100.0 [34.2, 100.0] |" in lines
    assert "† not among the 96 languages of the training mix." in lines
    assert "| unseen | 2 | 50.0 [17.1, 82.9] |" in lines


def test_figures_of_two_protocols_never_stand_in_one_table():
    examples = in_languages("en")
    names = ("paper", "centurio")
    results = {name: replace(results_of(examples, examples), protocol=name, changes=()) for name in names}
    tables = report_text(results).partition("## Overview")[2].partition("Times 100")[0].strip().split("\n\n")
    assert [table.splitlines()[0] for table in tables[::2]] == ["Protocol `paper`:", "Protocol `centurio`:"]
    assert [len(table.splitlines()) for table in tables[1::2]] == [3, 3]


def test_every_figure_of_a_metric_is_shown_in_its_own_unit():
    examples = in_languages("en", "sw")
    text = report_text({"photos": results_of(examples, examples, metric=TwoFigures())})
    assert "| language | condition | answers | exact_match | length |" in text
    assert "| Swahili | as_is | 2 | 1.0000 | 8.0000 |" in text


def test_figures_by_type_have_a_table_of_their_own_with_a_row_per_type():
    types = [("yes/no", "is the"), ("yes/no", "are the"), ("other", "what is")]
    examples = [
        example(number, references=("yes",) * 4, facts={"answer_type": answer, "question_type": question})
        for number, (answer, question) in enumerate(types)
    ]
    text = report_text({"photos": results_of(examples, examples[:2], metric=VqaAccuracy())})
    table = text.partition("By question_type:\n\n")[2].splitlines()
    assert table[0] == "| question_type | questions | as_is, en |"
    assert table[2] == "| are the | 1 | 1.0000 |"
    assert "| yes/no | 2 | 1.0000 |" in text
    assert "answer_type other |" not in text


def test_no_table_of_figures_is_wider_than_twelve_columns():
    class ManyFigures(ExactMatch):
        def score(self, examples, outputs):
            scored = super().score(examples, outputs)
            return Scored(scored.figures | {f"figure {n}": n for n in range(12)}, scored.per_example)

    examples = in_languages("en")
    text = report_text({"photos": results_of(examples, examples, metric=ManyFigures())})
    first, second = (line for line in text.splitlines() if line.startswith("| language | condition"))
    assert (first.count("|"), second.count("|")) == (13, 8)
    assert second == "| language | condition | answers | figure 8 | figure 9 | figure 10 | figure 11 |"


def test_choices_are_counted_by_right_answer_in_all_languages_and_in_each():
    answers = {
        "en": (("yes", "yes"), ("maybe", "no"), ("no", "no")),
        "sw": (("yes", ""), ("maybe", "Maybe."), ("no", "it is")),
    }
    examples = [
        example(number, language=code, references=(right,))
        for code, pairs in answers.items()
        for number, (right, _) in enumerate(pairs)
    ]
    known = [
        replace(entry, references=(pair[1],))
        for entry, pair in zip(examples, (pair for pairs in answers.values() for pair in pairs), strict=True)
    ]
    text = report_text({"photos": results_of(examples, known, metric=ChoiceAccuracy(("yes", "no", "maybe")))})
    assert text.partition("Answers, as_is:\n\n")[2].partition("\n\n")[0].splitlines() == [
        "| language | right answer | yes | no | maybe | no candidate |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        "| all | yes | 1 | 0 | 0 | 1 |",
        "| all | no | 0 | 1 | 0 | 1 |",
        "| all | maybe | 0 | 1 | 1 | 0 |",
        "| en | yes | 1 | 0 | 0 | 0 |",
        "| en | no | 0 | 1 | 0 | 0 |",
        "| en | maybe | 0 | 1 | 0 | 0 |",
        "| sw | yes | 0 | 0 | 0 | 1 |",
        "| sw | no | 0 | 0 | 0 | 1 |",
        "| sw | maybe | 0 | 0 | 1 | 0 |",
    ]


def test_yes_and_no_are_read_as_the_metric_reads_them():
    answers = [("yes", "There is."), ("yes", ""), ("no", "No, it is not.")]
    examples = [example(number, references=(right,)) for number, (right, _) in enumerate(answers)]
    known = [replace(entry, references=(answer,)) for entry, (_, answer) in zip(examples, answers, strict=True)]
    lines = report_text({"photos": results_of(examples, known, metric=YesNoAccuracy())}).splitlines()
    assert "| en | yes | 1 | 0 | 1 |" in lines
    assert "| en | no | 0 | 1 | 0 |" in lines


def test_templates_are_shown_with_their_prompts_mean_and_spread():
    conditions = {"wording 1": 2, "wording 2": 1, "held-out wording": 0}
    examples, known = [], []
    for condition, num_known in conditions.items():
        asked = in_languages("en", condition=condition, prompt=f"ask by {condition}")
        examples += asked
        known += asked[:num_known]
    table = templates_table(results_of(examples, known))
    assert table.splitlines()[2:] == [
        "| wording 1 | ask by wording 1 | 100.0 [34.2, 100.0] |",
        "| wording 2 | ask by wording 2 | 50.0 [9.5, 90.5] |",
        "| held-out wording | ask by held-out wording | 0.0 [0.0, 65.8] |",
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
            "| random, wording 1 | ask | 100.0 [34.2, 100.0] |",
            "| random, held-out wording | ask | 100.0 [34.2, 100.0] |",
            "",
            "Mean of the templates 100.0, standard deviation 0.0, lowest 100.0, highest 100.0.",
        ],
        [
            "| popular, wording 1 | never asked | 0.0 [0.0, 65.8] |",
            "| popular, held-out wording | ask | 100.0 [34.2, 100.0] |",
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
    assert shortened(name, 12) == expected


def test_a_long_title_of_a_chart_is_broken_into_lines_and_keeps_the_benchmarks_name(tmp_path):
    examples = in_languages("en", "sw")
    marks = ("420 of 9,666 records in each file", "trial of 20 images")
    results = results_of(examples, examples, marks=marks, changes=("language model in float32",))
    draw_languages(results, "as_is", tmp_path / "chart.svg")
    drawn = re.findall("<!-- (.*?) -->", (tmp_path / "chart.svg").read_text(encoding="utf-8"))
    assert "photos (420 of 9,666 records in each file; trial of 20" in drawn
    assert "images), paper, changed: language model in float32" in drawn


def test_one_language_needs_no_chart(tmp_path):
    examples = in_languages("en")
    write_report(tmp_path, {"photos": results_of(examples, examples)})
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]
