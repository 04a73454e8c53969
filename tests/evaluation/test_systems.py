import csv
import io
import re
from dataclasses import replace

import pytest
from table_model import example, knows_all

from mblip import cli
from mblip.evaluation import EvaluationTask, ExactMatch, GenerationSettings, evaluate_task, write_results
from mblip.evaluation.metrics.intervals import Interval
from mblip.evaluation.reports.systems import compare_systems, differences, latex, markdown, tables
from mblip.evaluation.results import MeanScore

SETTINGS = GenerationSettings(max_new_tokens=4)
LANGUAGES = ("en", "de", "hr")


def results(*num_right, languages=LANGUAGES, condition="as_is", greater_is_better=True, **changes):
    """Four images in each language, of which so many are answered rightly."""
    examples = [example(n, language=code, condition=condition) for code in languages for n in range(4)]
    right = dict(zip(languages, num_right, strict=True))
    known = [entry for entry in examples if int(entry.image_id[-1]) < right[entry.language]]
    metric = ExactMatch(greater_is_better=greater_is_better)
    task = EvaluationTask("photos", examples, metric, SETTINGS, "paper")
    found = evaluate_task(*knows_all(known), task)
    scores = [replace(s, figures=s.figures | {"length": 7 + s.value}) for s in found.scores]
    return replace(found, scores=tuple(scores), **{"changes": ()} | changes)


def system(*seeds):
    return [{"photos": seed} for seed in seeds]


def lines(cells, number):
    return markdown(list(tables(cells))[number]).splitlines()


def test_seeds_become_mean_and_standard_deviation_and_the_best_mean_is_bold():
    cells = compare_systems({"ours": system(results(4, 2, 1), results(2, 2, 1)), "theirs": system(results(4, 1, 1))})
    assert lines(cells, 0) == [
        "### Protocol paper",
        "",
        "|  | photos |",
        "| --- | ---: |",
        "| figure | exact_match |",
        "| languages | 3 (all) |",
        "| images | 4 |",
        "| questions | 4 |",
        "| ours (2 seeds) | 50.0 ± 11.8 |",
        "| theirs | 50.0 [33.3, 83.3] |",
    ]
    assert lines(cells, 1) == [
        "### photos, exact_match, protocol paper, 4 images, 4 questions per language",
        "",
        "| language | ours (2 seeds) | theirs |",
        "| --- | ---: | ---: |",
        "| English | 75.0 ± 35.4 | **100.0** [51.0, 100.0] |",
        "| German | **50.0** ± 0.0 | 25.0 [4.6, 69.9] |",
        "| Croatian † | 25.0 ± 0.0 | 25.0 [4.6, 69.9] |",
        "| mean of 3 (all) | 50.0 ± 11.8 | 50.0 [33.3, 83.3] |",
        "| mean of 2 (all but English) | **37.5** ± 0.0 | 25.0 [0.0, 75.0] |",
    ]


def test_the_mean_of_one_seed_has_its_recorded_interval():
    means = (
        MeanScore("as_is", "all", 3, 4, 0.5, Interval(0.25, 0.75)),
        MeanScore("as_is", "high", 2, 4, 0.5, Interval(0, 1)),
    )
    cells = compare_systems({"ours": system(results(4, 2, 1, means=means))})
    assert lines(cells, 0)[8] == "| ours | 58.3 [25.0, 75.0] |"
    assert lines(cells, 1)[7:9] == [
        "| mean of 3 (all) | 58.3 [25.0, 75.0] |",
        "| mean of 2 (all but English) | 37.5 |",
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"protocol": "centurio"}, "protocol"),
        ({"changes": ("num_beams 1",)}, "protocol"),
        ({"marks": ("split dev",)}, "benchmark"),
        ({"description": "another tokenization"}, "metric"),
        ({"has_stand_ins": True}, "protocol"),
    ],
)
def test_results_that_differ_stand_in_tables_of_their_own_and_a_note_says_why(change, field):
    ours, theirs = results(4, 2, 1), results(4, 1, 1)
    assert list(differences(compare_systems({"ours": system(ours), "theirs": system(theirs)}))) == []
    cells = compare_systems({"ours": system(ours), "theirs": system(replace(theirs, **change))})
    by_language = [markdown(table) for table in tables(cells) if table.num_headings == 1]
    assert ["| ours |" in text for text in by_language] == [True, False]
    assert list(differences(cells)) == [f"photos, as_is: 2 tables that are not comparable. They differ in {field}."]


def test_another_number_of_images_is_another_table():
    ours = results(4, languages=("en",))
    fewer = replace(ours, scores=tuple(replace(score, num_images=3) for score in ours.scores))
    cells = compare_systems({"ours": system(ours), "theirs": system(fewer)})
    assert lines(cells, 0)[6] == "| images | 4 | 3 |"
    assert lines(cells, 0)[8:10] == ["| ours | 100.0 [51.0, 100.0] | – |", "| theirs | – | 100.0 [51.0, 100.0] |"]


