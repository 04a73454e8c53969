import dataclasses
import json

import pytest
from table_model import TableModel, TableProcessor, example, knows_all

from mblip.evaluation import (
    EvaluationTask,
    ExactMatch,
    GenerationSettings,
    Setup,
    alignment_table,
    conditions_table,
    evaluate_task,
    markdown_table,
    write_results,
)
from mblip.evaluation.language_groups import LEVELS
from mblip.evaluation.reports.tables import group_table
from scenes.task import scenes


def task_of(examples):
    return EvaluationTask("numbers", examples, ExactMatch(), GenerationSettings(max_new_tokens=4), "own")


def evaluate(examples, known):
    model, processor = knows_all(known)
    return evaluate_task(model, processor, task_of(examples))


def in_languages(*codes, num=2):
    return [example(number, language=code) for code in codes for number in range(num)]


def test_a_table_has_a_row_for_each_language_with_name_script_and_interval():
    examples = in_languages("sw", "hi")
    results = evaluate(examples, examples[:3])
    columns, means = {"after": results.by_language("as_is")}, {"after": results.mean("as_is")}
    lines = markdown_table(columns, means=means).splitlines()
    assert lines[:5] == [
        "| Language | Script | after |",
        "| --- | --- | ---: |",
        "| Swahili (`sw`) | Latn | 100.0 [34.2, 100.0] |",
        "| Hindi (`hi`) | Deva | 50.0 [9.5, 90.5] |",
        "| mean of 2 |  | 75.0 [50.0, 100.0] |",
    ]


@pytest.mark.parametrize(
    ("answering", "words"),
    [
        ("generate", "greedy search, at most 4 new tokens."),
        ("constrained", "constrained to candidates, greedy search, at most 4 new tokens."),
        ("rank, mean", "rank, mean."),
    ],
)
def test_a_table_of_conditions_says_under_which_protocol_and_how_was_answered(answering, words):
    examples = in_languages("sw", "hi")
    results = dataclasses.replace(evaluate(examples, examples), protocol="centurio", answering=answering)
    facts = conditions_table(results).splitlines()[2]
    assert facts.startswith("Protocol `centurio`: 2 images, 4 answers in ")
    assert facts.endswith(f"float32); {words}")


def test_empty_answers_are_named_below_the_table():
    examples = in_languages("sw", "hi")
    text = markdown_table({"after": evaluate(examples, examples[:3]).by_language("as_is")})
    assert text.splitlines()[-2] == "after: 1 answers empty, counted as given (hi 1)."
    assert "empty" not in markdown_table({"after": evaluate(examples, examples).by_language("as_is")})


def test_a_language_that_a_column_lacks_gets_a_dash():
    both, one = in_languages("en", "sw"), in_languages("en")
    text = markdown_table(
        {"after": evaluate(both, both).by_language("as_is"), "parent": evaluate(one, one).by_language("as_is")}
    )
    assert "| Swahili (`sw`) | Latn | 100.0 [34.2, 100.0] | – |" in text


def test_a_table_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="Found 0 columns and 0 languages, expected at least one of each"):
        markdown_table({})


def scenes_results(*, knows, languages=("en", "sw"), conditions=("as_is", "shuffled")):
    examples = scenes(Setup(), languages=languages, num_images=4, conditions=["as_is"]).examples
    model, processor = knows_all([entry for entry in examples if entry.language in knows])
    task = scenes(Setup(), languages=languages, num_images=4, conditions=conditions)
    return evaluate_task(model, processor, task)


def test_the_alignment_table_shows_before_after_shuffled_and_the_share_of_the_english_blip2():
    text = alignment_table(
        scenes_results(knows=("en", "sw")),
        before=scenes_results(knows=(), conditions=("as_is",)),
        english_blip2=scenes_results(knows=("en",), languages=("en",), conditions=("as_is",)),
    )
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]
    assert rows[0] == [
        "Language",
        "Script",
        "before",
        "after",
        "after, images shuffled",
        "English BLIP-2",
        "after / English BLIP-2",
    ]
    assert [row[0] for row in rows[2:]] == ["English (`en`)", "Swahili (`sw`)", "mean of 2"]
    assert [cell.split(" ")[0] for cell in rows[2][2:]] == ["0.0", "100.0", "0.0", "100.0", "100.0"]
    assert [cell.split(" ")[0] for cell in rows[3][2:]] == ["0.0", "100.0", "0.0", "–", "100.0"]


def test_without_an_english_blip2_or_a_before_their_columns_are_missing():
    header = next(line for line in alignment_table(scenes_results(knows=("en",))).splitlines() if "|" in line)
    assert header == "| Language | Script | after | after, images shuffled |"


def test_groups_count_each_language_alike_whatever_its_number_of_prompts():
    examples = [*in_languages("sw", num=3), *in_languages("yo", num=1), *in_languages("de", num=2)]
    results = evaluate(examples, examples[:3])
    levels = results.group_means("as_is", LEVELS)
    assert list(levels) == ["high", "low"]
    assert (levels["low"].num_languages, levels["low"].num_images, levels["low"].value) == (2, 3, 0.5)
    assert [mean.value for mean in results.group_means("as_is", ("Deva", "Latn")).values()] == [1 / 3]


@pytest.mark.parametrize(
    ("language", "level"), [("en", "high"), ("ar", "high"), ("ja", "middle"), ("lv", "middle"), ("sw", "low")]
)
def test_resource_levels_go_by_the_share_of_mc4(language, level):
    assert list(evaluate(in_languages(language), []).group_means("as_is", LEVELS)) == [level]


def test_a_group_table_has_a_row_for_each_group_and_the_largest_comes_first():
    examples = in_languages("de", "sw", "yo", num=1)
    groups = {"train": evaluate(examples, examples[1:2]).group_means("as_is", LEVELS)}
    assert group_table("By level", groups).splitlines() == [
        "| By level | languages | train |",
        "| --- | ---: | ---: |",
        "| low | 2 | 50.0 [10.3, 89.7] |",
        "| high | 1 | 0.0 [0.0, 79.3] |",
    ]


def test_one_language_has_no_row_for_its_mean():
    examples = in_languages("sw")
    assert "mean of" not in conditions_table(evaluate(examples, examples))


def test_figures_of_fewer_than_20_images_say_so():
    examples = [*in_languages("sw", num=20), *in_languages("hi", num=19)]
    table = conditions_table(evaluate(examples, examples))
    assert table.count("fewer than 20 images, so these figures say little") == 1
    assert "as_is: fewer than 20 images, so these figures say little (hi 19)." in table


def test_results_and_table_are_written_atomically(tmp_path):
    results = evaluate([example(0)], [example(0)])
    write_results(tmp_path / "out", {"numbers": results}, conditions_table(results))
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["results.json", "table.md"]
    assert json.loads((tmp_path / "out" / "results.json").read_text())["numbers"]["scores"][0]["value"] == 1.0
    assert "| English (`en`) | Latn | 100.0 [20.7, 100.0] |" in (tmp_path / "out" / "table.md").read_text()


def test_a_model_without_answers_is_evaluated_like_any_other():
    processor = TableProcessor()
    task = task_of([example(0)])
    assert evaluate_task(TableModel(processor, {}), processor, task).by_language("as_is")["en"].num_empty == 1