def test_where_lower_is_better_the_lowest_is_bold_and_the_figure_says_so():
    cells = compare_systems(
        {
            name: system(results(count, languages=("en",), greater_is_better=False))
            for name, count in (("a", 1), ("b", 3))
        }
    )
    assert lines(cells, 0)[4] == "| figure | exact_match (lower is better) |"
    assert lines(cells, 0)[8:10] == ["| a | **25.0** [4.6, 69.9] |", "| b | 75.0 [30.1, 95.4] |"]


@pytest.mark.parametrize(("condition", "figure"), [("shuffled", None), ("as_is", "length")])
def test_controls_and_figures_without_a_direction_have_no_best(condition, figure):
    ours, theirs = (results(count, languages=("en",), condition=condition) for count in (1, 3))
    cells = compare_systems({"ours": system(ours), "theirs": system(theirs)}, figure)
    assert not any(cell.is_best for cell in cells)
    assert ("7.2500" if figure else "25.0 [4.6, 69.9]") in lines(cells, 0)[8]


def test_the_figure_of_another_harness_has_a_best_but_no_interval():
    ours, theirs = (results(count, languages=("en",), others={"length": "whose"}) for count in (1, 3))
    cells = compare_systems({"ours": system(ours), "theirs": system(theirs)}, "length")
    assert lines(cells, 0)[8:10] == ["| ours | 725.0 |", "| theirs | **775.0** |"]


def test_means_are_over_the_languages_that_all_systems_have():
    cells = compare_systems(
        {"ours": system(results(4, 2, 1)), "theirs": system(results(2, 0, languages=("de", "hr")))}
    )
    assert lines(cells, 1)[4:8] == [
        "| English | 100.0 [51.0, 100.0] | – |",
        "| German | 50.0 [15.0, 85.0] | 50.0 [15.0, 85.0] |",
        "| Croatian † | **25.0** [4.6, 69.9] | 0.0 [0.0, 49.0] |",
        "| mean of 2 (all) | **37.5** | 25.0 [0.0, 50.0] |",
    ]


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (results(4, languages=("en",)), "in 2 of 2 seeds of ours, expected it in each, in the same languages"),
        (results(4, 2, 1, protocol="centurio"), "in 1 of 2 seeds of ours"),
    ],
)
def test_seeds_that_were_not_evaluated_alike_are_refused(other, found):
    with pytest.raises(ValueError, match=rf"Found photos \(protocol paper\) {found}"):
        compare_systems({"ours": system(results(4, 2, 1), other)})


def test_an_unknown_figure_is_refused():
    with pytest.raises(ValueError, match=r"Found no figure 'chrf'\."):
        compare_systems({"ours": system(results(4, 2, 1))}, "chrf")


def test_latex_escapes_every_text_and_closes_every_line():
    name = r"[50%] of a_b & {c} #1 \x ~y ^z $5 `q` <u> |v| [w]"
    (table,) = list(tables(compare_systems({name: system(results(4, 2, 1)), "b": system(results(3, 2, 1))})))[1:]
    text = latex(table)
    assert r"\\{}[w]}" in text
    plain = re.sub(r"\\\\(\{\})?|\\[&%$#_{}]|\\text[a-z]+\{\}|\$[<>|]\$|\$\\pm\$|\\dag\{\}", "", text)
    assert not set("%#_^~`<>|$") & set(plain)
    assert plain.count("{") == plain.count("}")
    body = text.partition("\\toprule\n")[2].partition("\\bottomrule")[0]
    rows = [line for line in body.splitlines() if line != r"\midrule"]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [2] * 6
    assert all(row.endswith(r" \\") for row in rows)
    assert rows[1] == r"English & \textbf{100.0} [51.0, 100.0] & 75.0 [30.1, 95.4] \\"
    assert rows[3].startswith(r"Croatian \dag{} & ")
    assert body.count(r"\midrule") == 2
    assert r"\begin{tabular}{lrr}" in text


def test_the_command_reads_folders_and_prints_numbers_in_full_precision(tmp_path, capsys):
    for name, right in (("a", 4), ("b", 2), ("c", 1)):
        write_results(tmp_path / name, {"photos": results(right, 1, 1)}, "")
    folders = f"ours={tmp_path}/a,{tmp_path}/b"
    cli.main(["tables", "--system", folders, f"{tmp_path}/c", "--format", "csv"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["system"] for row in rows[:2]] == ["table", "ours"]
    mean = next(row for row in rows if (row["language"], row["system"]) == ("mean of 3 (all)", "ours"))
    kept = ("benchmark", "protocol", "figure", "images", "mean", "standard_deviation", "num_seeds", "interval_low")
    assert [mean[key] for key in kept] == [
        "photos", "paper", "exact_match", "4", "0.41666666666666663", "0.11785113019775793", "2", ""
    ]  # fmt: skip
    cli.main(["tables", "--system", folders, "--format", "latex"])
    assert capsys.readouterr().out.count(r"\begin{table}") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Found no folder, expected one or more outputs"),
        (["--system", "x=a,a"], "Found x twice"),
        (["a", "a"], "Found table twice. Name each system (--system A=outputs/a --system B=outputs/b)"),
    ],
)
def test_no_folder_or_one_twice_is_refused(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_results("a", {"photos": results(4, 2, 1)}, "")
    with pytest.raises(SystemExit):
        cli.main(["tables", *arguments])
    assert message in capsys.readouterr().err
